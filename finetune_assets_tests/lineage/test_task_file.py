"""The faults of a defs.yaml: each names the line, what stands there and the mend."""

from pathlib import Path

import pytest

from finetune_assets.component import COMPONENT_TYPE, read_task_folder
from finetune_assets.lineage.task_file import read_task_file
from finetune_assets.records.errors import FinetuneError

GOOD = f"""type: {COMPONENT_TYPE}
attributes:
  task_type: classification
  dataset:
    source:
      path: rows.jsonl
    slices:
      critical: {{field: critical, equals: true}}
  classification:
    taxonomy: taxonomy.json
"""

FAULTS = [
    pytest.param("  dataset:", "\tdataset:", ["not YAML", "defs.yaml:4", "indent with spaces"], id="tab"),
    pytest.param("rows.jsonl", "[rows.jsonl", ["not YAML", "brackets", ":7"], id="open bracket"),
    pytest.param("source:", "sourc:", ["unknown key", ":5", "`dataset.sourc`", "mean `source`?"], id="misspelt"),
    pytest.param("path: rows", "path:rows", [":5", "a space behind the colon"], id="no space behind the colon"),
    pytest.param("classification\n", "clasification\n", [":3", "did you mean `classification`?"], id="wrong type"),
    pytest.param(
        "  classification:\n    taxonomy: taxonomy.json\n", "", ["needs a section `classification:`"], id="no taxonomy"
    ),
    pytest.param("  classification:\n", "  routing:\n", [":10", "`routing.taxonomy`"], id="section of another type"),
    pytest.param(
        "      path: rows.jsonl",
        "      path: rows.jsonl\n      split: {train: 1}",
        [":7", "`dataset.source.split`", "the setting is `dataset.split`: move it there"],
        id="wrong place",
    ),
    pytest.param("field: critical", "feild: critical", [":8", "did you mean `field`?"], id="within a mapping"),
    pytest.param("attributes:", "attribute:", ["no attributes", "`attribute:`"], id="no attributes"),
    pytest.param(COMPONENT_TYPE, "other.Thing", ["another type", "found type: other.Thing"], id="other component"),
    pytest.param(f"type: {COMPONENT_TYPE}\n", "", ["another type", "no `type:`"], id="no type"),
    pytest.param("    source:\n      path: rows.jsonl", "    source:", [":5", "path", "below it"], id="empty section"),
    pytest.param(GOOD, "", ["another type"], id="empty file"),
    pytest.param("    slices:", "    min_train_rows: many\n    slices:", [":7", "train_rows", "'many'"], id="value"),
    pytest.param(
        "    slices:",
        "    split: {train: 0.8, validation: 0.3, test: 0.1}\n    slices:",
        [":7", "train + validation + test must be 1"],
        id="shares",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), FAULTS)
def test_a_fault_is_told_with_its_line_and_its_mend(tmp_path: Path, old: str, new: str, said: list[str]) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(FinetuneError) as caught:
        read_task_file(path, COMPONENT_TYPE)
    line = str(caught.value)
    for part in (*said, str(path), "Mend: "):
        assert part in line
    for foreign in ("Value error", "Input should", "Extra inputs", "Field required"):
        assert foreign not in line


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD)
    assert read_task_file(path, COMPONENT_TYPE).dataset.source.path == "rows.jsonl"


def test_several_faults_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD.replace("source:", "sourc:").replace("taxonomy:", "taxo:"))
    with pytest.raises(FinetuneError, match="and 3 more in this file"):
        read_task_file(path, COMPONENT_TYPE)


def test_a_folder_whose_name_no_task_may_have_is_told_with_the_mend(tmp_path: Path) -> None:
    folder = tmp_path / "My Task"
    folder.mkdir()
    (folder / "defs.yaml").write_text(GOOD)
    with pytest.raises(FinetuneError, match="rename the folder"):
        read_task_folder(folder)
