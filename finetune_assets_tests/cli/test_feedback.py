"""`finetune feedback`: from a file of feedback to corrected cases, and a person's texts deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets_tests.cli.conftest import Finetune

TASK = "tools"
LINES: list[Any] = [
    {"verdict": "wrong", "input": "the oven hums", "answer": "garden", "correction": "kettle", "rater": "rita"},
    {"verdict": "wrong", "input": "the hose leaks", "answer": "kitchen", "comment": "rita says no", "rater": "rita"},
    {"verdict": "perhaps", "input": "a spade"},
    {"verdict": "wrong", "input": "a rake", "wrong_key": 1},
]


def imported(finetune: Finetune, folder: Path) -> Any:
    path = folder / "said.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES) + "{\n", encoding="utf-8")
    return finetune("feedback", "import", TASK, path, "--json").json()


def test_a_file_is_imported_once_and_bad_lines_are_named(finetune: Finetune, tools: Path, tmp_path: Path) -> None:
    done = imported(finetune, tmp_path)
    assert (done["lines"], done["taken"], done["repeated"]) == (5, 2, 0)
    assert done["reasons"] == {"not_json": 1, "unknown_key": 1, "unknown_verdict": 1}
    assert [line["line"] for line in done["bad"]] == [3, 4, 5]
    assert imported(finetune, tmp_path)["repeated"] == 2
    shown = finetune("feedback", "import", TASK, tmp_path / "said.jsonl")
    assert shown.code == 0
    assert "2 known already, 3 refused" in shown.out
    assert "line 5: the line is no JSON (not_json)" in shown.out
    assert "cannot be read" in finetune("feedback", "import", TASK, tmp_path / "absent.jsonl").error


def test_cases_are_listed_corrected_and_dismissed(finetune: Finetune, tools: Path, tmp_path: Path) -> None:
    assert finetune("feedback", "list", TASK).out.strip() == "no error cases"
    first, second = imported(finetune, tmp_path)["cases"]
    cases = finetune("feedback", "list", TASK, "--json").json()
    assert [(case["case"], case["state"], case["correction"]) for case in cases] == [
        (first, "corrected", "kettle"),
        (second, "new", None),
    ]
    assert "the hose leaks" in finetune("feedback", "list", TASK).out
    assert f"case {second} is corrected" in finetune("feedback", "correct", str(second), "spade").out
    assert finetune("feedback", "list", TASK, "--state", "new", "--json").json() == []
    assert finetune("feedback", "dismiss", str(first), "--reason", "not_an_error").code == 0
    states = {case["case"]: case["state"] for case in finetune("feedback", "list", TASK, "--json").json()}
    assert states == {first: "dismissed", second: "corrected"}
    for command, said in (
        (("correct", "999", "x"), "no such case"),
        (("correct", str(second), "  "), "blank"),
        (("correct", str(second), "no label"), "the correction cannot be read"),
        (("dismiss", str(second), "--reason", "tired"), "reason is unknown"),
        (("dismiss", str(second), "--reason", "forgotten"), "reason is unknown"),
        (("list", TASK, "--state", "open"), "state is unknown"),
        (("list", "absent"), "task is not known"),
        (("forget", "  "), "blank"),
    ):
        found = finetune("feedback", *command)
        assert found.code == 1
        assert said in found.error


def test_a_person_is_forgotten(finetune: Finetune, tools: Path, tmp_path: Path, platform_home: Path) -> None:
    _, second = imported(finetune, tmp_path)["cases"]
    done = finetune("feedback", "forget", "rita", "--json").json()
    assert (done["comments"], done["names"], done["dataset_versions"]) == (1, 2, [])
    again = finetune("feedback", "forget", "rita", "--json").json()
    assert not any(again[name] for name in ("predictions", "cases", "texts", "corrections", "comments", "names"))
    assert "deleted: texts of 0 predictions" in finetune("feedback", "forget", "rita").out
    home = Home(platform_home)
    database = Database.open(home.database_url)
    case = CaseBook(database, FeedbackConfig(), Pseudonyms.load(home.path)).find(second)
    database.close()
    assert case is not None, "what is about nobody stays"
