"""Charts: real PNGs that show what they are given."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import numpy as np
import pytest

from finetune_assets.evaluation.report.charts import confusion_png, effects_png, label_bars_png, loss_png, png_markdown
from finetune_assets_tests.evaluation.report.page.cases import report_of

MATRIX = {
    "level": "domain",
    "labels": ["a", "b"],
    "columns": ["a", "b", "(no valid answer)"],
    "counts": [[8, 1, 0], [0, 5, 2]],
}


def pixels(png: bytes) -> Any:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    image = imread(io.BytesIO(png), format="png")
    assert image.std() > 0.01, "an empty picture"
    return image


def test_confusion_shows_the_counts() -> None:
    first = pixels(confusion_png(MATRIX))
    other = pixels(confusion_png({**MATRIX, "counts": [[1, 8, 0], [0, 5, 2]]}))
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("size", [0, 1, 40, 150])
def test_confusion_takes_any_number_of_labels(size: int) -> None:
    names = [f"label {n} with a rather long name $x_1$" for n in range(size)]
    counts = np.eye(size, dtype=int).tolist()
    image = pixels(confusion_png({"level": "d", "labels": names, "columns": names, "counts": counts}))
    assert max(image.shape[:2]) <= 1800


def test_loss_curve() -> None:
    falling = [(step, 3.0 / step) for step in range(1, 50)]
    plain = pixels(loss_png(falling))
    with_evaluation = pixels(loss_png(falling, evaluation=[(25, 0.4), (49, 0.2)]))
    assert not np.array_equal(plain, with_evaluation)
    pixels(loss_png([]))
    pixels(loss_png([(1, float("nan")), (2, float("inf")), (3, 0.5)]))


def test_label_bars() -> None:
    few = pixels(label_bars_png({"a": 3, "b": 9}, title="Rows by label, $ included"))
    many = pixels(label_bars_png({f"label {n}": n for n in range(150)}))
    assert many.shape[0] > few.shape[0]
    pixels(label_bars_png({}))


def test_equal_input_gives_equal_bytes() -> None:
    assert confusion_png(MATRIX) == confusion_png(MATRIX)
    assert loss_png([(1, 2.0), (2, 1.0)]) == loss_png([(1, 2.0), (2, 1.0)])


def test_no_pyplot_state_is_touched() -> None:
    label_bars_png({"a": 1})
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_markdown_inlines_the_picture() -> None:
    text = png_markdown(b"\x89PNG", "loss ] of\nrun")
    assert text.startswith("![loss ) of run](data:image/png;base64,")
    assert base64.b64decode(text.split("base64,")[1][:-1]) == b"\x89PNG"


def test_effects_show_gains_intervals_and_slices_the_same_each_time() -> None:
    report = report_of()
    first = pixels(effects_png(report))
    assert effects_png(report) == effects_png(report)
    other = pixels(effects_png(report_of(30, 60)))
    assert first.shape != other.shape or not np.array_equal(first, other)
    without = pixels(effects_png(report | {"slices": []}))
    assert without.shape[0] < first.shape[0]
