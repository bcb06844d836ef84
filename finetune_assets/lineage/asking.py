"""Asking contenders: the room in which all are asked alike, their engines, and their answers, each asked once and kept.

Answers are artifacts keyed by who answered what, so that the baseline is asked once, not once for each candidate.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import dagster as dg

from finetune_assets.evaluation.answer_store import finish_store
from finetune_assets.evaluation.answers import GivenAnswer, collect_answers
from finetune_assets.evaluation.engine import NOT_FINAL, Completion
from finetune_assets.evaluation.report.build import Contender as Judged
from finetune_assets.lineage.bases import Base
from finetune_assets.lineage.cloud.remote_models import decoding_of, is_remote, remote_engine
from finetune_assets.lineage.contenders import BASE, Contender, Outsider
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of, digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message
from finetune_assets.records.task_type import TaskType

if TYPE_CHECKING:
    from finetune_assets.serving.cloud.batch_engine import BatchEngine
    from finetune_assets.serving.engines.constant import ConstantEngine
    from finetune_assets.serving.engines.local import LocalEngine
    from finetune_assets.serving.engines.patient import PatientEngine

    Elsewhere = PatientEngine | BatchEngine | ConstantEngine

ANSWERS = "answers"
ANSWERS_FILE = "answers.parquet"
CODE_VERSION = "2"
# How much longer than the longest training answer an answer may become, and the least room that it has.
_ROOM = 1.25
_LEAST_TOKENS = 64
# Of English text, to be on the safe side: most tokenizers of today need one for four signs.
_SIGNS_A_TOKEN = 3

_ASKED_AT_ONCE = 32

Say = Callable[[str], None]


@dataclass(frozen=True)
class Room:
    """Where and how questions are asked.

    Attributes:
        task: the task in this run.
        task_type: how answers are read.
        answer_tokens: the longest answer in tokens, the same for every contender.
        say: where progress is told.
    """

    task: TaskRun
    task_type: TaskType
    answer_tokens: int
    say: Say


def open_room(task: TaskRun, bases: Sequence[Base], train: Sequence[Example], say: Say) -> Room:
    """Return the room in which all contenders are asked alike; the base that needs most tokens decides."""
    folders = sorted({base.folder for base in bases if not is_remote(base)})
    rooms = [answer_room(folder, train) for folder in folders]
    if any(is_remote(base) for base in bases):
        rooms.append(_answer_room_by_length(train))
    return Room(task, task.task_type(), max(rooms), say)


def _answer_room_by_length(train: Sequence[Example]) -> int:
    """Return how many tokens an answer may have of a model whose tokenizer is not here, by three signs a token."""
    longest = max((len(example.target) for example in train), default=0)
    return max(_LEAST_TOKENS, int(longest / _SIGNS_A_TOKEN * _ROOM) + 1)


def answer_room(folder: Path, train: Sequence[Example]) -> int:
    """Return how many tokens an answer may have: a quarter more than the longest training answer, 64 at the least.

    Args:
        folder: the base model, whose tokenizer counts.
        train: the training rows; of their answers the 64 longest by characters are counted.
    """
    from transformers import AutoTokenizer

    longest = sorted({example.target for example in train}, key=lambda text: (-len(text), text))[:64]
    if not longest:
        return _LEAST_TOKENS
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = max(len(ids) for ids in tokenizer(longest, add_special_tokens=False)["input_ids"])
    return max(_LEAST_TOKENS, int(tokens * _ROOM) + 1)


def engine_of(room: Room, model: Contender) -> "LocalEngine":
    """Load a contender."""
    from finetune_assets.serving.engines.local import LocalEngine

    return LocalEngine(
        model.base.folder,
        model.adapter.path if model.adapter else None,
        choices=room.task_type.choices(),
        chat_template=model.base.chat_template,
        threads=room.task.config.tuning.threads,
        max_new_tokens=room.answer_tokens,
    )


@contextmanager
def _engine(room: Room, model: Contender | Outsider) -> "Iterator[LocalEngine | Elsewhere]":
    if isinstance(model, Contender) and not model.is_elsewhere:
        yield engine_of(room, model)
        return
    engine = _engine_elsewhere(room, model)
    try:
        yield engine
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        # A job that nobody watches goes on and costs on: a person's cancel ends it, a signal leaves it to the next run.
        if _asks_all_at_once(engine) and room.task.cancelled():
            engine.cancel()
            room.say(f"{model.name}: asked the provider to cancel the batch prediction")
        raise
    finally:
        engine.close()


def _asks_all_at_once(engine: object) -> "TypeGuard[BatchEngine]":
    """Whether the engine asks by batch prediction: one job answers all questions."""
    from finetune_assets.serving.cloud.batch_engine import BatchEngine

    return isinstance(engine, BatchEngine)


def _engine_elsewhere(room: Room, model: Contender | Outsider) -> "Elsewhere":
    from finetune_assets.serving.engines.constant import ConstantEngine
    from finetune_assets.serving.engines.endpoints import endpoint_engine

    if isinstance(model, Outsider):
        return endpoint_engine(model.endpoint, os.environ)
    if isinstance(model.stand_in, str):
        return ConstantEngine(model.stand_in)
    if model.stand_in is not None:
        return endpoint_engine(model.stand_in, os.environ)
    if model.endpoint is not None:
        return endpoint_engine(model.endpoint.config(room.answer_tokens), os.environ)
    task = room.task.for_variant(model.variant)
    return remote_engine(task, model.base, model.adapter, model.candidate, room.answer_tokens)


def model_key(room: Room, model: Contender | Outsider) -> dict[str, Any]:
    """Return what decides a contender's answers, known without loading it."""
    if isinstance(model, Outsider):
        endpoint = model.endpoint
        asked = {"kind": endpoint.kind, "model": endpoint.model, "place": endpoint.place, **endpoint.decoding()}
        return {"code": CODE_VERSION, "endpoint": asked}
    if isinstance(model.stand_in, str):
        return {"code": CODE_VERSION, "constant": digest_of_text(model.stand_in)}
    if model.stand_in is not None:
        return model_key(room, Outsider(BASE, model.stand_in))
    if model.is_remote:
        task = room.task.for_variant(model.variant)
        remote = {
            "base": model.base.name,
            "candidate": model.candidate,
            **decoding_of(task, model.base, room.answer_tokens),
        }
        return {"code": CODE_VERSION, "remote": remote}
    choices = room.task_type.choices()
    return {
        "code": CODE_VERSION,
        "base": model.base.digest,
        "adapter": model.adapter.manifest["adapter_digest"] if model.adapter else None,
        "chat_template": digest_of_text(model.base.chat_template),
        "choices": None if choices is None else digest_of(sorted(choices)),
        "answer_tokens": room.answer_tokens if choices is None else None,
    }


class Recorded:
    """The engine of answers that are kept already: it has its identity and is asked nothing."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Refuse: a kept answer is missing."""
        raise FinetuneError(
            "kept answers are not complete",
            found=f"{len(batch)} questions without an answer",
            mend="delete the artifact of kind `answers`, and judge again",
        )


def answers_of(room: Room, model: Contender | Outsider, examples: Sequence[Example], what: str = "test rows") -> Judged:
    """Return a contender's answers, asked now or kept from before.

    Args:
        room: where questions are asked.
        model: who is asked.
        examples: the questions.
        what: what they are, for the progress line.
    """
    questions = digest_of([example.example_id for example in examples])
    key = digest_of({"model": model_key(room, model), "questions": questions})[:20]
    task = room.task
    known = task.artifacts.find(ANSWERS, key)
    if known:
        identity = known.manifest["model"]
        answers = _collect(room, Recorded(identity), examples, known.file(ANSWERS_FILE), model, what)
        return Judged(model.shown, answers, identity)
    place = task.home.work / "answers" / f"{key}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    with _engine(room, model) as engine:
        answers = _collect(room, engine, examples, place, model, what)
        refuse_unfinished(answers, model)
        if finish_store(place, engine):
            with task.artifacts.create(ANSWERS, key) as staging:
                place.replace(staging.path / ANSWERS_FILE)
                # Latencies stand beside the answers, so the bytes differ from run to run.
                staging.commit({"task": task.task, "model": engine.identity}, outside_digest=[ANSWERS_FILE])
        return Judged(model.shown, answers, engine.identity)


def ask(room: Room, model: Contender | Outsider, examples: Sequence[Example]) -> list[GivenAnswer]:
    """Ask a contender here and now, and keep nothing of it."""
    with _engine(room, model) as engine:
        return _collect(room, engine, examples, None, model, "questions")


def refuse_unfinished(answers: Sequence[GivenAnswer], model: Contender | Outsider) -> None:
    """Refuse to judge what was not asked to the end through no fault of the model.

    Raises:
        FinetuneError: telling how many answers are there; a further run goes on from them.
    """
    waiting = [answer for answer in answers if answer.parsed.problem in NOT_FINAL]
    if waiting:
        raise FinetuneError(
            "the questions were not asked to the end",
            where=model.name,
            found=f"{len(answers) - len(waiting)} of {len(answers)} answered; the next: {waiting[0].parsed.problem}",
            mend="run again: it goes on where it stopped",
        )


def _collect(
    room: Room,
    engine: "LocalEngine | Elsewhere | Recorded",
    examples: Sequence[Example],
    store: Path | None,
    model: Contender | Outsider,
    what: str,
) -> list[GivenAnswer]:
    return collect_answers(
        engine,
        examples,
        room.task_type,
        store=store,
        # Every other engine is asked bit by bit, to resume from there.
        batch_size=None if _asks_all_at_once(engine) else _ASKED_AT_ONCE,
        on_progress=lambda done, total: room.say(f"{model.name}: {done} of {total} {what} answered"),
    )
