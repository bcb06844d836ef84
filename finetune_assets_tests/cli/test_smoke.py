"""`finetune run TASK --smoke`: a small job proves the way, and YAML may demand it before the full one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.lineage.cloud.plan import files_of
from finetune_assets.lineage.runtime import namespace_of
from finetune_assets.lineage.smoke import RECORD, find_smoke, smoke_finding, smoke_key
from finetune_assets.lineage.tuning_request import sends_validation
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.registry import Registry
from finetune_assets.resources.platform import RunOptions
from finetune_assets.storage.files import read_json
from finetune_assets.storage.intents import list_intents
from finetune_assets_tests.cli.cloud import TASK, CloudTask, cloud  # noqa: F401
from finetune_assets_tests.cli.conftest import Finetune, Said, build

SMOKE = {"required": True, "rows": 30}


def record_of(cloud: CloudTask, variant: str = "") -> dict[str, Any]:  # noqa: F811
    found = find_smoke(cloud.open().for_variant(variant), variant)
    assert found is not None
    facts: dict[str, Any] = read_json(found.file(RECORD))
    return facts


def full(finetune: Finetune) -> Said:
    return finetune("run", TASK, "--until", "tuned_adapter")


def test_a_smoke_test_opens_the_way_for_the_full_job(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("cloud", smoke=SMOKE)
    refused = full(finetune)
    assert refused.code == 1
    assert "no smoke test with these settings has succeeded" in refused.error
    assert f"finetune run {TASK} --smoke" in refused.error
    assert cloud.vertex.jobs() == []
    said = finetune("run", TASK, "--smoke")
    assert said.code == 0, said.error
    assert f"finetune run {TASK}    # the smoke test succeeded" in said.out
    record = record_of(cloud)
    assert (record["rows"], record["validation_rows_sent"], record["base_model"]) == (30, True, "gemini-2.5-flash")
    (intent,) = list_intents(cloud.open().database, TASK)
    assert intent.actual_cost is not None, "it goes through the same budget"
    assert intent.namespace.startswith("smoke-")
    assert Registry(cloud.open().database).releases(TASK) == []
    assert full(finetune).code == 0
    assert len(cloud.vertex.jobs()) == 2
    again = finetune("run", TASK, "--smoke")
    assert (again.code, len(cloud.vertex.jobs())) == (0, 2)


def test_other_settings_need_a_smoke_test_of_their_own(cloud: CloudTask) -> None:  # noqa: F811
    own = cloud.open()
    key = smoke_key(own, "")
    cloud.change("cloud", budget={"monthly_usd": 1}, deadlines={"quota_h": 1}, smoke=SMOKE)
    assert smoke_key(cloud.open(), "") == key, "what decides nothing of the job is no part of it"
    (finding,) = smoke_finding(cloud.open(), "")
    assert (finding.rule, finding.severity) == ("smoke", "error")
    for section, changes in (
        ("tuning", {"epochs": 3}),
        ("tuning", {"managed": {"adapter_size": 8}}),
        ("cloud", {"location": "europe-west4"}),
        ("cloud", {"service_account": "tuner@p1.iam.gserviceaccount.com"}),
    ):
        cloud.change(section, **changes)
        other = smoke_key(cloud.open(), "")
        assert other != key
        key = other
    assert smoke_key(own, "large") != smoke_key(own, "")


def test_a_model_that_gives_no_answer_proves_nothing(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("cloud", smoke=SMOKE)
    cloud.vertex.faults([{"match": "generateContent", "status": 400, "message": "blocked"}])
    said = finetune("run", TASK, "--smoke")
    assert said.code == 1
    assert find_smoke(cloud.open(), "") is None
    cloud.vertex.faults([])
    assert finetune("run", TASK, "--smoke").code == 0
    assert len(cloud.vertex.jobs()) == 1, "nothing is tuned twice"
    assert record_of(cloud)["answer_is_readable"] in (True, False)


def test_rows_that_the_service_dropped_fail_it(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.vertex.plan({"kind": "tuning", "dropped": {"1": "too long"}})
    said = finetune("run", TASK, "--smoke")
    assert (said.code, "the smoke test does not hold" in said.error) == (1, True)
    assert find_smoke(cloud.open(), "") is None


def test_the_smoke_test_has_to_fit_the_budget(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("cloud", budget={"monthly_usd": 0.0001})
    said = finetune("run", TASK, "--smoke")
    assert (said.code, "does not fit the month's budget" in said.error) == (1, True)
    assert cloud.vertex.jobs() == []


def test_validation_rows_that_are_too_many_are_left_out_of_a_smoke_test_only(cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("tuning", backend="open_model", base_model="meta/llama3_1@llama-3.1-8b-instruct")
    cloud.change("dataset", split={"train": 0.4, "validation": 0.4, "test": 0.2})
    build(TASK)
    whole = cloud.open()
    uploaded = _uploaded(whole)
    assert sends_validation(whole, uploaded), "the preflight refuses it"
    assert not sends_validation(_as_smoke(whole), uploaded)
    cloud.change("tuning", backend="gemini", base_model="gemini-2.5-flash")
    assert sends_validation(_as_smoke(cloud.open()), uploaded), "Gemini has no such rule"


def test_what_is_left_out_is_neither_checked_nor_sent(cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("tuning", backend="open_model", base_model="meta/llama3_1@llama-3.1-8b-instruct")
    cloud.change("dataset", split={"train": 0.4, "validation": 0.4, "test": 0.2})
    build(TASK, uploaded=True)
    assert files_of(cloud.open())[1] is not None
    assert files_of(_as_smoke(cloud.open()))[1] is None


def test_a_smoke_test_has_a_namespace_of_its_own() -> None:
    smoke, limited = RunOptions(limit=20, smoke=True), RunOptions(limit=20)
    assert smoke.is_experiment
    assert namespace_of(smoke).startswith("smoke-")
    assert namespace_of(limited) == "experiment-" + namespace_of(smoke).removeprefix("smoke-")
    assert RunOptions(smoke=True).is_experiment


@pytest.mark.parametrize("option", [("--limit", "5"), ("--until", "tuned_adapter")])
def test_its_rows_and_its_end_are_its_own(finetune: Finetune, tools: Path, option: tuple[str, str]) -> None:
    assert finetune("run", TASK, "--smoke", *option).code == 2


def test_an_open_model_is_asked_by_batch_prediction(finetune: Finetune, cloud: CloudTask) -> None:  # noqa: F811
    cloud.change("tuning", backend="open_model", base_model="meta/llama3_1@llama-3.1-8b-instruct")
    said = finetune("run", TASK, "--smoke")
    assert said.code == 0, said.error
    assert record_of(cloud)["backend"] == "open_model"
    kinds = [job["kind"] for job in cloud.vertex.jobs()]
    assert len(kinds) == 2, kinds
    assert json.dumps(kinds).count("Tuning") == 1


def _uploaded(task: Any) -> Any:
    from finetune_assets.lineage.uploaded_dataset import upload

    return upload(task)[0]


def _as_smoke(task: Any) -> Any:
    from dataclasses import replace

    return replace(task, options=RunOptions(limit=30, smoke=True), namespace=task.namespace)


def test_a_task_without_rows_says_so(cloud: CloudTask) -> None:  # noqa: F811
    with pytest.raises(FinetuneError, match="upstream has no result yet"):
        files_of(cloud.open())
