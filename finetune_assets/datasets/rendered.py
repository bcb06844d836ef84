"""Rendered splits as a whole: which files a configuration asks for, their exports, their row counts, a preview.

Single rows are the business of `formats/`; who writes their lines is the build.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import RenderConfig
from finetune_assets.datasets.formats.hf import export, exported_files
from finetune_assets.datasets.split_files import read_examples
from finetune_assets.datasets.text_templates import TextTemplate, text_template, training_text
from finetune_assets.records.example import SPLITS
from finetune_assets.records.json_lines import encode_line

PREVIEW = "preview.jsonl"
_PREVIEW_ROWS = 5
_HF = "hf"


def rendered_files(render: RenderConfig, split: str) -> list[str]:
    """Return the names of the files that hold a split's rows for tuning backends, relative to the dataset."""
    found: list[str] = []
    for form in render.formats:
        names = exported_files(render.hf_files, split) if form == _HF else [f"{split}.jsonl"]
        found += [f"{form}/{name}" for name in names]
    return found


def template_of(render: RenderConfig) -> TextTemplate:
    """Return the shipped template that stands in where no model's own is at hand: ChatML for `model`."""
    return text_template("chatml" if render.template == "model" else render.template)


def finish_rendering(folder: Path, render: RenderConfig, splits: Mapping[str, int]) -> dict[str, Any]:
    """Export what is to be exported, write the preview, and count the rendered rows.

    `preview.jsonl` holds the first five training examples as text, for people; it belongs to the artifact, as the
    examples do, and is shown nowhere else.

    Args:
        folder: the split dataset, its JSON Lines written.
        render: what the configuration asks for.
        splits: examples by split.

    Returns:
        `rendered`: rows by format and split; `left_out`: examples of which a format has no row, by format.

    Raises:
        FinetuneError: when the text template refuses an example's turns.
        OSError: when a file cannot be read or written.
    """
    if _HF in render.formats:
        export(folder / _HF, render.hf_files)
    _write_preview(folder, template_of(render))
    rows = {
        form: {split: _count_lines(folder / form / f"{split}.jsonl") for split in SPLITS} for form in render.formats
    }
    whole = sum(splits.values())
    return {"rendered": rows, "left_out": {form: whole - sum(counts.values()) for form, counts in rows.items()}}


def _write_preview(folder: Path, template: TextTemplate) -> None:
    with (folder / PREVIEW).open("wb") as out:
        for example in islice(read_examples(folder, "train"), _PREVIEW_ROWS):
            text = training_text(example, template)
            out.write(encode_line({"example_id": example.example_id, "template": template.name, "text": text}) + b"\n")


def _count_lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
