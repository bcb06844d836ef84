"""On which side a corrected case stands: what training, the evaluation and the suites hold decides, else chance.

A case is tied by its content, its cluster, its declared groups and by near-duplicates, as the split ties rows. Masked
texts are compared with masked ones: what was redacted before it was kept must still be known again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from finetune_assets.datasets.batches import Membership
from finetune_assets.datasets.split_files import ASSIGNMENTS, read_assignments, read_examples
from finetune_assets.datasets.splitting.assign import TRAIN
from finetune_assets.datasets.splitting.near_known import NearKnown
from finetune_assets.feedback.division import Division, Side, divide, known_sides
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.lineage.case_records import CaseRecord
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_rows import suite_rows
from finetune_assets.records.example import SPLITS, Example
from finetune_assets.records.redaction import redact
from finetune_assets.records.similarity import FixedWording, similarity_text, with_attachments
from finetune_assets.records.task_type import TaskType
from finetune_assets.storage.artifacts import Artifact

_BATCH = 2_000
_MASKED = ("[e-mail]", "[date]", "[number]")
_SIDES: tuple[Side, ...] = ("train", "regression")
_SEEN: Mapping[str, Side] = {"seen:train": "train", "seen:regression": "regression"}


def case_group(number: int, correction: int) -> str:
    """Return the group under which a case's own side is remembered."""
    return f"case:{number}/{correction}"


def divided(task: TaskRun, task_type: TaskType, records: Sequence[CaseRecord], head: Artifact | None) -> Division:
    """Divide cases into training rows and regression samples.

    Args:
        task: the task in this run.
        task_type: of the records.
        records: the cases that can be read.
        head: the splits that the next version is built on; None before the first.

    Returns:
        The division. A case that has a side keeps it; `groups` holds what is to be remembered.
    """
    known = known_sides(task.database, task.task)
    fixed = {one.number: known[name] for one in records if (name := _own(one)) in known}
    fresh = [one for one in records if one.number not in fixed]
    if not fresh:
        return _joined(Division((), (), (), {}), fixed, fresh)
    groups = _groups(task, fresh)
    neighbours = _Neighbours(task, task_type, fresh)
    for side in _SIDES:
        decided = (row for one in records if fixed.get(one.number) == side for row in one.examples)
        for batch in _batches(decided):
            neighbours.meet(batch, side)
    _meet_rows(task, task_type, neighbours, head)
    for number, sides in neighbours.sides.items():
        groups[number] |= {f"seen:{side}" for side in sides}
    for number, keys in neighbours.keys_of_alike().items():
        groups[number] |= keys
    share = task.config.feedback.regression_share
    return _joined(
        divide({number: sorted(names) for number, names in groups.items()}, {**known, **_SEEN}, regression_share=share),
        fixed,
        fresh,
    )


def _joined(division: Division, fixed: Mapping[int, Side], fresh: Sequence[CaseRecord]) -> Division:
    """Return a division with the cases whose side was known, and with each fresh case's own side to be remembered.

    Their own sides come last: a case whose own side stands is not looked at again, so all that ties it must stand too.
    """
    train, regression = set(division.train), set(division.regression)
    own: dict[str, Side] = {_own(one): "train" for one in fresh if one.number in train}
    own |= {_own(one): "regression" for one in fresh if one.number in regression}
    train |= {number for number, side in fixed.items() if side == "train"}
    regression |= {number for number, side in fixed.items() if side == "regression"}
    return Division(
        tuple(sorted(train)), tuple(sorted(regression)), division.set_aside, {**division.groups, **own} if fresh else {}
    )


def _own(one: CaseRecord) -> str:
    return case_group(one.number, one.correction)


def _groups(task: TaskRun, records: Iterable[CaseRecord]) -> dict[int, set[str]]:
    """Return what ties each case, by its number."""
    membership = Membership(task.config.dataset)
    found: dict[int, set[str]] = {}
    for one in records:
        names = {f"input:{one.case.input_digest}", f"cluster:{one.case.cluster}"}
        names |= {f"declared:{name}" for name in one.case.groups}
        for example in one.examples:
            names.add(_key(example))
            names |= {f"group:{name}" for name in _declared(membership, one, example)}
        found[one.number] = names
    return found


def _key(example: Example) -> str:
    return f"key:{example.content_key}"


def _declared(membership: Membership, one: CaseRecord, example: Example) -> list[str]:
    """Return declared groups; a mask stands for many values, so that it ties nothing."""
    named, _ = membership.of(one.record.fields, example.groups, example.slices)
    return [name for name in named if not any(mark in name for mark in _MASKED)]


def _meet_rows(task: TaskRun, task_type: TaskType, neighbours: "_Neighbours", head: Artifact | None) -> None:
    """Hold the cases against the rows of the head, those that it only remembers, and those of the suites."""
    if head is not None:
        for name in SPLITS:
            side: Side = "train" if name == "train" else "regression"
            for batch in _batches(read_examples(head.path, name)):
                neighbours.meet(batch, side)
        neighbours.remembered(read_assignments(head.file(ASSIGNMENTS)))
    for rule in task.config.evaluation.suites:
        for batch in _batches(iter(suite_rows(task, task_type, rule.path).examples)):
            neighbours.meet(batch, "regression")


def _batches(rows: Iterator[Example]) -> Iterator[list[Example]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


class _Neighbours:
    """The fresh cases, and on which sides rows stand that each of them is tied to.

    Attributes:
        sides: the sides by number of the case.
    """

    def __init__(self, task: TaskRun, task_type: TaskType, records: Sequence[CaseRecord]) -> None:
        membership, config = Membership(task.config.dataset), task.config.feedback
        self.sides: dict[int, set[Side]] = defaultdict(set)
        self._wording = FixedWording.of(task_type.prompt_manifest())
        self._names = Pseudonyms.load(task.home.path)
        self._hashed = tuple(f"{name}=" for name in config.group_fields)
        self._owners: list[int] = []
        self._examples: list[Example] = []
        self._by_name: dict[str, set[int]] = defaultdict(set)
        for one in records:
            for name in one.case.groups:
                self._by_name[f"declared:{name}"].add(one.number)
            for example in one.examples:
                self._owners.append(one.number)
                self._examples.append(example)
                for name in (_key(example), *(f"group:{name}" for name in _declared(membership, one, example))):
                    self._by_name[name].add(one.number)
        near, texts = task.config.dataset.split.near_duplicates, [self._text(example) for example in self._examples]
        self._masked = any("[" in text for text in texts)
        # Many cases may ask the same: each text is compared once.
        places: dict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            places[self._compared(text)].append(place)
        self._texts, self._places = list(places), list(places.values())
        self._near = NearKnown(self._texts, near) if near.enabled else None

    def meet(self, rows: Sequence[Example], side: Side) -> None:
        """Note that rows of one side are tied to cases."""
        for row in rows:
            names = [_key(row), *(f"group:{name}" for name in row.groups)]
            names += [f"declared:{self._names.of(name, kind='group')}" for name in row.groups if self._is_hashed(name)]
            for name in names:
                for number in self._by_name.get(name, ()):
                    self.sides[number].add(side)
        if self._near is not None:
            texts = [self._compared(self._text(row)) for row in rows]
            for own in {own for own, _ in self._near.alike(texts)}:
                for place in self._places[own]:
                    self.sides[self._owners[place]].add(side)

    def remembered(self, assignments: Mapping[bytes, int]) -> None:
        """Note the splits of questions that may be gone by now."""
        for owner, example in zip(self._owners, self._examples, strict=True):
            split = assignments.get(bytes.fromhex(example.content_key))
            if split is not None:
                self.sides[owner].add("train" if split == TRAIN else "regression")

    def keys_of_alike(self) -> dict[int, set[str]]:
        """Return for each case the content keys of its near-duplicates among the cases, which tie them."""
        found: dict[int, set[str]] = defaultdict(set)
        if self._near is not None:
            for one, other in self._near.alike(self._texts):
                key = _key(self._examples[self._places[other][0]])
                for place in self._places[one]:
                    found[self._owners[place]].add(key)
        return found

    def _is_hashed(self, name: str) -> bool:
        return bool(self._hashed) and name.startswith(self._hashed)

    def _text(self, row: Example) -> str:
        text = similarity_text(row.messages, row.facts, self._wording)
        return with_attachments(text, [file.uri for file in row.attachments])

    def _compared(self, text: str) -> str:
        return redact(text) if self._masked else text
