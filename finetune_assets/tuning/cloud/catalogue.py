"""The catalogue: which models a provider tunes and how, as dated data from `models.yaml`.

Here belong the entries and looking them up. Holding a task's settings against them stands in `model_checks.py`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.tuning.cloud.errors import ModelDeniedError
from finetune_assets.tuning.managed_config import Method, Mode

AdapterSize = Literal[1, 2, 4, 8, 16, 32]
Modality = Literal["text", "image", "audio", "video", "document"]
_PLACE = re.compile(r"^projects/[^/]+/locations/[^/]+/")
_LONG_FORM = re.compile(r"^publishers/([^/]+)/models/(.+)$")
_NEAREST = 4


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Section):
    """A machine with its accelerators."""

    machine_type: str = Field(description="Machine of one replica.")
    accelerator_type: str = Field(description="Its accelerator.")
    accelerator_count: int = Field(ge=1, description="How many of them.")


class ModeEntry(_Section):
    """One way to tune a model: an adapter, or all weights."""

    adapter_sizes: tuple[AdapterSize, ...] = Field(description="Ranks that may be asked for; empty without an adapter.")
    adapter_size: AdapterSize | None = Field(description="Advised rank; null takes the catalogue's fallback.")
    learning_rate: float | None = Field(
        description="Advised peak learning rate; null: the fallback, for Gemini its own."
    )
    epochs: int | None = Field(description="Advised passes over the rows; null takes the fallback.")
    tokens_per_character: float | None = Field(
        description="Billed tokens for each character of text, as measured by Google; null is not known."
    )


class Fallback(_Section):
    """Settings for a mode without advice of the service's own."""

    adapter_size: AdapterSize | None = Field(description="Rank of the adapter; null for all weights.")
    learning_rate: float = Field(description="Peak learning rate.")
    epochs: int = Field(description="Passes over the rows.")


class FileLimits(_Section):
    """What training and validation files may be; null is not stated by the documentation."""

    source: str = Field(description="The documentation that says so.")
    as_of: date = Field(description="When it was last updated, as it says itself.")
    train_rows: int | None = Field(description="Most training rows of text alone.")
    train_rows_multimodal: int | None = Field(description="Most training rows where some have files.")
    file_bytes: int | None = Field(description="Largest training file in bytes.")
    validation_rows: int | None = Field(description="Most validation rows.")
    validation_rows_share: float | None = Field(
        description="Largest share of the training rows, beyond the free validation rows."
    )
    validation_rows_free: int = Field(description="Validation rows for which that share does not matter.")
    validation_bytes_share: float | None = Field(description="Largest share of the training file's bytes.")
    advised_rows: int = Field(description="Training rows to start with; fewer are a warning.")


class ModelEntry(_Section):
    """What is known of one model."""

    id: str = Field(description="The name that the service takes: publisher/family@version, or a Gemini name.")
    aliases: tuple[str, ...] = Field(description="Other names of it, such as its id on a model hub.")
    title: str = Field(description="Its name for people.")
    backend: Literal["gemini", "open_model"] = Field(description="The backend that tunes it.")
    publisher: str = Field(description="Who publishes it.")
    family: str = Field(description="Models of one family can stand in for one another.")
    parameters_b: float | None = Field(description="Parameters in thousand millions; null is not published.")
    methods: tuple[Method, ...] = Field(description="Ways to learn that it offers.")
    modes: dict[Mode, ModeEntry] = Field(description="What of it can be tuned.")
    limits: FileLimits = Field(description="What its files may be.")
    context_tokens: int = Field(description="Its context window in tokens.")
    max_tokens: int = Field(description="Most tokens of one training row, question and answer together.")
    tuning_locations: tuple[str, ...] | None = Field(
        description="Locations that tune it; null is not stated, and the service judges."
    )
    serving_locations: tuple[str, ...] | None = Field(
        description="Locations that serve it tuned; null: any, or where it was tuned."
    )
    cmek: bool = Field(description="Whether results can be encrypted with a key of one's own.")
    modalities: tuple[Modality, ...] = Field(description="What its training rows may hold.")
    mixed_rows: bool = Field(
        default=True, description="Whether rows with files may stand beside rows of text alone in one file."
    )
    special_tokens: tuple[str, ...] = Field(description="Control tokens of its template; a text must hold none.")
    serving: Machine | None = Field(description="Least machine that serves it; null where the service does.")
    training: Machine | None = Field(description="Least machine that trains an adapter; null where the service does.")
    serving_note: str = Field(description="What to know before it is served.")
    source: str = Field(description="Where this is from: a key of the file's head.")
    as_of: date = Field(description="The date of that source.")

    @property
    def short_name(self) -> str:
        """The version alone, such as `qwen3-32b`."""
        return self.id.split("@")[-1].split("/")[-1]


class Retired(_Section):
    """A model that is no longer tuned."""

    id: str = Field(description="Its name.")
    aliases: tuple[str, ...] = Field(description="Other names of it.")
    successor: str = Field(description="The model that takes its place.")


class Catalogue(_Section):
    """All models, with what they share."""

    as_of: date = Field(description="Date of the newest documentation in it.")
    fallbacks: dict[Mode, Fallback] = Field(description="Settings where the service has no advice.")
    teachers: tuple[str, ...] = Field(description="Models that distillation may learn from.")
    accelerator_memory_gb: dict[str, int] = Field(description="Memory of one accelerator in gigabytes.")
    models: tuple[ModelEntry, ...] = Field(description="The models.")
    retired: tuple[Retired, ...] = Field(description="Models that are gone.")


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """Return the shipped catalogue."""
    data = yaml.safe_load(files(__package__).joinpath("models.yaml").read_text(encoding="utf-8"))
    limits, tokens, regions = (data.pop(name) for name in ("limits", "special_tokens", "regions"))
    for model in data["models"]:
        model["limits"] = limits[model["limits"]]
        model["special_tokens"] = tokens[model["special_tokens"]]
        places = model["tuning_locations"]
        model["tuning_locations"] = regions[places] if isinstance(places, str) else places
    return Catalogue.model_validate(data)


def normalised(name: str) -> str:
    """Return a model's name without project, place and the long form's words, in small letters."""
    short = _PLACE.sub("", name.strip().lower())
    found = _LONG_FORM.match(short)
    if found is None:
        return short
    publisher, rest = found.groups()
    return rest if rest.startswith("gemini") else f"{publisher}/{rest}"


def find_model(name: str) -> ModelEntry:
    """Return the entry of a model.

    Args:
        name: its id, a long form of it (`publishers/google/models/gemma3@…`), a hub id or its title.

    Raises:
        ModelDeniedError: for a model that is not tuned; it names its successor, those of its family, or the nearest.
    """
    entry = lookup(name)
    if entry is not None:
        return entry
    wanted, known = normalised(name), catalogue()
    for gone in known.retired:
        if wanted in (gone.id, *gone.aliases):
            raise ModelDeniedError(
                "the model is no longer tuned",
                where="tuning.base_model",
                found=name,
                expected=gone.successor,
                mend=f"set base_model: {gone.successor}",
            )
    raise ModelDeniedError(
        "the model cannot be tuned by the service",
        where="tuning.base_model",
        found=name,
        expected=", ".join(told(entry) for entry in nearest(name)),
        mend=f"take one of these (catalogue of {known.as_of}), or train it yourself with backend custom_job",
    )


def lookup(name: str) -> ModelEntry | None:
    """Return the entry of a model, None where the catalogue has none."""
    return _by_name().get(normalised(name))


def nearest(name: str) -> list[ModelEntry]:
    """Return the models that may be meant: all of its family, else those with the most similar names."""
    wanted = normalised(name)
    stem = re.sub(r"[^a-z0-9]", "", wanted.split("/")[-1])
    related = [entry for entry in catalogue().models if _is_family(entry, stem)]
    if related:
        return related
    known = _by_name()
    close = difflib.get_close_matches(wanted, known, n=3 * _NEAREST, cutoff=0.0)
    return list({known[match].id: known[match] for match in close}.values())[:_NEAREST]


def told(entry: ModelEntry) -> str:
    """Return a model's id with its modes, for a list of alternatives."""
    return f"{entry.id} ({' or '.join(entry.modes)})"


def names_of(entries: Iterable[ModelEntry]) -> str:
    """Return models as one text, "none" for none."""
    return ", ".join(told(entry) for entry in entries) or "none"


@lru_cache(maxsize=1)
def _by_name() -> dict[str, ModelEntry]:
    named: dict[str, ModelEntry] = {}
    for entry in catalogue().models:
        for name in (entry.id, entry.title, entry.short_name, *entry.aliases):
            named[normalised(name)] = entry
    return named


def _is_family(entry: ModelEntry, stem: str) -> bool:
    """Whether a name begins like the family's, the longest such family counting (qwen3_5 before qwen3)."""
    families = {other.family for other in catalogue().models if other.family != "gemini"}
    begins = [family for family in families if stem.startswith(re.sub(r"[^a-z0-9]", "", family))]
    return bool(begins) and entry.family == max(begins, key=len)
