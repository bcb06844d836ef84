from __future__ import annotations

import asyncio

import pytest

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.batching import EngineFailedError, MicroBatcher, OverloadedError
from finetune_assets.serving.metrics import GatewayMetrics
from finetune_assets_tests.serving.fakes import FakeEngine


def ask_all(asked, **settings):
    """Ask (engine, text) pairs at once and return answers or errors, in order."""

    async def run():
        batcher = MicroBatcher(GatewayMetrics(), **settings)
        worker = asyncio.create_task(batcher.run())
        questions = [batcher.ask(engine, [{"role": "user", "content": text}], timeout_s=5.0) for engine, text in asked]
        answers = await asyncio.gather(*questions, return_exceptions=True)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return [getattr(answer, "text", answer) for answer in answers]

    return asyncio.run(run())


def test_questions_that_arrive_together_are_answered_together():
    engine = FakeEngine()
    assert ask_all([(engine, str(i)) for i in range(20)], max_batch=8) == [f"echo {i}" for i in range(20)]
    assert [len(batch) for batch in engine.batches] == [8, 8, 4]
    assert [text for batch in engine.batches for text in batch] == [str(i) for i in range(20)]
    assert len(engine.threads) == 1


def test_each_engine_gets_only_its_own_questions():
    one, two = FakeEngine(), FakeEngine()
    answers = ask_all([(one if i % 3 else two, str(i)) for i in range(12)], max_batch=32)
    assert answers == [f"echo {i}" for i in range(12)]
    assert two.batches == [["0", "3", "6", "9"]]
    assert one.batches == [[str(i) for i in range(12) if i % 3]]


def test_one_more_question_than_may_wait_is_refused():
    answers = ask_all([(FakeEngine(), str(i)) for i in range(6)], max_waiting=4)
    assert answers[:4] == [f"echo {i}" for i in range(4)]
    assert [type(answer) for answer in answers[4:]] == [OverloadedError, OverloadedError]


def test_an_engine_that_fails_fails_only_its_own_askers():
    broken = FakeEngine(error=FinetuneError("model is gone"))
    answers = ask_all([(broken, "a"), (FakeEngine(), "b"), (broken, "c")])
    assert isinstance(answers[0], FinetuneError)
    assert answers[1] == "echo b"
    assert answers[2] is answers[0]


def test_the_batcher_goes_on_after_a_failure():
    async def run():
        batcher = MicroBatcher(GatewayMetrics())
        worker = asyncio.create_task(batcher.run())
        broken = FakeEngine(error=RuntimeError("bug"))
        question = [{"role": "user", "content": "x"}]
        with pytest.raises(EngineFailedError, match="RuntimeError: bug"):
            await batcher.ask(broken, question, timeout_s=5)
        answer = await batcher.ask(FakeEngine(), question, timeout_s=5)
        worker.cancel()
        return answer.text

    assert asyncio.run(run()) == "echo x"


def test_a_question_that_nobody_waits_for_any_more_is_not_asked():
    async def run():
        batcher = MicroBatcher(GatewayMetrics(), max_batch=1)
        worker = asyncio.create_task(batcher.run())
        engine = FakeEngine()
        engine.go.clear()
        first = asyncio.create_task(batcher.ask(engine, [{"role": "user", "content": "first"}], timeout_s=5))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await batcher.ask(engine, [{"role": "user", "content": "second"}], timeout_s=0.05)
        engine.go.set()
        third = await batcher.ask(engine, [{"role": "user", "content": "third"}], timeout_s=5)
        answers = (await first).text, third.text
        worker.cancel()
        return answers, engine.batches

    answers, batches = asyncio.run(run())
    assert answers == ("echo first", "echo third")
    assert batches == [["first"], ["third"]]


def test_a_lone_question_waits_no_longer_than_its_time():
    engine = FakeEngine()

    async def run():
        batcher = MicroBatcher(GatewayMetrics(), wait_s=0.2)
        worker = asyncio.create_task(batcher.run())
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = asyncio.create_task(batcher.ask(engine, [{"role": "user", "content": "a"}], timeout_s=5))
        await asyncio.sleep(0.1)
        await batcher.ask(engine, [{"role": "user", "content": "b"}], timeout_s=5)
        await first
        worker.cancel()
        return loop.time() - began

    took = asyncio.run(run())
    assert engine.batches == [["a", "b"]]
    assert 0.19 < took < 2.0


def test_questions_in_the_queue_are_let_go_at_the_end():
    async def run():
        batcher = MicroBatcher(GatewayMetrics())
        question = asyncio.create_task(batcher.ask(FakeEngine(), [{"role": "user", "content": "x"}], timeout_s=5))
        worker = asyncio.create_task(batcher.run())
        await asyncio.sleep(0)
        worker.cancel()
        return await asyncio.gather(question, return_exceptions=True)

    (answer,) = asyncio.run(run())
    assert isinstance(answer, asyncio.CancelledError)
