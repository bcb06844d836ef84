r"""The map of a taxonomy migration: what a person says of labels, over what the comparison found out.

The file is YAML:

    labels:
      - from: banking / card              # a label's path, or the beginning of one: all labels below it follow
        to: banking / payment card        # rename, move, merge
      - from: travel / trip
        split:                            # the first part whose condition a row meets; none: the row is reviewed
          - to: travel / flight
            when: {field: text, contains: [flight, plane]}
          - to: travel / train
            when: {field: text, matches: '\btrains?\b'}
      - from: travel / misc
        review: true                      # a person decides about every row
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from finetune_assets.datasets.taxonomies.diff import TaxonomyDiff
from finetune_assets.datasets.taxonomies.nodes import tidy
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.datasets.taxonomies.tree import Path
from finetune_assets.records.errors import FinetuneError

SEPARATOR = " / "


def read_path(value: object) -> object:
    """Return a label path that is written as text with slashes, or as a list of its parts."""
    if isinstance(value, str):
        return tuple(tidy(part) for part in f" {tidy(value)} ".split(SEPARATOR) if tidy(part))
    return tuple(tidy(str(part)) for part in value) if isinstance(value, list) else value


LabelPath = Annotated[tuple[str, ...], BeforeValidator(read_path), Field(min_length=1, max_length=3)]


class Condition(BaseModel):
    """What a row must hold to belong to one part of a split label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="Canonical field name, or a source field that has no alias.")
    contains: list[str] = Field(
        default_factory=list, description="Texts of which one must stand in the field, whatever the letter case."
    )
    equals: list[str | int | float | bool] = Field(
        default_factory=list, description="Values of which the field must be one; compared as text."
    )
    matches: str = Field(default="", description="A regular expression that is looked for, whatever the letter case.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if sum(map(bool, (self.contains, self.equals, self.matches))) != 1:
            raise ValueError("a condition needs one of contains, equals and matches")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"matches is no regular expression: {error}") from None
        return self

    def holds(self, fields: Mapping[str, Any]) -> bool:
        """Return True when the row's field meets the condition; an absent field meets none."""
        value = fields.get(self.field)
        if value is None:
            return False
        text = str(value)
        if self.contains:
            return any(item.casefold() in text.casefold() for item in self.contains)
        if self.equals:
            return text.strip() in [str(item) for item in self.equals]
        return re.search(self.matches, text, re.IGNORECASE) is not None


class SplitPart(BaseModel):
    """One part of a split label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: LabelPath = Field(description="The label's path in the new taxonomy.")
    when: Condition | None = Field(default=None, description="The rows it takes; without it, all that are left.")


class Rule(BaseModel):
    """What becomes of one label, or of all labels below a node."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    origin: LabelPath = Field(alias="from", description="Path in the old taxonomy, of a label or of a node above it.")
    to: LabelPath | None = Field(default=None, description="Path in the new taxonomy, of the same level.")
    split: list[SplitPart] = Field(default_factory=list, description="The parts of a split label, in order.")
    review: bool = Field(default=False, description="Whether a person decides about every row.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if sum((self.to is not None, bool(self.split), self.review)) != 1:
            raise ValueError("a rule needs one of to, split and review")
        if self.to is not None and len(self.to) != len(self.origin):
            raise ValueError("from and to must be paths of the same level")
        return self


class MigrationMap(BaseModel):
    """The rules of one migration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: list[Rule] = Field(default_factory=list, description="The rules; the longest `from` that fits decides.")


class Verdict(BaseModel):
    """What becomes of one row's label.

    Attributes:
        path: the new label; None when a person has to decide.
        rule: which rule said so, with its evidence.
        candidates: the labels to choose from when a person decides.
    """

    model_config = ConfigDict(frozen=True)

    path: tuple[str, ...] | None
    rule: str
    candidates: tuple[tuple[str, ...], ...] = ()


def read_map(path: FilePath) -> MigrationMap:
    """Read a map.

    Raises:
        FinetuneError: when the file is missing, no YAML, or says something that is no rule; it names the place.
    """
    try:
        return MigrationMap.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except FileNotFoundError:
        raise FinetuneError("map is missing", where=str(path), mend="name an existing YAML file with --map") from None
    except OSError as error:
        raise FinetuneError(
            "map cannot be read", where=str(path), found=error.strerror or str(error), mend="name a readable file"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FinetuneError("map is not YAML", where=str(path), found=str(error), mend="mend it there") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise FinetuneError(
            "map has a rule that cannot be used",
            where=f"{path}: {'.'.join(str(part) for part in first['loc'])}",
            found=repr(first.get("input")),
            expected=first["msg"],
            mend="mend the rule",
        ) from None


class LabelRouter:
    """Says what becomes of a label: the map's rules first, then what the comparison found.

    Args:
        old: the taxonomy that rows are labelled by.
        new: the taxonomy that they shall be labelled by.
        diff: their comparison.
        rules: the map.

    Raises:
        FinetuneError: for a rule that names what one of the taxonomies does not have.
    """

    def __init__(self, old: Taxonomy, new: Taxonomy, diff: TaxonomyDiff, rules: MigrationMap) -> None:
        self._legal = frozenset(new.paths)
        self._diff = diff
        self._rules = {rule.origin: (number, rule) for number, rule in enumerate(rules.labels)}
        self._check(old, rules)

    def verdict(self, path: Path, fields: Mapping[str, Any]) -> Verdict:
        """Return what becomes of a row.

        Args:
            path: its label in the old taxonomy.
            fields: its fields by canonical name, for the conditions of a split.
        """
        for length in range(len(path), 0, -1):
            known = self._rules.get(path[:length])
            if known is not None:
                return self._by_rule(path, *known, fields)
        kind, news, evidence = self._diff.successors[path]
        if len(news) == 1 and news[0] in self._legal:
            return Verdict(path=news[0], rule=f"{kind}: {evidence}")
        above = next((self._diff.candidates(path[:end]) for end in range(len(path), 0, -1)), ())
        near = news or tuple(new for new in above if new in self._legal)
        return Verdict(path=None, rule=f"{kind}: {evidence}", candidates=near)

    def _by_rule(self, path: Path, number: int, rule: Rule, fields: Mapping[str, Any]) -> Verdict:
        name = f"map: labels[{number}]"
        if rule.to is not None:
            target = (*rule.to, *path[len(rule.origin) :])
            if target in self._legal:
                return Verdict(path=target, rule=name)
            return Verdict(path=None, rule=f"{name} leads to a label that is not legal")
        for part in rule.split:
            if part.when is None or part.when.holds(fields):
                return Verdict(path=part.to, rule=name)
        return Verdict(path=None, rule=name, candidates=tuple(part.to for part in rule.split))

    def _check(self, old: Taxonomy, rules: MigrationMap) -> None:
        beginnings = {path[:length] for path in old.paths for length in range(1, len(path) + 1)}
        targets = {path[:length] for path in self._legal for length in range(1, len(path) + 1)}
        if len(self._rules) < len(rules.labels):
            self._refuse("labels", "two rules for one label", "one rule for each `from`")
        for number, rule in enumerate(rules.labels):
            if rule.origin not in beginnings:
                self._refuse(f"labels[{number}].from", SEPARATOR.join(rule.origin), "a path of the old taxonomy")
            if rule.to is not None and rule.to not in targets:
                self._refuse(f"labels[{number}].to", SEPARATOR.join(rule.to), "a path of the new taxonomy")
            for part in rule.split:
                if part.to not in self._legal:
                    self._refuse(f"labels[{number}].split", SEPARATOR.join(part.to), "a label of the new taxonomy")

    def _refuse(self, place: str, found: str, expected: str) -> None:
        raise FinetuneError("map cannot be used", where=place, found=found, expected=expected, mend="mend the rule")
