"""General probes and what forgetting them means: bits a byte of the right answers, before and after tuning.

Likelihood tells forgetting long before greedy answers change, and it says something for small models whose answers
are always wrong. Bits a byte compare across tokenizers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from finetune_assets.evaluation.engine import Likelihood
from finetune_assets.evaluation.gates.probe_rules import Forgetting
from finetune_assets.evaluation.statistics.comparison import Settings
from finetune_assets.evaluation.statistics.draws import resampled_sums
from finetune_assets.evaluation.statistics.resampling import percentile
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

# What a probe that cannot be scored, or is held impossible, costs: more than any real model pays for plain text.
WORST_BITS_A_BYTE = 16.0
_CERTAIN = 1e-9
# Share of general rows to try in training, by how much the probes rose: a starting point for a search, not a law.
_REPLAY = ((0.25, 0.05), (0.5, 0.10), (1.0, 0.25), (math.inf, 0.5))


@dataclass(frozen=True, slots=True)
class Probe:
    """A general question with its right answer.

    Attributes:
        messages: the conversation, without the answer.
        answer: what a model ought to say.
        kind: what it is about, such as `arithmetic`.
    """

    messages: tuple[Message, ...]
    answer: str
    kind: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"messages": list(self.messages), "answer": self.answer, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """What a right answer costs a model.

    Attributes:
        bits: its negative binary logarithm of probability, end mark included, 0 or more.
        bytes: its length in UTF-8, 1 or more.
    """

    bits: float
    bytes: int

    @classmethod
    def of(cls, likelihood: Likelihood, answer: str) -> ProbeCost:
        """Return the cost of a scored answer; one that could not be scored costs the worst and stays in the sum."""
        size = max(1, len(answer.encode()))
        if likelihood.problem or not math.isfinite(likelihood.nats):
            return cls(WORST_BITS_A_BYTE * size, size)
        return cls(min(-likelihood.nats / math.log(2), WORST_BITS_A_BYTE * size), size)


def compare_costs(ours: Sequence[ProbeCost], theirs: Sequence[ProbeCost], settings: Settings) -> Forgetting | None:
    """Return how much dearer the right answers became.

    Args:
        ours: the candidate's costs.
        theirs: the baseline's on the same probes.
        settings: level, draws and seed of the interval, a paired bootstrap over probes.

    Returns:
        The rise with its interval; None without probes.
    """
    import numpy as np

    if not ours:
        return None
    table = np.array([[one.bits, other.bits, one.bytes] for one, other in zip(ours, theirs, strict=True)])
    sums = table.sum(axis=0)
    draws = np.concatenate(list(resampled_sums(table, settings.resamples, settings.seed)))
    # A baseline to which every answer is certain costs next to nothing, but something: no ratio is without a value.
    rises = (draws[:, 0] + _CERTAIN) / (draws[:, 1] + _CERTAIN) - 1.0
    rise = float((sums[0] + _CERTAIN) / (sums[1] + _CERTAIN) - 1.0)
    return Forgetting(
        rows=len(ours),
        ours=float(sums[0] / sums[2]),
        theirs=float(sums[1] / sums[2]),
        rise=rise,
        interval=percentile(rises, settings.confidence),
        replay_share=next(share for most, share in _REPLAY if rise <= most),
    )


@cache
def shipped_probes() -> tuple[Probe, ...]:
    """Return the probes that come with the project: 240 general questions, written for it."""
    text = files("finetune_assets.evaluation").joinpath("general_probes.jsonl").read_text(encoding="utf-8")
    return tuple(_probe(line, f"general_probes.jsonl:{number}") for number, line in enumerate(text.splitlines(), 1))


def read_probes(path: Path) -> tuple[Probe, ...]:
    """Read probes: JSON Lines with `question` and `answer`, or `messages` and `answer`; `kind` where there is one.

    Raises:
        FinetuneError: naming the line that is no probe; a probe set is small and belongs to the configuration.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FinetuneError("probes cannot be read", where=str(path.name), found=str(error)) from None
    found = tuple(_probe(line, f"{path.name}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise FinetuneError("there are no probes", where=path.name, mend="name a file with rows, or leave probes empty")
    return found


def _probe(line: str, place: str) -> Probe:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if isinstance(row, dict) and isinstance(row.get("answer"), str) and row["answer"].strip():
        messages: Any = row.get("messages")
        if messages is None and isinstance(row.get("question"), str):
            messages = [{"role": "user", "content": row["question"]}]
        if _are_messages(messages):
            return Probe(tuple(messages), row["answer"], str(row.get("kind", "")))
    raise FinetuneError(
        "a line is no probe",
        where=place,
        expected='{"question": "…", "answer": "…"} or {"messages": [{"role": …, "content": …}], "answer": "…"}',
        mend="correct or remove the line",
    )


def _are_messages(messages: Any) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(item, dict)
            and item.get("role") in ("system", "user", "assistant")
            and isinstance(item.get("content"), str)
            for item in messages
        )
    )
