"""The forest plot: each gain with its interval on one scale, read by place, shape and words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.report.page.html import Html, joined, paragraph, tag
from finetune_assets.evaluation.report.reading import figure_of, gain_of, measure_of

_WIDTH, _HEIGHT, _EDGE = 400.0, 24.0, 18.0
_MOST_SLICES = 40
_TITLES = {"macro_f1": "macro F1"}
_WORDS = {"better": "▶ shown better", "worse": "◀ shown worse", "neither": "○ no difference shown"}


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the plot.

    Attributes:
        name: what is compared, for a person.
        rows: rows that it rests on.
        gain: candidate's gain over the baseline.
        interval: of the gain, None when unknown.
        shown: `better`, `worse` or `neither`, by the interval where there is no test; "" where there is neither.
        told: gain and interval in words.
        detail: the two figures in words.
        first: the line that the verdict rests on most.
    """

    name: str
    rows: int
    gain: float
    interval: tuple[float, float] | None
    shown: str
    told: str
    detail: str
    first: bool = False


def effects_of(report: Mapping[str, Any]) -> tuple[list[Effect], list[Effect]]:
    """Return the effects of a report on all rows, the primary measure first, and by slice, worst first."""
    primary = measure_of(report, report["primary"])
    whole = [_effect(primary, primary["title"], report["comparison"], first=True)]
    whole += [
        _effect(measure, measure["title"], comparison)
        for comparison in report["comparisons"]
        if comparison["measure"] not in report["meaningless"] and comparison["rows"]
        for measure in [measure_of(report, comparison["measure"])]
    ]
    parts = [
        _effect(primary, part["name"], part | {"shown": _slice_shown(part)})
        for part in sorted(report["slices"], key=lambda part: (part["difference"], part["name"]))
    ]
    return whole, parts


def _slice_shown(part: Mapping[str, Any]) -> str:
    # Worse is said with all slices allowed for; better is read off the interval.
    if part["shown_worse"]:
        return "worse"
    return "better" if _by_interval(part["interval"]) == "better" else "neither"


def _by_interval(interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    return "better" if interval[0] > 0 else "worse" if interval[1] < 0 else "neither"


def _effect(measure: Mapping[str, Any], name: str, comparison: Mapping[str, Any], *, first: bool = False) -> Effect:
    interval = comparison["interval"]
    less = "" if measure["higher_is_better"] else ", less is better"
    return Effect(
        name=_TITLES.get(name, name),
        rows=comparison["rows"],
        gain=comparison["difference"],
        interval=(interval[0], interval[1]) if interval else None,
        shown=comparison.get("shown") or _by_interval(interval),
        told=gain_of(measure, comparison),
        detail=f"{figure_of(measure, comparison['candidate'])} against "
        f"{figure_of(measure, comparison['baseline'])}{less}",
        first=first,
    )


def forest_plot(effects: Sequence[Effect]) -> Html:
    """Return the plot, drawn as rows that a screen reader reads as a list and a narrow screen stacks."""
    shown = effects if len(effects) <= _MOST_SLICES else _ends(effects)
    span = scale_of(shown)
    rows = [_axis(span), *(_row(effect, span) for effect in shown)]
    plot = tag("div", *rows, class_="forest", role="list", aria_label="gains with their intervals")
    if len(shown) == len(effects):
        return plot
    note = f"Shown are the {_MOST_SLICES} that differ most of {len(effects)}; the table below holds all of them."
    return joined([plot, paragraph(note, class_="dim")])


def _ends(effects: Sequence[Effect]) -> list[Effect]:
    return [*effects[: _MOST_SLICES // 2], *effects[-(_MOST_SLICES // 2) :]]


def scale_of(effects: Iterable[Effect]) -> float:
    """Return the largest gain or loss that the plot must hold: 0.05, 0.1, 0.2, 0.5, 1 and so on."""
    ends = [abs(end) for effect in effects for end in (effect.gain, *(effect.interval or ()))]
    largest = max(ends, default=0.0)
    for step in (0.05, 0.1, 0.2, 0.5, 1.0):
        if largest <= step:
            return step
    return float(math.ceil(largest))


def _place(gain: float, span: float) -> float:
    return _WIDTH / 2 + gain / span * (_WIDTH / 2 - _EDGE)


def _axis(span: float) -> Html:
    marks = [
        tag(
            "text",
            _tick(gain),
            x=f"{_place(gain, span):.1f}",
            y="16",
            text_anchor="middle",
        )
        for gain in (-span, -span / 2, 0.0, span / 2, span)
    ]
    svg = tag("svg", *marks, viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", aria_hidden="true", focusable="false")
    return tag("div", tag("span"), svg, tag("span", "gain (interval)", class_="dim"), class_="axis", aria_hidden="true")


def _tick(gain: float) -> str:
    value = 100 * gain
    return "0" if value == 0 else f"{value:+g}"


def _row(effect: Effect, span: float) -> Html:
    kind = effect.shown or "neither"
    middle = _HEIGHT / 2
    lines = [
        *(
            tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1="0", y2=f"{_HEIGHT:.0f}", class_="grid")
            for gain in (-span, -span / 2, span / 2, span)
            for x in [_place(gain, span)]
        ),
        tag("line", x1=f"{_WIDTH / 2:.1f}", x2=f"{_WIDTH / 2:.1f}", y1="0", y2=f"{_HEIGHT:.0f}", class_="zero"),
    ]
    if effect.interval:
        low, high = (_place(end, span) for end in effect.interval)
        lines.append(
            tag("line", x1=f"{low:.1f}", x2=f"{high:.1f}", y1=f"{middle}", y2=f"{middle}", class_=f"bar {kind}")
        )
    lines.append(_marker(kind, _place(effect.gain, span), middle))
    svg = tag("svg", *lines, viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}", aria_hidden="true", focusable="false")
    verdict = _WORDS.get(effect.shown)
    words = joined([effect.told, tag("div", verdict) if verdict else None])
    name = joined([effect.name, tag("div", f"{effect.detail}; {effect.rows:,} rows", class_="dim")])
    css = "row first" if effect.first else "row"
    return tag("div", tag("div", name), svg, tag("div", words, class_="told"), class_=css, role="listitem")


def _marker(kind: str, x: float, y: float) -> Html:
    size = 6.0
    if kind == "neither":
        return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{size - 1:.0f}", stroke_width="2", class_=kind)
    way = size if kind == "better" else -size
    points = f"{x - way:.1f},{y - size:.1f} {x - way:.1f},{y + size:.1f} {x + way:.1f},{y:.1f}"
    return tag("polygon", points=points, class_=kind)
