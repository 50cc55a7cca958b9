"""Sources: wire → alert, one product's message shape per file.

To add one: write ``sources/<name>.py`` with a class that takes ``header`` and ``mapping`` as keywords, has the
attribute ``name`` and the method ``parse(raw) -> Alert | Ignored`` which raises nothing but SourceError; add one line
to ``SOURCES``; put true messages, one a line, in ``tests/vectors/sources/<name>/good.jsonl``. The contract test then
covers it. When the product's messages are flat enough, a TOML mapping for ``generic`` does it without code.

A source is pure: the same bytes give the same alert on every machine and at any time.
"""

from __future__ import annotations

from typing import Protocol

from countersign.errors import UsageError
from countersign.ports import Source
from countersign.sources.generic import GenericSource
from countersign.sources.ocsf import OcsfSource
from countersign.sources.suricata import SuricataSource
from countersign.sources.wazuh import WazuhSource


class SourceType(Protocol):
    """What the registry holds: a class (or function) that makes a source."""

    def __call__(self, *, header: bytes = b"", mapping: str = "") -> Source:
        """header: CSV header record, if any. mapping: TOML text, for sources that need one."""
        ...


SOURCES: dict[str, SourceType] = {
    "generic": GenericSource,
    "ocsf": OcsfSource,
    "suricata": SuricataSource,
    "wazuh": WazuhSource,
}


def make_source(name: str, *, header: bytes = b"", mapping: str = "") -> Source:
    """The source ``name``.

    Raises UsageError (unknown name), ConfigError (faulty mapping, or a mapping that does not fit the CSV header) and
    SourceError (a header that is not CSV). Without a header a CSV mapping is checked, but reads nothing.
    """
    kind = SOURCES.get(name)
    if kind is None:
        raise UsageError(f"no source named {name!r}", todo=f"use one of: {', '.join(sorted(SOURCES))}")
    return kind(header=header, mapping=mapping)
