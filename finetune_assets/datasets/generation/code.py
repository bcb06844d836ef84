"""Source files from a template: the Java of the sample's generator, with other choices for other seeds."""

from __future__ import annotations

from typing import Any

from finetune_assets.datasets.synthetic.java_code import FOLDER, sample_files

TEMPLATE = "template-code/1"
LANGUAGE = "java"
_ODD = "/odd/"
# The parts can be put together in so many ways only; after as many seeds nearly every file has been there.
_MOST_SEEDS = 200


def template_files(seed: int, count: int) -> list[dict[str, Any]]:
    """Return up to `count` sound files as rows of path, language and text, no two of them equal."""
    rows: dict[str, dict[str, Any]] = {}
    for turn in range(_MOST_SEEDS):
        for name, content in sample_files(seed * _MOST_SEEDS + turn).items():
            text = content.decode("utf-8", "replace")
            if len(rows) == count:
                return list(rows.values())
            if _ODD not in name and text not in rows:
                path = f"synthetic_{seed}_{turn:03d}/{name.removeprefix(f'{FOLDER}/sample/')}"
                rows[text] = {"path": path, "language": LANGUAGE, "text": text}
    return list(rows.values())
