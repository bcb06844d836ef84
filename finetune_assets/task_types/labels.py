"""Which labels of a taxonomy take part in a task, and what replaces a label as found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.datasets.render import neutralise
from finetune_assets.datasets.taxonomies.nodes import tidy
from finetune_assets.datasets.taxonomies.taxonomy import Fault, Taxonomy
from finetune_assets.records.errors import FinetuneError

_SEPARATOR = " / "


class LabelsConfig(BaseModel):
    """Labels that take part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include: list[str] = Field(
        default_factory=list,
        description="Names to keep: of a label, of a whole domain or attribute, or a full path such as "
        "`travel / translate`. Empty keeps all. Records of other labels are set aside as `label_excluded`.",
    )
    exclude: list[str] = Field(
        default_factory=list,
        description="Names to leave out, written as for include; they may be labels that only the data have, such "
        "as `oos`. Their records are set aside as `label_excluded`.",
    )


def join(path: Sequence[str]) -> str:
    """Return a label path as people read it: `physical_development / Balance / Emerging`."""
    return _SEPARATOR.join(path)


@dataclass(frozen=True)
class LabelRules:
    """The rules of one task over its taxonomy."""

    taxonomy: Taxonomy
    labels: LabelsConfig
    label_map: Mapping[str, Mapping[str, str]]

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The legal paths that take part, sorted.

        Raises:
            FinetuneError: when a rule names what the taxonomy does not have, or fewer than two labels remain.
        """
        for name in self.labels.include:
            if not any(self._names(name, path) for path in self.taxonomy.paths):
                self._refuse("labels.include", name, "a name of the taxonomy, spelt exactly")
        kept = tuple(path for path in self.taxonomy.paths if self._takes_part(path))
        if len(kept) < 2:
            self._refuse("labels", f"{len(kept)} labels that take part", "at least two")
        for path in kept:
            if neutralise(join(path)) != join(path):
                self._refuse("taxonomy", join(path), "no control token of chat templates in a name")
        self._check_map(kept)
        return kept

    def _names(self, name: str, path: tuple[str, ...]) -> bool:
        return tidy(name) in (*path, join(path))

    def _takes_part(self, path: tuple[str, ...]) -> bool:
        if any(self._names(name, path) for name in self.labels.exclude):
            return False
        return not self.labels.include or any(self._names(name, path) for name in self.labels.include)

    def _check_map(self, kept: Sequence[tuple[str, ...]]) -> None:
        levels = self.taxonomy.levels
        for found, replacement in self.label_map.items():
            place = f"label_map.{found}"
            if not replacement or (unknown := [level for level in replacement if level not in levels]):
                self._refuse(
                    place, str(unknown if replacement else "nothing"), f"values for levels among {list(levels)}"
                )
            if set(replacement) < set(levels):
                continue  # the rest comes from each record
            path = self.taxonomy.resolve([replacement[level] for level in levels])
            if isinstance(path, Fault):
                self._refuse(f"{place}.{path.level}", path.found, path.expected)
            elif path not in kept:
                self._refuse(place, join(path), "a label that takes part")

    def _refuse(self, place: str, found: str, expected: str) -> None:
        raise FinetuneError(
            "label rule cannot be used",
            where=f"classification.{place}",
            found=found,
            expected=expected,
            mend="correct it in defs.yaml or in the taxonomy; words such as yes, no and on need quotes in YAML",
        )

    def replace(self, values: Sequence[object]) -> list[object] | None:
        """Return the values of `label_map` for a label as found, None when it has no entry."""
        last = values[-1]
        replacement = self._map.get(tidy(last)) if isinstance(last, str) else None
        if replacement is None:
            return None
        return [replacement.get(level, value) for level, value in zip(self.taxonomy.levels, values, strict=True)]

    @cached_property
    def _map(self) -> dict[str, Mapping[str, str]]:
        return {tidy(found): replacement for found, replacement in self.label_map.items()}

    @cached_property
    def _kept(self) -> frozenset[tuple[str, ...]]:
        return frozenset(self.paths)

    def resolve(self, values: Sequence[object], description: object = None) -> tuple[str, ...] | Fault:
        """Validate a label and return its path, a fault when it is not legal or does not take part."""
        path = self.taxonomy.resolve(values, description)
        if isinstance(path, Fault):
            named = {tidy(value) for value in values if isinstance(value, str)} & {tidy(x) for x in self.labels.exclude}
            return Fault(path.level, "label_excluded", min(named), "a label that takes part") if named else path
        if path in self._kept:
            return path
        return Fault(self.taxonomy.levels[-1], "label_excluded", join(path), "a label that takes part")
