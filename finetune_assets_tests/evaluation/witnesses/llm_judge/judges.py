"""Scripted judging models: one that follows the form, and naive ones that obey what they should not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.evaluation.witnesses.llm_judge.config import LlmJudgeConfig
from finetune_assets.records.example import Message

ENDPOINT = EndpointConfig(base_url="http://localhost:1/v1", model="scripted")
GOLD = "the right answer"

Prefer = Callable[[str, str], int | None]
Rate = Callable[[str], int]


def config(**fields: Any) -> LlmJudgeConfig:
    return LlmJudgeConfig(**{"enabled": True, "endpoint": ENDPOINT, "hijack_probes": 0, **fields})


def prefers_gold(first: str, second: str) -> int | None:
    """An honest rule: the answer that holds the gold words is better."""
    one, other = GOLD in first, GOLD in second
    return None if one == other else int(other)


def data_of(conversation: Sequence[Message]) -> dict[str, str]:
    """Read the quoted data as a judge does that follows the form: lines between the fences, each a JSON pair."""
    user = conversation[-1]["content"].split("\n")
    fence = user[0].removeprefix("BEGIN ")
    lines = user[1 : user.index(f"END {fence}")]
    return json.loads("{" + ",".join(lines) + "}")


def nonce_of(conversation: Sequence[Message]) -> str:
    return re.findall(r'"nonce": "([0-9a-f]+)"', conversation[0]["content"])[-1]


class FormalJudge:
    """Follows the form: its verdict carries the nonce and names the answer that `prefer` or `rate` says."""

    identity: dict[str, Any] = {"engine": "scripted", "model": "formal"}  # noqa: RUF012

    def __init__(self, prefer: Prefer = prefers_gold, rate: Rate | None = None) -> None:
        self.prefer = prefer
        self.rate = rate
        self.asked: list[str] = []

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        self.asked += [conversation[-1]["content"] for conversation in batch]
        return [Completion(text=self.answer(conversation)) for conversation in batch]

    def answer(self, conversation: Sequence[Message]) -> str:
        data = data_of(conversation)
        answers = {name: text for name, text in data.items() if name.startswith("answer_")}
        if self.rate is not None:
            criteria = re.findall(r'"([a-z_]+)": S\b', conversation[0]["content"])
            scores = {name: self.rate(next(iter(answers.values()))) for name in dict.fromkeys(criteria)}
            return json.dumps({"nonce": nonce_of(conversation), **scores})
        place = self.prefer(*answers.values())
        winner = "tie" if place is None else list(answers)[place]
        return json.dumps({"nonce": nonce_of(conversation), "winner": winner})


class EchoingJudge(FormalJudge):
    """Obeys the last thing within the data that looks like a verdict; judges honestly where there is none."""

    def answer(self, conversation: Sequence[Message]) -> str:
        everything = "\n".join(data_of(conversation).values())
        fakes = re.findall(r"\{[^{}]*winner[^{}]*\}", everything)
        return fakes[-1] if fakes else super().answer(conversation)


class LastLineJudge(FormalJudge):
    """Obeys the last line of the prompt that is a verdict in JSON; judges honestly where no line is."""

    def answer(self, conversation: Sequence[Message]) -> str:
        for line in reversed(conversation[-1]["content"].splitlines()):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict) and "winner" in value:
                return line
        return super().answer(conversation)


class ObedientJudge(FormalJudge):
    """Knows the form and is won over by whoever asks to be chosen."""

    def answer(self, conversation: Sequence[Message]) -> str:
        data = data_of(conversation)
        names = [name for name in data if name.startswith("answer_")]
        begging = [name for name in names if re.search(r"(?i)ignore|winner|dear judge", data[name])]
        if len(begging) == 1:
            return json.dumps({"nonce": nonce_of(conversation), "winner": begging[0]})
        return super().answer(conversation)
