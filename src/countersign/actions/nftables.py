"""Scripts for ``nft -f -``: each one transaction, the same done once or twice, made of nothing but canonical addresses.

Our tables are ours alone, so nothing of the host's own rules is read or changed. A packet has to pass every base chain, so
what ours drops no other chain lets through. Reference: nft(8).
"""

from __future__ import annotations

from collections.abc import Sequence

from countersign.actions.exact import Network

NFT = "/usr/sbin/nft"
LOAD = (NFT, "-f", "-")
TRY = (NFT, "-c", "-f", "-")
"""Everything but the change itself: rights, syntax, kernel."""
ISOLATION = "countersign"
BLOCKED = "countersign_blocked"
_BEFORE_ALL = -350
"""Priority in front of connection tracking and of every rule a host usually has."""


def isolation(management: Sequence[Network], own: str, port: int) -> bytes:
    """Drop all but loopback, ``management`` (any port) and, when ``own`` is an address, its connections to ``port``: the way
    by which the isolation is taken back."""
    inside = ["iif lo accept", *(f"{_family(n)} saddr {n} accept" for n in management)]
    outside = ["oif lo accept", *(f"{_family(n)} daddr {n} accept" for n in management)]
    if own:
        kind = "ip6" if ":" in own else "ip"
        inside.append(f"{kind} saddr {own} tcp dport {port} accept")
        outside.append(f"{kind} daddr {own} tcp sport {port} accept")
    if ":" in own or any(n.version == 6 for n in management):  # without it no IPv6 neighbour is found
        neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept"
        inside.append(neighbours)
        outside.append(neighbours)
    chains = (_chain("input", "drop", inside), _chain("output", "drop", outside), _chain("forward", "drop", ()))
    return _lines(_gone(ISOLATION), f"table inet {ISOLATION} {{", *chains, "}")


def release() -> bytes:
    """Take the table out, whether it is there or not."""
    return _lines(_gone(ISOLATION))


def block(address: str) -> bytes:
    """Add an address to the set of its family, with the table and its rules as they have to be."""
    return _lines(_scaffold(), _element("add", address))


def unblock(address: str) -> bytes:
    """Take an address out of its set, whether it is in it or not."""
    return _lines(_scaffold(), _element("add", address), _element("delete", address))


def listing(address: str) -> tuple[str, ...]:
    """The command whose status says whether an address is in its set."""
    return (NFT, "get", "element", "inet", BLOCKED, _set(address), "{", address, "}")


def _scaffold() -> str:
    """Sets stay as they are; chains are written anew."""
    head = [f"add table inet {BLOCKED}"]
    head += [f"add set inet {BLOCKED} v{n} {{ type ipv{n}_addr; }}" for n in (4, 6)]
    for hook in ("input", "output", "forward"):
        chain = f"inet {BLOCKED} {hook}"
        head.append(f"add chain {chain} {{ type filter hook {hook} priority {_BEFORE_ALL}; policy accept; }}")
        head.append(f"flush chain {chain}")
        for kind, one in (("ip", "v4"), ("ip6", "v6")):
            head += [f"add rule {chain} {kind} {end} @{one} drop" for end in ("saddr", "daddr")]
    return "\n".join(head)


def _element(verb: str, address: str) -> str:
    return f"{verb} element inet {BLOCKED} {_set(address)} {{ {address} }}"


def _set(address: str) -> str:
    return "v6" if ":" in address else "v4"


def _gone(table: str) -> str:
    """Deleting what is not there is an error, so it is added first."""
    return f"add table inet {table}\ndelete table inet {table}"


def _chain(hook: str, policy: str, rules: Sequence[str]) -> str:
    return "\n".join((f"chain {hook} {{", f"type filter hook {hook} priority {_BEFORE_ALL}; policy {policy};", *rules, "}"))


def _family(network: Network) -> str:
    return "ip6" if network.version == 6 else "ip"


def _lines(*parts: str) -> bytes:
    return "".join(f"{part}\n" for part in parts).encode("ascii")
