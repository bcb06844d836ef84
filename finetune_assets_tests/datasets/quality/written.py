"""A split dataset of a few rows, as the build would write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finetune_assets.datasets.normalise import content_key
from finetune_assets.records.example import Example, SourceRef

Row = dict[str, Any]


def row(number: int, text: str, target: str = "answer", **more: Any) -> Row:
    """Return the row of one question; `more` replaces fields."""
    label = more.pop("label", "one")
    example = Example(
        record_id=f"r{number}",
        content_key=content_key({"text": text, "number": number}),
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": text}),
        target=target,
        label=label,
        label_path=(label,),
        source=SourceRef(more.pop("file", "rows.jsonl"), line=number + 1),
        facts=more.pop("facts", {}),
    )
    return {"split": "train", **example.to_json(), **more}


def write(folder: Path, rows: list[Row], conflicts: list[Row] = (), pairs: list[Row] = ()) -> Path:  # type: ignore[assignment]
    """Write the files that detectors read; return the folder."""
    for name, lines in (("examples", rows), ("conflicts", conflicts), ("near_duplicates", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
