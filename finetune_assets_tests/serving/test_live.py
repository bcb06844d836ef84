from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.batching import MicroBatcher
from finetune_assets.serving.live import LiveReleases
from finetune_assets.serving.metrics import GatewayMetrics
from finetune_assets.storage.errors import StorageError
from finetune_assets_tests.serving.fakes import FakeEngine, FakeSource, ref


@asynccontextmanager
async def following(source, **options):
    metrics = GatewayMetrics()
    batcher = MicroBatcher(metrics, wait_s=0)
    live = LiveReleases(source, batcher, metrics, poll_s=0.01, **options)
    workers = [asyncio.create_task(batcher.run()), asyncio.create_task(live.follow())]
    try:
        yield live, metrics
    finally:
        assert not any(worker.done() for worker in workers), "a worker ended by itself"
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def version(live, task="intents"):
    release = live.get(task)
    return release.ref.version if release else None


def count(metrics, name):
    return sum(s.value for family in metrics.registry.collect() for s in family.samples if s.name == name)


def test_it_follows_the_pointer_forth_and_back(task_type):
    source = FakeSource(task_type, lambda _: FakeEngine("{}"))

    async def run():
        async with following(source) as (live, metrics):
            await until(lambda: source.prepared)
            assert not live.ready
            for wanted in (1, 2, 1):
                source.wanted = {"intents": ref(wanted)}
                await until(lambda wanted=wanted: version(live) == wanted)
                assert live.ready
                assert live.describe()["tasks"]["intents"]["serving"]["version"] == wanted
                shown = [s.labels["version"] for f in metrics.registry.collect() for s in f.samples if "live" in s.name]
                assert shown == [str(wanted)]
            source.wanted = {}
            await until(lambda: live.get("intents") is None)
            assert not live.expects("intents")
            assert "finetune_live_release{" not in metrics.exposition().decode()

    asyncio.run(run())
    assert [item.version for item in source.loaded] == [1, 2, 1]


@pytest.mark.parametrize(
    "broken",
    [
        FakeEngine(error=FinetuneError("template differs")),
        FakeEngine(error=StorageError("file is missing")),
        "silent",
    ],
    ids=["error", "missing", "silent"],
)
def test_a_release_that_does_not_answer_never_takes_over(task_type, broken):
    def make(wanted):
        if wanted.version == 1:
            return FakeEngine("{}")
        if broken == "silent":
            engine = FakeEngine()
            engine.completion = Completion.failed("scores_not_finite")
            return engine
        return broken

    source = FakeSource(task_type, make)
    source.wanted = {"intents": ref(1)}

    async def run():
        async with following(source) as (live, metrics):
            await until(lambda: version(live) == 1)
            source.wanted = {"intents": ref(2)}
            await until(lambda: count(metrics, "finetune_release_load_failures_total") >= 1)
            assert version(live) == 1
            state = live.describe()["tasks"]["intents"]
            assert state["serving"]["version"] == 1
            assert state["live"]["version"] == 2
            assert state["problem"]
            assert live.ready, "the old release still answers"
            await asyncio.sleep(0.2)
            assert len(source.loaded) == 2, "a release that failed is not tried again at once"
            source.wanted = {"intents": ref(3)}
            source.make = lambda _: FakeEngine("{}")
            await until(lambda: version(live) == 3)
            assert live.describe()["tasks"]["intents"]["problem"] == ""

    asyncio.run(run())


def test_a_failed_release_is_tried_again_later(task_type):
    engines = iter([FakeEngine(error=FinetuneError("disk is away")), FakeEngine("{}")])
    source = FakeSource(task_type, lambda _: next(engines))
    source.wanted = {"intents": ref(1)}

    async def run():
        async with following(source) as (live, _):
            await until(lambda: version(live) == 1)

    asyncio.run(run())
    assert len(source.loaded) == 2


def test_a_pointer_that_cannot_be_read_takes_nothing_down(task_type):
    source = FakeSource(task_type, lambda _: FakeEngine("{}"))
    source.problem = StorageError("the database is busy")

    async def run():
        async with following(source) as (live, metrics):
            await until(lambda: count(metrics, "finetune_pointer_poll_failures_total") >= 1)
            assert not live.ready
            assert live.expects("intents"), "nobody knows yet which tasks there are"
            source.problem, source.wanted = None, {"intents": ref(1)}
            await until(lambda: version(live) == 1)
            failures = count(metrics, "finetune_pointer_poll_failures_total")
            source.problem = StorageError("the database is busy")
            await until(lambda: count(metrics, "finetune_pointer_poll_failures_total") > failures + 2)
            assert version(live) == 1
            assert live.ready
            assert "busy" in live.describe()["problem"]

    asyncio.run(run())


def test_one_broken_task_does_not_hold_up_the_others(task_type):
    def make(wanted):
        return FakeEngine(error=FinetuneError("broken")) if wanted.task == "bad" else FakeEngine("{}")

    source = FakeSource(task_type, make)
    source.wanted = {"bad": ref(1, "bad"), "good": ref(1, "good")}

    async def run():
        async with following(source) as (live, _):
            await until(lambda: live.ready)
            assert version(live, "good") == 1
            assert live.get("bad") is None
            assert live.expects("bad")

    asyncio.run(run())


def test_the_start_is_told_once_after_the_first_release_answers(task_type):
    source = FakeSource(task_type, lambda _: FakeEngine("{}"))
    source.wanted = {"intents": ref(1)}
    seen = []

    async def run():
        async with following(source, on_started=lambda: seen.append(len(source.loaded))) as (live, _):
            await until(lambda: version(live) == 1)
            await asyncio.sleep(0.1)

    asyncio.run(run())
    assert seen == [1]
