"""The samples of speech and router: seeded, as shipped, and as broken as they say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.synthetic import router, speech
from finetune_assets.datasets.synthetic.router_flaws import FLAWS

DEFS = Path(__file__).parents[2] / "finetune_assets" / "defs"


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in speech.sample_lines()]


@pytest.fixture(scope="module")
def traces() -> list[dict[str, Any]]:
    return [json.loads(line) for line in router.sample_lines()]


@pytest.mark.parametrize(
    ("shipped", "made"),
    [("speech/data/cases.jsonl", speech.sample_bytes), ("router/data/traces.jsonl", router.sample_bytes)],
)
def test_the_shipped_samples_are_what_the_scripts_write(shipped: str, made: Any) -> None:
    assert (DEFS / shipped).read_bytes() == made()


def test_another_seed_gives_another_sample_of_the_same_kind() -> None:
    assert speech.sample_bytes(1) != speech.sample_bytes()
    assert router.sample_bytes(1) != router.sample_bytes()
    assert len(router.sample_lines(1)) == len(router.sample_lines()) == router.TRACES + len(FLAWS)


def heard(case: dict[str, Any]) -> str:
    text: str = case.get("original_transcript", case.get("hypothesis"))
    return text


def said(case: dict[str, Any]) -> str | None:
    return case.get("corrected_transcript", case.get("reference"))


def test_cases_have_the_dirt_of_real_ones(cases: list[dict[str, Any]]) -> None:
    assert len(cases) >= 600
    assert len({case["case_id"] for case in cases}) == len(cases)
    assert sum(said(case) is None for case in cases) >= 20
    assert sum(heard(case) == "" for case in cases) >= 10
    assert sum(case["error_score"] < 0.5 for case in cases) >= 10
    assert sum("hypothesis" in case for case in cases) >= 30
    assert sum(any(isinstance(item, list) for item in case["error_types"]) for case in cases) >= 30
    assert len({case["speaker_id"] for case in cases}) >= 12


def test_recordings_and_sentences_repeat(cases: list[dict[str, Any]]) -> None:
    audio = Counter(case["audio_path"] for case in cases)
    assert sum(count > 1 for count in audio.values()) == speech.TWICE
    for case in cases:
        assert case["audio_path"].split("/")[1] == case["speaker_id"]
    speakers: dict[str, set[str]] = {}
    for case in cases:
        if (text := said(case)) is not None:
            speakers.setdefault(text, set()).add(case["speaker_id"])
    assert sum(len(found) > 1 for found in speakers.values()) >= 8


def test_every_transcript_is_wrong(cases: list[dict[str, Any]]) -> None:
    assert not [case["case_id"] for case in cases if heard(case) == said(case)]
    assert all(case["error_types"] for case in cases)


def test_traces_cover_seven_routes_three_difficulties_and_every_flaw(traces: list[dict[str, Any]]) -> None:
    sound = [trace for trace in traces if "planted_flaw" not in trace]
    assert len(sound) >= 500
    assert len(traces) - len(sound) == len(FLAWS)
    assert 0.04 < len(FLAWS) / len(traces) < 0.06
    routes = {tuple(step.partition("(")[0] for step in trace["route_plan"]) for trace in sound}
    assert len(routes) == 7
    assert {trace["difficulty"] for trace in sound} == {"introductory", "intermediate", "advanced"}
    assert len({trace["user_query"] for trace in sound}) == len(sound)
    assert sorted(trace["planted_flaw"] for trace in traces if "planted_flaw" in trace) == sorted(
        reason for reason, _ in FLAWS
    )
