"""Prices: a dated list, the shipped one or a person's own, in which an unknown or old price is an error, never zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune_assets.tuning.cloud.config import Budget
from finetune_assets.tuning.cloud.errors import BudgetError

Kind = Literal[
    "training_tokens",
    "input_tokens",
    "output_tokens",
    "batch_share",
    "machine",
    "serving_machine",
    "accelerator",
    "disk",
    "storage",
]
SHIPPED = "prices.yaml (shipped)"
_OWN_FILE = "add it to a price file of your own and name that in cloud.budget.prices"


class Price(BaseModel):
    """One price, with its place, source and date."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(description="What is paid for.")
    name: str = Field(min_length=1, description="The model, machine, accelerator or storage class.")
    price: Decimal = Field(
        ge=0, description="US dollars for one unit; for `batch_share` the share of the online price."
    )
    unit: Literal["1M tokens", "hour", "GB month", "share"] = Field(description="What one price is for.")
    region: str = Field(min_length=1, description="Region that it holds for; `any` for all.")
    source: str = Field(min_length=1, description="Where it is from: a key of `sources`, or a text.")
    as_of: date = Field(description="The day on which the source said so.")
    spot: bool = Field(default=False, description="Whether it is for a machine that may be taken away.")


class PriceFile(BaseModel):
    """A list of prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: Literal["USD"] = Field(description="Budgets are in US dollars, and so are prices.")
    sources: dict[str, str] = Field(default_factory=dict, description="What the short names of sources stand for.")
    prices: tuple[Price, ...] = Field(description="The prices.")


@dataclass(frozen=True)
class Prices:
    """A price list on one day.

    Attributes:
        file: the list.
        today: the day, on which prices must not be too old.
        max_age_days: how old a price may be.
        name: the file for people.
    """

    file: PriceFile
    today: date
    max_age_days: int
    name: str = SHIPPED
    _found: dict[tuple[str, str, str, bool], Price] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for price in self.file.prices:
            self._found[price.kind, price.name, price.region, price.spot] = price

    @property
    def currency(self) -> str:
        """The list's currency."""
        return self.file.currency

    def of(self, kind: Kind, name: str, region: str, *, spot: bool = False) -> Price:
        """Return a price.

        Args:
            kind: what is paid for.
            name: the model, machine or class.
            region: where.
            spot: for a machine that may be taken away.

        Raises:
            BudgetError: when it is not known for this region, or too old.
        """
        found = self.find(kind, name, region, spot=spot)
        if found is None:
            raise BudgetError(
                "the price is not known, so that nothing is submitted",
                where=f"{self.name}: {kind}{' spot' if spot else ''} of {name} in {region}",
                found=", ".join(self._elsewhere(kind, name)) or "no price of it anywhere",
                mend=_OWN_FILE,
            )
        age = (self.today - found.as_of).days
        if age > self.max_age_days:
            raise BudgetError(
                "the price is too old, so that nothing is submitted",
                where=f"{self.name}: {kind} of {name} in {region}",
                found=f"as of {found.as_of}, {age} days ago",
                expected=f"at most {self.max_age_days} days (cloud.budget.prices_max_age_days)",
                mend=f"look it up at {self.source_of(found)}, then {_OWN_FILE}",
            )
        return found

    def find(self, kind: Kind, name: str, region: str, *, spot: bool = False) -> Price | None:
        """Return a price whatever its age, the region's own before that for all; None where there is none."""
        return self._found.get((kind, name, region, spot)) or self._found.get((kind, name, "any", spot))

    def source_of(self, price: Price) -> str:
        """Return where a price is from, in full."""
        return self.file.sources.get(price.source, price.source)

    def _elsewhere(self, kind: str, name: str) -> list[str]:
        return [
            f"{price.region}{' spot' if price.spot else ''}"
            for price in self.file.prices
            if (price.kind, price.name) == (kind, name)
        ]


def load_prices(budget: Budget, folder: Path, *, today: date) -> Prices:
    """Return the price list in force.

    A list of one's own is laid over the shipped one: what it names counts, all else is the shipped price.

    Args:
        budget: names the file and how old a price may be.
        folder: the folder of the task's defs.yaml, which the file's path is relative to.
        today: the day.

    Raises:
        BudgetError: when the file is missing or cannot be read.
    """
    shipped = _shipped()
    if not budget.prices:
        return Prices(shipped, today, budget.prices_max_age_days)
    path = folder / budget.prices
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BudgetError(
            "the price file cannot be read",
            where="cloud.budget.prices",
            found=f"{budget.prices}: {getattr(error, 'strerror', None) or 'not UTF-8'}",
            mend="correct the path, or remove it to take the shipped prices",
        ) from error
    own = _parsed(text, budget.prices)
    both = PriceFile(
        currency=own.currency, sources={**shipped.sources, **own.sources}, prices=_laid_over(shipped.prices, own.prices)
    )
    return Prices(both, today, budget.prices_max_age_days, f"{budget.prices} over the shipped prices")


@lru_cache(maxsize=1)
def _shipped() -> PriceFile:
    return _parsed(files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8"), SHIPPED)


def _laid_over(shipped: Iterable[Price], own: tuple[Price, ...]) -> tuple[Price, ...]:
    named = {(price.kind, price.name, price.spot) for price in own}
    # A price of one's own for a region hides the shipped one for all regions as well: it is the better known.
    return (*(price for price in shipped if (price.kind, price.name, price.spot) not in named), *own)


def _parsed(text: str, name: str) -> PriceFile:
    try:
        return PriceFile.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise BudgetError("the price file is not YAML", where=name, found=str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BudgetError(
            "the price file is wrong",
            where=f"{name}: {'.'.join(map(str, first['loc']))}",
            found=first["msg"],
            mend="take the shipped prices.yaml as the pattern",
        ) from error
