"""The nodes of a taxonomy: domains, their attributes (or labels) and the progression points of these.

Here belong the nodes as value types and how their names are compared. They are read in `file.py` and asked in
`taxonomy.py`. Members beyond those named here are left out, null ones count as absent.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

PROGRESSION_LEVELS = ("domain", "attribute", "progression")
LABEL_LEVELS = ("domain", "label")
PLAIN_LEVELS = ("label",)
_IDENTIFIER = re.compile(r"[a-z0-9_]+")
_IN_BRACKETS = re.compile(r"\(([^()]+)\)$")
_WORD = re.compile(r"[^\W_]+")


def tidy(text: str) -> str:
    """Return `text` in Unicode NFC with white space (NBSP too) folded to single spaces and trimmed at both ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _tidy_text(value: object) -> object:
    return tidy(value) if isinstance(value, str) else value


def _empty_order(value: object) -> object:
    return "" if value == "NULL" else str(value)


NodeId = Annotated[StrictInt | StrictStr, BeforeValidator(_tidy_text)]
Name = Annotated[str, StringConstraints(strict=True, min_length=1), BeforeValidator(_tidy_text)]


class Node(BaseModel):
    """What every node has in common: it cannot change, and it reads both spellings of its members."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class Point(Node):
    """One progression point: a level of an attribute, told by one description."""

    id: NodeId | None = None
    progression_points_id: NodeId | None = Field(
        default=None, validation_alias=AliasChoices("progression_points_id", "progressionPointsId")
    )
    title: Name = Field(validation_alias=AliasChoices("title", "progressionPointsTitle"))
    description: Name
    sort_order: int = Field(default=0, validation_alias=AliasChoices("sort_order", "sortOrder"))
    description_order: Annotated[str, BeforeValidator(_empty_order)] = Field(
        default="", validation_alias=AliasChoices("description_order", "descriptionOrder")
    )
    is_hidden: bool = Field(default=False, validation_alias=AliasChoices("is_hidden", "isProgressionHidden"))


class Attribute(Node):
    """What is observed, with its progression points; in a taxonomy of labels, one label."""

    id: NodeId | None = None
    number: int | None = None
    name: Name
    category_information: str = Field(
        default="", validation_alias=AliasChoices("category_information", "categoryInformation")
    )
    sort_order: int = Field(default=0, validation_alias=AliasChoices("sort_order", "sortOrder"))
    progression_points: tuple[Point, ...] = Field(
        default=(), validation_alias=AliasChoices("progression_points", "progressionPoints")
    )

    def in_order(self) -> Attribute:
        """Return the attribute with its points by sort order, then by description order."""
        points = sorted(self.progression_points, key=lambda point: (point.sort_order, point.description_order))
        return self.model_copy(update={"progression_points": tuple(points)})


class Domain(Node):
    """An area of the taxonomy; in a plain taxonomy, one label."""

    id: NodeId | None = None
    name: Name
    key: Name
    category_name: str = Field(default="", validation_alias=AliasChoices("category_name", "categoryName"))
    category_title: str = Field(default="", validation_alias=AliasChoices("category_title", "categoryTitle"))
    sort_order: int = Field(default=0, validation_alias=AliasChoices("sort_order", "sortOrder"))
    attributes: tuple[Attribute, ...] = ()

    def in_order(self) -> Domain:
        """Return the domain with its attributes, and their points, by sort order."""
        attributes = sorted((item.in_order() for item in self.attributes), key=lambda item: item.sort_order)
        return self.model_copy(update={"attributes": tuple(attributes)})


def domain_key(name: str, node_id: object) -> str:
    """Return the key of a domain that states none: its words in lower case, joined by `_`, without "and".

    Of a name such as "My feelings (Social & Emotional Development)" the part in brackets counts. A name that already
    is a key (`kitchen_and_dining`) stays as it is; one without any letter becomes `domain_<id>`.
    """
    if _IDENTIFIER.fullmatch(name):
        return name
    bracketed = _IN_BRACKETS.search(name)
    words = [word for word in _WORD.findall((bracketed[1] if bracketed else name).casefold()) if word != "and"]
    return "_".join(words) or f"domain_{node_id}"
