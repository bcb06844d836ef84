"""`finetune suites`: hard negatives mined from a pool, held out from the splits, and a history without releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_assets.cli.common import find_task
from finetune_assets.evaluation.config import SuiteConfig
from finetune_assets.lineage.comparing import open_asked, open_here
from finetune_assets.lineage.suites import read_suite
from finetune_assets.storage.home import Home
from finetune_assets_tests.cli.conftest import Finetune, build, rows_of
from finetune_assets_tests.datasets.generation.server import Reply, Server, serving
from finetune_assets_tests.e2e.tasks import LABELS

DOMAIN_OF = {label: domain for domain, labels in LABELS.items() for label in labels}
VERBS = ("mislaid", "sold", "painted", "borrowed", "dropped", "cleaned", "measured", "packed", "lent", "mended")


def _pool(folder: Path) -> Path:
    """Forty new records, three of the training data's own, and one that cannot be read."""
    new = [
        {"id": f"new-{verb}-{label}", "text": f"Somebody {verb} our old {label} behind the shed.", "label": label}
        for verb in VERBS
        for label in DOMAIN_OF
    ]
    for row in new:
        row["domain"] = DOMAIN_OF[row["label"]]
    rows: list[dict[str, Any]] = [*new, *rows_of(folder)[:3], {"id": "torn", "text": "What is this?", "label": "cow"}]
    path = folder.parent.parent / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def server(tools: Path, platform_home: Path) -> Iterator[Server]:
    """Two models: `bright` knows every label, `dim` takes each kettle for a spade."""

    def answer(body: dict[str, Any], _number: int) -> Reply:
        said = body["messages"][-1]["content"]
        label = next(name for name in DOMAIN_OF if name in said)
        label = "spade" if body["model"] == "dim" and label == "kettle" else label
        return Reply(json.dumps({"domain": DOMAIN_OF[label], "label": label}))

    with serving(answer) as running:
        place = tools / "defs.yaml"
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
        models = {
            name: {"base_url": running.url, "model": name, "retries": 0, "backoff_s": 0} for name in ("bright", "dim")
        }
        document["attributes"]["evaluation"] = {"contenders": models}
        place.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        build("tools")
        yield running


def test_the_rows_that_a_model_gets_wrong_become_a_suite(tools: Path, server: Server, finetune: Finetune) -> None:
    pool, suite = _pool(tools), tools / "hard.jsonl"
    found = finetune("suites", "mine", "tools", pool, suite, "--model", "dim", "--model", "bright", "--json").json()
    assert (found["pool"], found["rejected"]) == (43, 1)
    assert set(found["leaked"]) == {"row-0", "row-1", "row-2"}
    wrong = {row["record_id"] for row in found["rows"] if row["wrong"]}
    assert wrong == {f"new-{verb}-kettle" for verb in VERBS}
    hardest = found["rows"][: len(wrong)]
    assert {row["record_id"] for row in hardest} == wrong
    written = [json.loads(line)["record_id"] for line in suite.read_text(encoding="utf-8").splitlines()]
    assert sorted(written) == sorted(row["record_id"] for row in found["rows"])


def test_the_suite_is_read_as_the_task_reads_its_records(tools: Path, server: Server, finetune: Finetune) -> None:
    suite = tools / "hard.jsonl"
    mined = finetune("suites", "mine", "tools", _pool(tools), suite, "--model", "dim", "--json").json()["rows"]
    task = open_here(find_task("tools"), Home(tools.parents[1] / "home"))
    found = read_suite(open_asked(task, [], [], print), SuiteConfig(name="hard", kind="edge", path="hard.jsonl"))
    assert found.rejected == 0
    assert {example.record_id for example in found.examples} == {row["record_id"] for row in mined}


def test_no_file_is_overwritten_and_no_empty_suite_written(tools: Path, server: Server, finetune: Finetune) -> None:
    pool, suite = _pool(tools), tools / "hard.jsonl"
    suite.write_text("mine\n", encoding="utf-8")
    assert "exists" in finetune("suites", "mine", "tools", pool, suite, "--model", "dim").error
    assert suite.read_text(encoding="utf-8") == "mine\n"
    seen = tools / "data" / "rows.jsonl"
    said = finetune("suites", "mine", "tools", seen, tools / "none.jsonl", "--model", "dim")
    assert said.code == 1
    assert "not held out" in said.error
    assert not (tools / "none.jsonl").exists()


def test_a_task_without_suites_says_where_they_are_named(tools: Path, finetune: Finetune) -> None:
    assert "evaluation.suites" in finetune("suites", "history", "tools").out
    assert finetune("suites", "history", "tools", "--json").json() == {"task": "tools", "suites": []}
