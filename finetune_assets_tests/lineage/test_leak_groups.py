from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.lineage.splits_checks import _idle_keys, _leak_groups


@pytest.mark.parametrize(
    ("largest", "rows", "passed"),
    [(50, 1_000, True), (150, 1_000, False), (15, 60, True), (30, 60, False)],
)
def test_a_leak_group_of_too_many_rows_warns(tmp_path: Path, largest: int, rows: int, passed: bool) -> None:
    (tmp_path / "certificate.json").write_text(
        json.dumps(
            {
                "components": rows - largest + 1,
                "largest_component": largest,
                "largest_component_share": largest / rows,
                "component_sizes": {"1": rows - largest, "32-63": 1},
                "near_duplicates": {"searched": False},
            }
        )
    )
    task: Any = SimpleNamespace(config=SimpleNamespace(dataset=SimpleNamespace(split=SplitConfig())))
    artifact: Any = SimpleNamespace(file=lambda name: tmp_path / name)
    evidence = _leak_groups(task, artifact)
    assert evidence.passed is passed
    assert f"the largest of {largest} rows" in evidence.summary
    assert evidence.rows[1] == {"rows_in_group": "32-63", "groups": 1}


def test_a_declared_key_that_no_row_has_is_named(tmp_path: Path) -> None:
    rows = [["child=1"], [], ["child=2", "room=a"]]
    lines = [json.dumps({"split": "train", "groups": groups}, separators=(",", ":")) for groups in rows]
    (tmp_path / "examples.jsonl").write_text("\n".join(lines) + "\n")
    artifact: Any = SimpleNamespace(path=tmp_path)
    assert _idle_keys(artifact, ["child", "chlid", "room", "roo"]) == ["chlid", "roo"]
    assert _idle_keys(artifact, []) == []
