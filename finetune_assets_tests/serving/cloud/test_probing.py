"""Probes of one deployed model among several, against the stand-in's traffic split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.example import Message
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import Probe
from finetune_assets.serving.cloud.probing import probe_deployed, tries_for
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import environ
from finetune_assets_tests.serving.cloud.test_endpoints import BLUE, GREEN, OTHER, placed


class Words:
    """A task type as far as probing needs one: any word is an answer."""

    def input_messages(self, fields: dict[str, Any]) -> list[Message]:
        return [{"role": "user", "content": fields["text"]}]

    def parse(self, text: str) -> Any:
        from finetune_assets.records.task_type import ParsedAnswer

        return ParsedAnswer(bool(text), (text,) if text else (), {"label": text} if text else {})


TYPE: TaskType = Words()  # type: ignore[assignment]


class Drawn:
    """An engine in which models take turns."""

    identity: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, *turns: Completion) -> None:
        self.turns = turns
        self.asked = 0

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        found = [self.turns[(self.asked + number) % len(self.turns)] for number in range(len(batch))]
        self.asked += len(batch)
        return found


PROBES = [Probe(fields={"text": f"word{number} a b"}, text="yes", label_path=("yes",)) for number in range(3)]


def probed(engine: Any, probes: list[Probe] = PROBES, **more: Any) -> Any:
    facts: dict[str, Any] = {"task": "t", "candidate": OTHER, "tries": 5}
    return probe_deployed(engine, TYPE, probes, "7", **(facts | more))


def test_each_probe_waits_for_the_candidate() -> None:
    engine = Drawn(Completion("no", served_by="1"), Completion("no", served_by="1"), Completion("yes", served_by="7"))
    evidence = probed(engine)
    assert evidence.passed
    assert [result.candidate for result in evidence.results] == [OTHER] * 3
    assert evidence.to_json()["summary"].startswith("3 of 3")


def test_what_the_candidate_never_answered_has_failed() -> None:
    evidence = probed(Drawn(Completion("yes", served_by="1")))
    assert not evidence.passed
    assert "none of 5 tries; deployed model 1 did" in evidence.summary
    broken = probed(Drawn(Completion.failed("timeout")))
    assert [result.problem for result in broken.results] == ["no answer: timeout"] * 3


@pytest.mark.parametrize(
    ("rule", "text", "passes"),
    [
        ("label", "yes", True),
        ("label", "no", False),
        ("valid", "no", True),
        ("valid", "", False),
        ("exact", "no", False),
    ],
)
def test_the_rule_decides_what_agrees(rule: str, text: str, passes: bool) -> None:
    assert probed(Drawn(Completion(text, served_by="7")), rule=rule).passed is passes


def test_an_endpoint_with_one_model_needs_no_name() -> None:
    evidence = probe_deployed(Drawn(Completion("yes")), TYPE, PROBES, "", task="t", candidate=OTHER)
    assert evidence.passed


def test_a_tenth_of_the_traffic_is_met(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    endpoint = placed(clients, OTHER, percent=10)
    config = EndpointConfig(kind="vertex_endpoint", model=endpoint.name, project="p1", location="us-central1")
    engine = endpoint_engine(config, environ(vertex))
    try:
        told = engine.complete([TYPE.input_messages(probe.fields) for probe in PROBES])
        assert {answer.served_by for answer in told} <= {BLUE, GREEN}
        probes = [
            Probe(fields=probe.fields, text=answer.text, label_path=(answer.text,))
            for probe, answer in zip(PROBES, told, strict=True)
        ]
        tries = tries_for(10, len(probes))
        evidence = probe_deployed(engine, TYPE, probes, GREEN, task="t", candidate=OTHER, tries=tries)
        assert evidence.passed, evidence.summary
    finally:
        engine.close()


def test_tries_grow_as_the_share_shrinks() -> None:
    assert tries_for(100, 5) == 1
    assert tries_for(50, 1) < tries_for(10, 1) < tries_for(10, 10) < tries_for(1, 10) <= 1000
