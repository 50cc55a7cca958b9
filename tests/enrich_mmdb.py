"""Writes the smallest MaxMind DB files that the reader takes (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path


class Short(int):
    """An integer of type 5, 16 bits: what the reader wants in some places of the metadata."""


class Long(int):
    """An integer of type 9, 64 bits."""


def field_of(value: object) -> bytes:
    """MaxMind DB data field for text, number or map (https://maxmind.github.io/MaxMind-DB/)."""
    if isinstance(value, str):
        raw = value.encode()
        return bytes([2 << 5 | len(raw)]) + raw if len(raw) < 29 else bytes([2 << 5 | 29, len(raw) - 29]) + raw
    if isinstance(value, Short):
        return bytes([5 << 5 | 2]) + struct.pack(">H", value)
    if isinstance(value, Long):
        return bytes([8, 9 - 7]) + struct.pack(">Q", value)
    if isinstance(value, int):
        raw = struct.pack(">I", value)
        return bytes([6 << 5 | 4]) + raw
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(field_of(item) for item in value)
    assert isinstance(value, dict)
    return bytes([7 << 5 | len(value)]) + b"".join(field_of(k) + field_of(v) for k, v in value.items())


def write_mmdb(path: Path, network: str, record: dict[str, object], kind: str) -> None:
    """A database of type ``kind`` that knows one IPv4 network: a chain of nodes, everything beside it is empty."""
    net = ipaddress.ip_network(network)
    nodes = net.prefixlen
    tree = b""
    for place in range(nodes):
        bit = int(net.network_address) >> (31 - place) & 1
        onward = nodes + 16 if place == nodes - 1 else place + 1
        pair = (onward, nodes) if bit == 0 else (nodes, onward)
        tree += b"".join(struct.pack(">I", side)[1:] for side in pair)
    about = {
        "node_count": nodes,
        "record_size": Short(24),
        "ip_version": Short(4),
        "database_type": kind,
        "languages": ["en"],
        "binary_format_major_version": Short(2),
        "binary_format_minor_version": Short(0),
        "build_epoch": Long(1_700_000_000),
        "description": {"en": "test"},
    }
    path.write_bytes(tree + bytes(16) + field_of(record) + b"\xab\xcd\xefMaxMind.com" + field_of(about))
