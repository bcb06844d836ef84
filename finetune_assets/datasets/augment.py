"""Augmentation: reworded copies of training rows, made from the raw record by the task type itself.

Only training rows are reworded, after the split; a copy stays in training beside its origin, is marked as augmented and
shares a leak group with it. Copies that ask what another row asks already, or whose answer came out different, are
dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.selection_config import AugmentConfig
from finetune_assets.records.example import Example, RawRecord
from finetune_assets.records.task_type import TaskType


@dataclass(frozen=True, slots=True)
class Origin:
    """The training row that copies are made of.

    Attributes:
        row: its number in the build.
        target: its answer.
        content_key: its key, 64 hex digits.
    """

    row: int
    target: str
    content_key: str


def augmented(
    record: RawRecord,
    origins: Mapping[str, Origin],
    task: TaskType,
    config: AugmentConfig,
    taken: set[str],
) -> Iterator[tuple[Origin, Example]]:
    """Yield the copies of a record's training rows.

    Args:
        record: a raw record.
        origins: its training rows by record id.
        task: makes the examples, of reworded records as of any other.
        config: how many and how.
        taken: content keys of all rows of the dataset and of the copies so far; new ones are added.

    Yields:
        The origin and its copy: `record_id` `<id>+aug1` and so on, `origin` augmented, and a leak group
        `augmented_from=<id>` besides the origin's own.
    """
    text = record.fields.get(task.text_field)
    if not isinstance(text, str) or not text.strip():
        return
    numbers = dict.fromkeys(origins, 0)
    for wording in _wordings(text, config):
        if all(number >= config.factor for number in numbers.values()):
            return
        reworded = RawRecord({**record.fields, task.text_field: wording}, record.source)
        for item in task.examples(reworded):
            origin = origins.get(item.record_id) if isinstance(item, Example) else None
            if origin is None or not isinstance(item, Example) or numbers[item.record_id] >= config.factor:
                continue
            copy = _copy(item, origin, numbers[item.record_id] + 1, taken)
            if copy is not None:
                numbers[item.record_id] += 1
                yield origin, copy


def origin_group(record_id: str) -> str:
    """Return the leak group that a training row and its copies share."""
    return f"augmented_from={record_id}"


def _copy(example: Example, origin: Origin, number: int, taken: set[str]) -> Example | None:
    """Return the example as a copy of its origin; None where it is none, or asks what another row asks."""
    if example.target != origin.target:
        return None
    key = example.content_key
    if key == origin.content_key:
        # Another spelling of one question: equal by what the dataset calls equal, so the wording becomes the key.
        key = content_key({"augmented_from": key, "spelling": example.example_id})
    if key in taken:
        return None
    taken.add(key)
    group = origin_group(example.record_id)
    return replace(
        example,
        record_id=f"{example.record_id}+aug{number}",
        content_key=key,
        groups=tuple(sorted({*example.groups, group})),
        origin="augmented",
    )


def _wordings(text: str, config: AugmentConfig) -> Iterator[str]:
    """Yield different wordings of a text, none equal to it, by the methods in turn."""
    draw = int.from_bytes(hashlib.sha256(f"{config.seed}:{text}".encode("utf-8", "surrogatepass")).digest()[:8])
    start = draw % len(config.methods)
    seen = {text}
    for round_ in range(config.factor):
        for place in range(len(config.methods)):
            method = config.methods[(start + place) % len(config.methods)]
            wording = _METHODS[method](text, draw // 7 + round_, config)
            if wording and wording not in seen:
                seen.add(wording)
                yield wording


def _casing(text: str, draw: int, _config: AugmentConfig) -> str:
    forms = (text.lower(), text[:1].upper() + text[1:].lower())
    return forms[draw % 2] if forms[draw % 2] != text else forms[(draw + 1) % 2]


def _punctuation(text: str, _draw: int, _config: AugmentConfig) -> str:
    bare = text.rstrip()
    if bare[-1:] in tuple(".!?"):
        return bare.rstrip(".!?")
    return bare + "." if bare[-1:].isalnum() else ""


def _question_prefix(text: str, draw: int, config: AugmentConfig) -> str:
    bare = text.strip()
    return config.prefixes[draw % len(config.prefixes)] + bare if bare.endswith("?") else ""


_LONG_WORD = re.compile(r"[^\W\d_]{6,}")


def _typo(text: str, draw: int, _config: AugmentConfig) -> str:
    words = list(_LONG_WORD.finditer(text))
    if not words:
        return ""
    word = words[draw % len(words)]
    # Neither the first letter nor the last: readers and tokenizers lean on both.
    place = word.start() + 1 + draw % (len(word.group()) - 3)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


_METHODS: Mapping[str, Callable[[str, int, AugmentConfig], str]] = {
    "casing": _casing,
    "punctuation": _punctuation,
    "question_prefix": _question_prefix,
    "typo": _typo,
}
