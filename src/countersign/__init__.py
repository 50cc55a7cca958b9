"""Countersign: a governed AI SOC."""

__version__ = "0.1.0"
