"""Small pictures made on the server. Sizes are SVG attributes, colours are classes: the content policy allows no more.

Only functions of this room and of ``graph`` return safe markup, and they escape every label.
"""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

from countersign.model.alerts import Severity
from countersign.model.verdicts import PICO, PPM, Label
from countersign.web import words

_SVG = Markup('<svg class="{cls}" width="{w}" height="{h}" viewBox="0 0 {w} {h}" {role}>{inner}</svg>')
_BARS = 4


def _svg(cls: str, width: int, height: int, inner: Markup, label: str = "") -> Markup:
    if label:
        role = Markup('role="img" aria-label="{}"').format(label)
        inner = Markup("<title>{}</title>{}").format(label, inner)
    else:
        role = Markup('aria-hidden="true" focusable="false"')
    return _SVG.format(cls=cls, w=width, h=height, role=role, inner=inner)


@lru_cache
def severity(level: Severity) -> Markup:
    """Four rising bars, as many lit as the severity asks; the word is in the label."""
    lit = max(0, min(_BARS, int(level) - 1)) if level else 0
    bars = Markup().join(
        Markup('<rect class="{}" x="{}" y="{}" width="3" height="{}" rx="0.5"/>').format(
            "on" if i < lit else "off", i * 4, 9 - 3 * i, 4 + 3 * i
        )
        for i in range(_BARS)
    )
    return _svg(f"sev sev-{int(level)}", 15, 13, bars, f"Severity: {words.SEVERITIES[level]}")


@lru_cache(maxsize=4096)
def confidence(label: Label, p0_ppm: int, p1_ppm: int, gate_ppm: int, *, width: int = 44) -> Markup:
    """How sure the verdict is: solid to the interval's low end, pale to its high end; a tick where the gate stands.

    ``gate_ppm``: highest P(threat) the gate would close at, so the tick stands at 1 − gate."""
    low, high = words.confidence(label, p0_ppm, p1_ppm)
    solid, pale = width * low / PPM, width * max(0, high - low) / PPM
    tick = width * (PPM - gate_ppm) / PPM
    inner = Markup(
        '<rect class="track" y="3" width="{w}" height="6" rx="1"/>'
        '<rect class="pale" x="{solid:.1f}" y="3" width="{pale:.1f}" height="6"/>'
        '<rect class="fill" y="3" width="{solid:.1f}" height="6" rx="1"/>'
        '<rect class="gate" x="{tick:.1f}" y="0" width="1.5" height="12"/>'
    ).format(w=width, solid=solid, pale=pale, tick=min(tick, width - 1.5))
    text = f"{label.value}: between {words.percent(low)} and {words.percent(high)}; the gate stands at {_gate(gate_ppm)}"
    return _svg(f"conf conf-{label.value}", width, 12, inner, text)


def _gate(gate_ppm: int) -> str:
    return f"{words.percent(PPM - gate_ppm)} for benign"


@lru_cache(maxsize=1024)
def signed(pico: int, scale_pico: int, *, half: int = 26) -> Markup:
    """A bar from a middle line: to the right for, to the left against. ``scale_pico`` fills one half."""
    share = min(1.0, abs(pico) / scale_pico) if scale_pico else 0.0
    size = max(1.5, half * share) if pico else 0.0
    x = half if pico >= 0 else half - size
    inner = Markup(
        '<rect class="axis" x="{half}" y="0" width="1" height="10"/>'
        '<rect class="{cls}" x="{x:.1f}" y="3" width="{size:.1f}" height="4" rx="1"/>'
    ).format(half=half, cls="for" if pico > 0 else "against", x=x, size=size)
    side = "speaks for a threat" if pico > 0 else "speaks against" if pico < 0 else "neutral"
    return _svg("signed", 2 * half + 1, 10, inner, f"{words.odds(pico)} {side}")


def lean(weight: int) -> Markup:
    """A lookup's lean (+1, −1, 0) on the same axis; half a bar, because it is never scored."""
    return signed(weight * PICO, 2 * PICO)
