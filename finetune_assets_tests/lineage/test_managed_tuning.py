"""One variant's step at a provider: it attaches to what was paid for, and no sibling's trouble is its own."""

import signal
import threading
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run

from finetune_assets.lineage.bases import find_base
from finetune_assets.lineage.cloud.doors import open_clients, open_store, resolved_task
from finetune_assets.lineage.cloud.managed_tuning import tune_managed
from finetune_assets.lineage.cloud.plan import Plan, plan_job
from finetune_assets.lineage.runtime import adapter_stage, asset_key
from finetune_assets.lineage.tuning_request import request_of
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.storage.intents import events_of, list_intents
from finetune_assets.storage.ledger import to_usd
from finetune_assets.tuning.backends.recording import REFUSED
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.backends.submission import Booking, submit_once
from finetune_assets_tests.cli.cloud import TASK, CloudTask, cloud  # noqa: F401
from finetune_assets_tests.cli.conftest import build
from finetune_assets_tests.fakes.fixtures import wait_until


@pytest.fixture
def ready(cloud: CloudTask) -> CloudTask:  # noqa: F811
    """The task, its rows in the bucket."""
    build(TASK, uploaded=True)
    open_store(cloud.open()).publish(cloud.open().result(UPLOADED))
    return cloud


def steps_of(ready: CloudTask, *variants: str) -> list[dg.AssetsDefinition]:
    """Return the variants' assets, which tune and do nothing else."""

    def step(variant: str) -> dg.AssetsDefinition:
        @dg.asset(key=asset_key(TASK, adapter_stage(variant)))
        def tuned(context: dg.AssetExecutionContext) -> None:
            tune_managed(ready.open(), context, variant)

        return tuned

    return [step(name) for name in variants]


def tune(ready: CloudTask, *variants: str) -> dg.ExecuteInProcessResult:
    """Tune variants in one run, a step each."""
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(steps_of(ready, *variants), instance=instance, raise_on_error=False)


def outcome(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return why each step failed, "" for one that did not."""
    found = {event.step_key: "" for event in result.all_events if event.is_step_success}
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            found[event.step_key or ""] = str(error.cause.message if error and error.cause else error)
    return {str(name).rsplit("__", 1)[-1]: why for name, why in found.items()}


def plan_of(ready: CloudTask, variant: str = "") -> Plan:
    task = resolved_task(ready.open().for_variant(variant))
    return plan_job(task, request_of(task, find_base(task)), open_store(task), variant)


def refuse_by_budget(ready: CloudTask) -> None:
    ready.change("cloud", budget={"per_job_usd": 0.000001})
    assert not plan_of(ready).is_ready


def test_a_job_that_was_paid_for_is_attached_to_whatever_the_budget_says_now(ready: CloudTask) -> None:
    plan = plan_of(ready)
    task = ready.open()
    backend = backend_of("gemini", open_clients(task))
    submit_once(task.database, backend, plan.job, Booking(reservation=plan.reservation))
    refuse_by_budget(ready)
    assert outcome(tune(ready, "")) == {"tuned_adapter": ""}
    assert len(ready.vertex.jobs()) == 1


def test_a_new_job_is_refused_by_the_budget(ready: CloudTask) -> None:
    refuse_by_budget(ready)
    (why,) = outcome(tune(ready, "")).values()
    assert "per_job_usd" in why, why
    assert ready.vertex.jobs() == []


def test_a_sibling_that_is_refused_breaks_no_step_but_its_own(ready: CloudTask) -> None:
    other: dict[str, Any] = {"small": {"epochs": 2}, "large": {"epochs": 3}}
    ready.change("tuning", variants=other)
    high = [to_usd(reservation.high) for name in other if (reservation := plan_of(ready, name).reservation)]
    ready.change("cloud", budget={"monthly_usd": sum(high) * 0.8, "per_job_usd": 2}, concurrent_jobs=2)
    found = outcome(tune(ready, *other))
    assert sorted(name for name, why in found.items() if not why) == [min(found, key=lambda name: len(found[name]))]
    assert sum("budget" in why for why in found.values()) == 1, found
    assert len(ready.vertex.jobs()) == 1


def vary(ready: CloudTask, *variants: str, **cloud_settings: Any) -> None:
    """Give the task variants that differ in their epochs."""
    ready.change("tuning", variants={name: {"epochs": epochs} for epochs, name in enumerate(variants, 2)})
    ready.change("cloud", **cloud_settings)


def under_way(ready: CloudTask) -> int:
    """Return how many jobs were under way at once at the most, as their intents tell."""
    database = ready.open().database
    changes = [
        (event.at, event.to_state)
        for intent in list_intents(database)
        for event in events_of(database, intent.request_key)
        if event.to_state == "SUCCEEDED" or (event.handle and event.from_state == "INTENDED")
    ]
    most = now = 0
    for _, state in sorted(changes):
        now += -1 if state == "SUCCEEDED" else 1
        most = max(most, now)
    assert now == 0
    return most


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_variants_of_a_run_are_tuned_side_by_side(ready: CloudTask, at_once: int) -> None:
    vary(ready, "a", "b", "c", concurrent_jobs=at_once)
    assert not any(outcome(tune(ready, "a", "b", "c")).values())
    assert len(ready.vertex.jobs()) == 3
    assert under_way(ready) == at_once


@pytest.mark.parametrize("named", [True, False])
def test_a_variant_that_the_run_does_not_make_is_not_asked_for(ready: CloudTask, *, named: bool) -> None:
    vary(ready, "a", "b", "c", concurrent_jobs=3)
    with dg.DagsterInstance.ephemeral() as instance:
        steps = steps_of(ready, "a", "b", "c") if named else steps_of(ready, "a", "c")
        keys = [asset_key(TASK, adapter_stage(name)) for name in ("a", "c")]
        job = dg.Definitions(assets=steps).resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance, asset_selection=keys if named else None).success
    assert sorted(intent.variant for intent in list_intents(ready.open().database)) == ["a", "c"]
    assert under_way(ready) == 2


def test_a_step_that_is_made_alone_again_asks_for_no_other(ready: CloudTask) -> None:
    vary(ready, "a", "b", concurrent_jobs=2)
    definitions = dg.Definitions(assets=steps_of(ready, "a", "b"), executor=dg.in_process_executor)
    job = definitions.resolve_implicit_global_asset_job_def()
    plan = create_execution_plan(job, step_keys_to_execute=[f"{TASK}__tuned_adapter_a"])
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(job, execution_plan=plan)
        assert execute_run(InMemoryJob(job), run, instance).success
    assert [intent.variant for intent in list_intents(ready.open().database)] == ["a"]


def test_a_sibling_that_failed_is_told_and_breaks_no_other_step(ready: CloudTask) -> None:
    vary(ready, "a", "b", "c", concurrent_jobs=3)
    ready.vertex.plan({"fail": {"code": 3, "message": "bad rows", "at": "tuning"}})
    assert "bad rows" in "".join(outcome(tune(ready, "b")).values())
    found = outcome(tune(ready, "a", "b", "c"))
    assert sorted(name for name, why in found.items() if why) == ["tuned_adapter_b"], found


def test_a_sibling_without_quota_is_left_to_its_own_step(ready: CloudTask) -> None:
    vary(ready, "a", "b", concurrent_jobs=2)
    ready.vertex.settings(tuning_quota=1, tuning_quota_rejects=True)
    ready.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    database = ready.open().database

    def end_the_first() -> None:
        wait_until(lambda: any(intent.phase == REFUSED for intent in list_intents(database)))
        ready.vertex.speed(advance=10.0**7)

    thread = threading.Thread(target=end_the_first, daemon=True)
    thread.start()
    assert not any(outcome(tune(ready, "a", "b")).values())
    thread.join(timeout=10)
    assert under_way(ready) == 1


@pytest.mark.parametrize("by_a_person", [True, False])
def test_a_persons_cancel_ends_all_jobs_of_the_run_and_a_signal_none(
    ready: CloudTask, tmp_path_factory: pytest.TempPathFactory, *, by_a_person: bool
) -> None:
    vary(ready, "a", "b", "c", concurrent_jobs=2)
    for _ in range(2):
        ready.vertex.plan({"kind": "tuning", "waiting_for_quota_s": 10**6})
    database, main = ready.open().database, threading.main_thread().ident or 0

    def interrupt(instance: dg.DagsterInstance) -> None:
        wait_until(lambda: sum(bool(intent.handle) for intent in list_intents(database)) == 2)
        if by_a_person:
            instance.report_run_canceling(instance.get_run_records(limit=1)[0].dagster_run)
        signal.pthread_kill(main, signal.SIGINT)

    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        thread = threading.Thread(target=interrupt, args=(instance,), daemon=True)
        thread.start()
        with pytest.raises(dg.DagsterExecutionInterruptedError):
            dg.materialize(steps_of(ready, "a", "b", "c"), instance=instance)
        thread.join(timeout=10)
    wished = [bool(intent.cancel_requested_by) for intent in list_intents(database)]
    assert wished == [by_a_person] * 2
    ending = {"JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"}
    assert [job["state"] in ending for job in ready.vertex.jobs()] == wished
