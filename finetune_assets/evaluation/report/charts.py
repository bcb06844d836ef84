"""Charts as PNG bytes: effects, confusion matrix, loss curve, label bars; and the Markdown that inlines them.

Drawn on a canvas of their own, without pyplot: no global state, no display, safe in any thread.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_BLUE = "#1f6fb4"  # readable for colour-blind eyes beside _ORANGE
_ORANGE = "#d95f02"
_GREY = "#555c66"
_NUMBERS_UP_TO = 15
_BARS_UP_TO = 40
_LABEL_LENGTH = 40


def confusion_png(confusion: Mapping[str, Any]) -> bytes:
    """Draw a confusion matrix, each row coloured by its shares, with the counts where they are legible.

    Args:
        confusion: what `scores.confusion` returned.

    Returns:
        A PNG.
    """
    import numpy as np

    labels, columns = confusion["labels"], confusion["columns"]
    counts = np.array(confusion["counts"], dtype=float).reshape(len(labels), len(columns))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    width = min(16.0, 5.0 + 0.45 * max(len(columns), 1))
    height = min(16.0, 4.0 + 0.4 * max(len(labels), 1))
    figure, axes = _figure(width, height)
    if counts.size:
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        figure.colorbar(image, ax=axes, label="share of the expected label's rows")
    axes.set_xticks(range(len(columns)), [_short(name) for name in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(labels)), [_short(name) for name in labels])
    axes.tick_params(labelsize=8 if len(columns) <= _BARS_UP_TO else 5)
    if len(columns) <= _NUMBERS_UP_TO:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xlabel("answered")
    axes.set_ylabel("expected")
    axes.set_title(_plain(f"Confusion by {confusion['level']}"))
    return _png(figure)


def effects_png(report: Mapping[str, Any]) -> bytes:
    """Draw the gains with their intervals: the primary measure, the others, then the slices, lowest first.

    Args:
        report: what `report.build_report` returned.

    Returns:
        A PNG; place, shape and fill say what is shown, colour only repeats it.
    """
    from finetune_assets.evaluation.report.page.forest import effects_of

    whole, parts = effects_of(report)
    shown = [*whole, *parts[:_BARS_UP_TO]]
    figure, axes = _figure(8.0, 1.6 + 0.3 * len(shown))
    for place, effect in enumerate(shown):
        kind = effect.shown or "neither"
        colour = {"better": _BLUE, "worse": _ORANGE, "neither": _GREY}[kind]
        if effect.interval:
            axes.plot([100 * end for end in effect.interval], [place, place], color=colour, linewidth=2.5)
        axes.plot(
            100 * effect.gain,
            place,
            marker={"better": ">", "worse": "<", "neither": "o"}[kind],
            markersize=10 if effect.first else 8,
            color=colour,
            markerfacecolor="white" if kind == "neither" else colour,
        )
    axes.axvline(0.0, color="black", linewidth=1)
    if parts:
        axes.axhline(len(whole) - 0.5, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [f"{_short(effect.name)} ({effect.rows})" for effect in shown])
    axes.tick_params(labelsize=8)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_xlabel("gain over the baseline, in points; right is better\n> shown better   < shown worse   o neither")
    axes.set_title(_plain(f"Effect with interval, below the line by slice ({whole[0].name})" if parts else "Effect"))
    return _png(figure)


def loss_png(loss: Sequence[Sequence[float]], *, evaluation: Sequence[Sequence[float]] = ()) -> bytes:
    """Draw the loss over the training steps.

    Args:
        loss: (step, training loss) in order of the steps; a loss that is not finite leaves a gap.
        evaluation: (step, validation loss), drawn with markers.

    Returns:
        A PNG.
    """
    figure, axes = _figure(7.0, 3.6)
    for rows, name, style in ((loss, "training", {"color": _BLUE}), (evaluation, "validation", _marked())):
        if rows:
            axes.plot([row[0] for row in rows], [row[1] for row in rows], label=name, **style)
    if loss or evaluation:
        axes.legend()
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_title("Loss")
    axes.grid(visible=True, alpha=0.3)
    return _png(figure)


def trend_png(points: Sequence[tuple[str, float, float, float]], *, title: str) -> bytes:
    """Draw a share over time with its interval.

    Args:
        points: (name of the time, share, its lower bound, its upper bound) in order of time, shares from 0 to 1.
        title: the chart's title.

    Returns:
        A PNG.
    """
    figure, axes = _figure(7.0, 3.6)
    places = range(len(points))
    axes.fill_between(
        places, [100 * low for _, _, low, _ in points], [100 * high for *_, high in points], color=_BLUE, alpha=0.2
    )
    axes.plot(places, [100 * share for _, share, _, _ in points], color=_BLUE, marker="o")
    every = max(1, len(points) // 10)
    axes.set_xticks([*places][::every], [name for name, *_ in points][::every], rotation=45, ha="right")
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("percent")
    axes.set_title(_plain(title))
    axes.grid(visible=True, alpha=0.3)
    return _png(figure)


def label_bars_png(counts: Mapping[str, int], *, title: str = "Rows by label") -> bytes:
    """Draw how many rows each label has, most first; beyond 40 labels the rest is one bar.

    Args:
        counts: rows by label.
        title: the chart's title.

    Returns:
        A PNG.
    """
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [(_short(name), count) for name, count in rows[:_BARS_UP_TO]]
    if rest := rows[_BARS_UP_TO:]:
        shown.append((f"{len(rest)} more labels", sum(count for _, count in rest)))
    figure, axes = _figure(7.0, min(14.0, 1.5 + 0.24 * len(shown)))
    places = range(len(shown))
    bars = axes.barh(places, [count for _, count in shown], color=_BLUE)
    axes.bar_label(bars, fontsize=7, padding=2)
    axes.set_yticks(places, [name for name, _ in shown])
    axes.tick_params(labelsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("rows")
    axes.set_title(_plain(title))
    return _png(figure)


def png_markdown(png: bytes, alt: str) -> str:
    """Return Markdown that shows a PNG inline, as a data URI."""
    words = " ".join(alt.split()).replace("[", "(").replace("]", ")")
    return f"![{words}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def _marked() -> dict[str, Any]:
    return {"color": _ORANGE, "marker": "o", "linestyle": "--"}


def _short(name: str) -> str:
    flat = " ".join(name.split())
    if len(flat) > _LABEL_LENGTH:
        # The end of a label path tells labels apart, its beginning says where it belongs.
        head = _LABEL_LENGTH // 3
        flat = flat[:head] + "…" + flat[head + 1 - _LABEL_LENGTH :]
    return _plain(flat)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # a dollar sign would start a formula


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the program's name in it the bytes depend on the picture alone.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
