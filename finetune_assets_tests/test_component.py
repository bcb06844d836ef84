"""Finding tasks in folders: a fault in one folder is that folder's own."""

from pathlib import Path

import pytest

from finetune_assets.component import TASK_FOLDERS_VARIABLE, known_tasks
from finetune_assets.records.errors import FinetuneError

GOOD = """type: finetune_assets.component.FineTuningTask
attributes:
  task_type: classification
  dataset: {source: {path: rows.jsonl}}
  classification: {taxonomy: taxonomy.json}
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    for name, text in (("winds", GOOD), ("clouds", GOOD.replace("classification", "weather", 1))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    return tmp_path


def test_a_task_is_found_although_another_folder_is_faulty(outside: Path) -> None:
    tasks = known_tasks({TASK_FOLDERS_VARIABLE: str(outside)}, wanted="winds")
    assert "winds" in tasks
    assert "clouds" not in tasks


def test_the_faulty_task_itself_is_refused_with_its_own_fault(outside: Path) -> None:
    with pytest.raises(FinetuneError, match=r"clouds/defs\.yaml"):
        known_tasks({TASK_FOLDERS_VARIABLE: str(outside)}, wanted="clouds")


def test_a_list_of_all_tasks_says_what_cannot_be_read(outside: Path) -> None:
    with pytest.raises(FinetuneError, match=r"clouds/defs\.yaml"):
        known_tasks({TASK_FOLDERS_VARIABLE: str(outside)})


def test_two_tasks_of_one_name_are_refused_by_both_folders(outside: Path) -> None:
    (outside / "clouds" / "defs.yaml").write_text(GOOD.replace("attributes:\n", "attributes:\n  task: winds\n"))
    with pytest.raises(FinetuneError, match="two tasks have one name") as caught:
        known_tasks({TASK_FOLDERS_VARIABLE: str(outside)}, wanted="winds")
    assert str(outside / "clouds") in str(caught.value)
    assert str(outside / "winds") in str(caught.value)
