"""Who and what a case speaks of, as a picture made on the server: who acts on the left, what they left behind on the right.

Pure: records in, nodes with places out. The same links stand beside the picture as a list, so nothing is only drawn.
Layers by role, order within a layer by the barycentre of the neighbours (Sugiyama, Tagawa & Toda 1981), two sweeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from countersign.model.entities import Entity, EntityType, Role
from countersign.model.records import FindingRecord
from countersign.web.text import shorten, visible_text

NODES_MAX = 18
LINKS_MAX = 48
WIDTH, ROW, MARGIN, RADIUS = 520, 66, 32, 14
COLUMNS = (82, 260, 438)
LABEL_CHARS = 22
_SWEEPS = 2
_STRONG = 2
"""Links that stand out: the ones most findings rest on."""

_ICONS = {
    EntityType.HOST: "M-6-5h12v8h-12zM-3 6h6M0 3v3",
    EntityType.USER: "M0-1a3 3 0 1 0 0-6a3 3 0 0 0 0 6zM-5 6c0-4 2-6 5-6s5 2 5 6",
    EntityType.IP: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0zM-6 0h12M0-6c-4 4-4 8 0 12M0-6c4 4 4 8 0 12",
    EntityType.DOMAIN: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0zM-6 0h12M-5-3h10M-5 3h10",
    EntityType.URL: "M-1-3l2-2a3 3 0 0 1 4 4l-2 2M1 3l-2 2a3 3 0 0 1-4-4l2-2M-2 2l4-4",
    EntityType.HASH: "M-3-6l-2 12M4-6l-2 12M-6-2h12M-6 2h12",
    EntityType.PROCESS: "M-6-5h12v10h-12zM-3-2l2 2l-2 2M1 2h3",
    EntityType.FILE: "M-4-6h5l3 3v9h-8zM1-6v3h3",
    EntityType.MAIL: "M-6-4h12v8h-12zM-6-4l6 5l6-5",
}
_ARTEFACTS = frozenset({EntityType.PROCESS, EntityType.FILE, EntityType.HASH, EntityType.DOMAIN, EntityType.URL})


@dataclass(slots=True)
class Node:
    """One entity. layer: 0 acting, 1 acted on, 2 seen. tone: "threat", "valued" or ""."""

    entity: Entity
    layer: int
    weight: int
    tone: str = ""
    x: int = 0
    y: int = 0
    order: float = 0.0


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` and ``target`` are entity keys. what: titles of the findings that join them, strongest first."""

    source: str
    target: str
    what: tuple[str, ...]
    findings: int


@dataclass(slots=True)
class Graph:
    """nodes by key; ``hidden`` entities did not fit the picture; ``edges`` holds every link, for the list."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    hidden: int = 0
    height: int = 0


def build(records: Sequence[FindingRecord]) -> Graph:
    """Links of all findings given, and a picture of the most connected entities."""
    edges = _edges(records)
    nodes = _nodes(records, edges)
    kept = sorted(nodes.values(), key=lambda n: (-n.weight, n.layer, n.entity.key))[:NODES_MAX]
    graph = Graph({n.entity.key: n for n in kept}, edges[:LINKS_MAX], hidden=len(nodes) - len(kept))
    _tone(graph, records)
    _place(graph)
    return graph


def _edges(records: Sequence[FindingRecord]) -> list[Edge]:
    seen: dict[tuple[str, str], Counter[str]] = {}
    for record in records:
        title = record.finding.title
        for source, target in _pairs(record.finding.entities):
            seen.setdefault((source, target), Counter())[title] += 1
    found = [
        Edge(source, target, tuple(name for name, _ in titles.most_common(3)), sum(titles.values()))
        for (source, target), titles in seen.items()
    ]
    return sorted(found, key=lambda e: (-e.findings, e.source, e.target))


def _pairs(entities: Sequence[Entity]) -> list[tuple[str, str]]:
    """Actor → target; what was merely seen hangs on the target host, else on whatever comes first."""
    actors = [e for e in entities if e.role is Role.ACTOR]
    targets = [e for e in entities if e.role is Role.TARGET]
    seen = [e for e in entities if e.role is Role.OBSERVED]
    hosts = [e for e in targets if e.type is EntityType.HOST]
    anchors = hosts or targets[:1] or actors[:1] or seen[:1]
    pairs = [(a.key, b.key) for a in actors[:8] for b in (targets[:8] or anchors)]
    pairs += [(anchor.key, e.key) for anchor in anchors[:1] for e in seen[:12]]
    return [(a, b) for a, b in dict.fromkeys(pairs) if a != b]


def _nodes(records: Sequence[FindingRecord], edges: Sequence[Edge]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for record in records:
        for entity in record.finding.entities:
            layer = _layer(entity)
            node = nodes.setdefault(entity.key, Node(entity, layer, 0))
            node.layer = min(node.layer, layer) if node.layer != 1 else 1
    for edge in edges:
        for key in (edge.source, edge.target):
            if key in nodes:
                nodes[key].weight += edge.findings
    return nodes


def _layer(entity: Entity) -> int:
    if entity.type is EntityType.HOST or (entity.role is Role.TARGET and entity.type not in _ARTEFACTS):
        return 1
    if entity.role is Role.ACTOR and entity.type not in _ARTEFACTS:
        return 0
    return 2


def _tone(graph: Graph, records: Sequence[FindingRecord]) -> None:
    """Red where a lookup leans to a threat, amber where the inventory says it is worth much."""
    for record in records:
        for item in record.evidence:
            node = graph.nodes.get(item.query)
            if node is None:
                continue
            facts = dict(item.facts)
            if facts.get("criticality", "").lower() in {"high", "critical", "3", "4"}:
                node.tone = "valued"
            elif item.weight > 0 and not node.tone:
                node.tone = "threat"


def _place(graph: Graph) -> None:
    layers: list[list[Node]] = [[n for n in graph.nodes.values() if n.layer == layer] for layer in range(3)]
    for layer in layers:
        for i, node in enumerate(sorted(layer, key=lambda n: (-n.weight, n.entity.key))):
            node.order = float(i)
    for _ in range(_SWEEPS):
        for layer in layers:
            _sort_by_neighbours(layer, graph)
    rows = max((len(layer) for layer in layers), default=0)
    graph.height = max(1, rows) * ROW + 2 * (MARGIN - RADIUS)
    for number, layer in enumerate(layers):
        top = (rows - len(layer)) * ROW // 2 + MARGIN
        for i, node in enumerate(sorted(layer, key=lambda n: (n.order, n.entity.key))):
            node.x, node.y = COLUMNS[number], top + i * ROW


def _sort_by_neighbours(layer: list[Node], graph: Graph) -> None:
    means = {node.entity.key: _mean_neighbour(node, graph) for node in layer}
    ordered = sorted(layer, key=lambda n: (means[n.entity.key], n.order, n.entity.key))
    for i, node in enumerate(ordered):
        node.order = float(i) - (len(layer) - 1) / 2


def _mean_neighbour(node: Node, graph: Graph) -> float:
    key = node.entity.key
    around = [e.target if e.source == key else e.source for e in graph.edges if key in (e.source, e.target)]
    orders = [graph.nodes[k].order for k in around if k in graph.nodes]
    return sum(orders) / len(orders) if orders else node.order


def svg(graph: Graph) -> Markup:
    """The picture. Every label is escaped, with hidden characters shown."""
    edges = [e for e in graph.edges if e.source in graph.nodes and e.target in graph.nodes]
    inner = Markup().join(
        [*(_edge(e, graph, strong=i < _STRONG) for i, e in enumerate(edges)), *map(_node, graph.nodes.values())]
    )
    text = f"{len(graph.nodes)} entities and {len(edges)} links; the same links stand below as a list"
    return Markup(
        '<svg class="graph" viewBox="0 0 {w} {h}" role="img" aria-label="{text}" preserveAspectRatio="xMidYMin meet">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>{inner}</svg>'
    ).format(w=WIDTH, h=graph.height, text=text, inner=inner)


def _edge(edge: Edge, graph: Graph, *, strong: bool) -> Markup:
    a, b = graph.nodes[edge.source], graph.nodes[edge.target]
    gap = RADIUS + 3
    if a.x == b.x:
        side = 1 if a.x < WIDTH // 2 else -1
        bend = a.x + side * (46 + abs(a.y - b.y) // 6)
        path = f"M{a.x + side * gap} {a.y}C{bend} {a.y} {bend} {b.y} {b.x + side * gap} {b.y}"
    else:
        side = 1 if a.x < b.x else -1
        middle = (a.x + b.x) // 2
        path = f"M{a.x + side * gap} {a.y}C{middle} {a.y} {middle} {b.y} {b.x - side * gap} {b.y}"
    title = visible_text(f"{edge.source} → {edge.target}: {'; '.join(edge.what)}")
    return Markup('<path class="edge{}" d="{}" marker-end="url(#tip)"><title>{}</title></path>').format(
        " strong" if strong else "", path, title
    )


def _node(node: Node) -> Markup:
    entity = node.entity
    label = shorten(visible_text(entity.value), LABEL_CHARS)
    return Markup(
        '<g class="node {tone}" transform="translate({x} {y})"><title>{kind}: {full}</title>'
        '<circle r="{r}"/><path class="icon" d="{icon}"/><text y="{below}">{label}</text></g>'
    ).format(
        tone=node.tone,
        x=node.x,
        y=node.y,
        kind=entity.type.value,
        full=visible_text(entity.value),
        r=RADIUS,
        icon=_ICONS[entity.type],
        below=RADIUS + 15,
        label=label,
    )
