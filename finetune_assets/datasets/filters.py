"""Filters: sound rows that the configuration leaves out, each by its name under `dataset.filters`.

A filter may speak of a fact that only some task types know, such as `error_score`. A row that lacks the fact is kept
and counted as not applicable, so that a filter without effect is seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from finetune_assets.datasets.selection_config import FilterConfig
from finetune_assets.records.example import Message, Rejection, SourceRef

PREFIX = "filtered_"
"""How the quarantine reason of a filter begins; its name follows."""

ERROR_SCORE, CODE_LENGTH, DOCUMENTED = "error_score", "code_length", "documented"


class Filterable(Protocol):
    """What a filter looks at: an Example, or its plain form."""

    @property
    def record_id(self) -> str:
        """The record's id."""

    @property
    def messages(self) -> Sequence[Message]:
        """The turns before the answer."""

    @property
    def target(self) -> str:
        """The answer."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the task type knows besides."""

    @property
    def source(self) -> Any:
        """Where the record was found, as SourceRef or as its JSON."""


_Measure = Callable[[Filterable], float | None]


def _last_question(example: Filterable) -> float:
    asked = [turn["content"] for turn in example.messages if turn["role"] == "user"]
    return len(asked[-1]) if asked else 0


def _prompt(example: Filterable) -> float:
    return sum(len(turn["content"]) for turn in example.messages)


def _fact(name: str) -> _Measure:
    def measure(example: Filterable) -> float | None:
        value = example.facts.get(name) if example.facts else None
        return float(value) if isinstance(value, int | float) else None

    return measure


# By name: what is measured, in which field, and whether the limit is the least or the most.
_RULES: Mapping[str, tuple[_Measure, str, bool]] = {
    "min_length": (_last_question, "input", True),
    "min_target_length": (lambda example: len(example.target), "target", True),
    "max_prompt_length": (_prompt, "input", False),
    "min_error_score": (_fact(ERROR_SCORE), ERROR_SCORE, True),
    "min_code_length": (_fact(CODE_LENGTH), CODE_LENGTH, True),
    "max_code_length": (_fact(CODE_LENGTH), CODE_LENGTH, False),
    "require_docstring": (_fact(DOCUMENTED), DOCUMENTED, True),
}

REASONS: Mapping[str, str] = {
    PREFIX + "min_length": "the question is shorter than dataset.filters.min_length",
    PREFIX + "min_target_length": "the answer is shorter than dataset.filters.min_target_length",
    PREFIX + "max_prompt_length": "the prompt is longer than dataset.filters.max_prompt_length",
    PREFIX + "min_error_score": "the error score is below dataset.filters.min_error_score",
    PREFIX + "min_code_length": "the code is shorter than dataset.filters.min_code_length",
    PREFIX + "max_code_length": "the code is longer than dataset.filters.max_code_length",
    PREFIX + "require_docstring": "the code has no docstring, which dataset.filters.require_docstring asks for",
}
"""Quarantine reason of each filter and what it says."""


class Filters:
    """The filters in force.

    Args:
        config: the section `dataset.filters`.
    """

    def __init__(self, config: FilterConfig) -> None:
        self._rules = [(name, float(limit), *_RULES[name]) for name, limit in config.in_force.items()]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def reject(self, example: Filterable) -> Rejection | None:
        """Return why the row is left out, by the first filter that it fails; None when it stays."""
        for name, limit, measure, field, is_least in self._rules:
            found = measure(example)
            if found is None or (found >= limit if is_least else found <= limit):
                continue
            source = example.source
            return Rejection(
                reason=PREFIX + name,
                source=source if isinstance(source, SourceRef) else SourceRef(**source),
                record_id=example.record_id,
                field=field,
                found=f"{found:g}",
                expected=f"at {'least' if is_least else 'most'} {limit:g}",
                mend=f"nothing, or change dataset.filters.{name}",
            )
        return None

    def not_applicable(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
        """Count the kept rows that lack the fact that a filter looks at.

        Args:
            rows: written rows, as JSON.

        Returns:
            Rows by the filter's name; only filters on facts, 0 included.
        """
        facts = {name: field for name, _, _, field, _ in self._rules if field not in ("input", "target")}
        counts: Counter[str] = Counter()
        if facts:
            for row in rows:
                for name, fact in facts.items():
                    counts[name] += not isinstance(row["facts"].get(fact), int | float)
        return {name: counts[name] for name in facts}
