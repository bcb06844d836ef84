"""A run that is stopped while a batch prediction is under way: a person's cancel ends it, a signal leaves it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from finetune_assets.datasets.build import read_examples
from finetune_assets.lineage.asking import Room, ask
from finetune_assets.lineage.bases import find_base
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.runtime import TaskRun, is_cancelled
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets_tests.cli.cloud import TASK, CloudTask, cloud  # noqa: F401
from finetune_assets_tests.cli.conftest import build
from finetune_assets_tests.fakes.fixtures import wait_until


@pytest.fixture
def interrupted(cloud: CloudTask) -> Iterator[None]:  # noqa: F811
    """Interrupt the main thread as soon as a job is there, as Ctrl-C and Dagster's cancel do."""
    main = threading.main_thread().ident

    def interrupt() -> None:
        wait_until(lambda: bool(cloud.vertex.jobs()))
        signal.pthread_kill(main or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    yield
    thread.join(timeout=10)
    signal.signal(signal.SIGINT, before)


def ask_base(cloud: CloudTask, said: list[str], *, cancelled: bool) -> None:  # noqa: F811
    task: TaskRun = replace(cloud.open(), cancelled=lambda: cancelled)
    base = Contender("untuned base", "", find_base(task), None)
    room = Room(task, task.task_type(), 64, said.append)
    ask(room, base, list(read_examples(task.result(SPLITS).path, "test"))[:3])


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_persons_cancel_ends_the_job_and_a_signal_leaves_it(
    cloud: CloudTask,  # noqa: F811
    request: pytest.FixtureRequest,
    *,
    cancelled: bool,
) -> None:
    cloud.change("cloud", inference="batch")
    build(TASK)
    cloud.vertex.speed(1.0)
    request.getfixturevalue("interrupted")
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        ask_base(cloud, said, cancelled=cancelled)
    (job,) = cloud.vertex.jobs()
    is_ended = job["state"] in ("JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED")
    assert is_ended == cancelled, job["state"]
    assert said == (["untuned base: asked the provider to cancel the batch prediction"] if cancelled else [])


@pytest.mark.parametrize(
    ("status", "wanted"), [(dg.DagsterRunStatus.CANCELING, True), (dg.DagsterRunStatus.STARTED, False)]
)
def test_dagsters_records_say_whether_a_person_cancelled(status: dg.DagsterRunStatus, *, wanted: bool) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(_job(), status=status)
        context: Any = SimpleNamespace(instance=instance, run=SimpleNamespace(run_id=run.run_id))
        assert is_cancelled(context) is wanted
        context.run.run_id = "0" * 32
        assert is_cancelled(context) is False


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def empty() -> None:
        nothing()

    return empty
