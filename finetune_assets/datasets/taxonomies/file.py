"""Reading a taxonomy file: its three shapes, sorted, with every ambiguity refused at its place.

Here belongs how a file becomes nodes. What is asked of a taxonomy afterwards (legal paths, validation, statistics) is
in `datasets/taxonomies/taxonomy.py`.

The shapes:

* progressions: `{"domains": [{"id", "name", "categoryName", "attributes": [{"id", "name", "progressionPoints":
  [{"id", "progressionPointsTitle", "description", "isProgressionHidden"}]}]}]}`; levels domain, attribute, progression.
* labels: `{"domains": [{"id", "name", "labels": ["…"]}]}`; levels domain, label.
* plain: `{"labels": ["…"]}`; one level, label.

The normalised form that `Taxonomy.to_json` writes (snake_case names) is read as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field, ValidationError

from finetune_assets.datasets.taxonomies.nodes import (
    LABEL_LEVELS,
    PLAIN_LEVELS,
    PROGRESSION_LEVELS,
    Domain,
    Node,
    domain_key,
    tidy,
)
from finetune_assets.records.errors import FinetuneError

_SHAPES = (PROGRESSION_LEVELS, LABEL_LEVELS, PLAIN_LEVELS)


class _File(Node):
    domains: tuple[Domain, ...] = Field(min_length=1)


def read_taxonomy_file(path: Path) -> tuple[tuple[str, ...], tuple[Domain, ...]]:
    """Read a taxonomy file.

    Returns:
        The names of the levels, outermost first, and the domains in their sort order.

    Raises:
        FinetuneError: when the file is missing, empty, no UTF-8 JSON, of none of the shapes, or ambiguous.
    """
    mend = "name an existing JSON file at `classification.taxonomy`, relative to the task's folder"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FinetuneError("taxonomy file is missing", where=str(path), mend=mend) from None
    except UnicodeDecodeError as error:
        raise FinetuneError("taxonomy file is not UTF-8", where=str(path), mend="save it as UTF-8") from error
    except OSError as error:
        raise FinetuneError(
            "taxonomy file cannot be read", where=str(path), found=str(error.strerror), mend=mend
        ) from error
    if not text.strip():
        raise FinetuneError("taxonomy file is empty", where=str(path), mend=mend)
    try:
        data = json.loads(text, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError) as error:
        raise FinetuneError(
            "taxonomy file is not valid JSON",
            where=str(path),
            found=str(error),
            mend="mend the JSON at that place",
        ) from error
    return read_taxonomy(data, where=str(path))


def read_taxonomy(data: Any, *, where: str) -> tuple[tuple[str, ...], tuple[Domain, ...]]:
    """Read a taxonomy that is already parsed; `where` names it in errors.

    Returns:
        The names of the levels, outermost first, and the domains in their sort order.

    Raises:
        FinetuneError: when it has none of the shapes, or ids or names that occur twice.
    """
    levels, raw_domains = _shape(data, where)
    try:
        parsed = _File.model_validate({"domains": raw_domains})
    except ValidationError as error:
        _refuse(error, where)
    domains = tuple(sorted((domain.in_order() for domain in parsed.domains), key=lambda domain: domain.sort_order))
    _check_complete(levels, domains, where)
    _check_unique(domains, where)
    return levels, domains


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"member {name!r} occurs twice in one object")
        members[name] = value
    return members


def _shape(data: Any, where: str) -> tuple[tuple[str, ...], list[Any]]:
    """Tell the shape and bring its domains to one form: every domain with a key and, below it, attributes."""
    members = data if isinstance(data, Mapping) else {}
    domains, labels = members.get("domains"), members.get("labels")
    if isinstance(domains, list) and (levels := _stated_levels(members)):
        return levels, domains
    if isinstance(labels, list) and domains is None:
        return PLAIN_LEVELS, [_with_key(_named(label)) for label in labels]
    if not isinstance(domains, list) or not domains:
        raise FinetuneError(
            "taxonomy has none of the known shapes",
            where=where,
            found=f"members {', '.join(sorted(map(str, members))) or type(data).__name__}",
            expected="a list `domains` that is not empty, or a list `labels`",
            mend='write {"domains": [{"id", "name", "attributes" or "labels"}]}',
        )
    flat = ["labels" in domain for domain in domains if isinstance(domain, Mapping)]
    if any(flat) and not all(flat):
        raise FinetuneError(
            "taxonomy mixes two shapes",
            where=where,
            found="domains with `labels` beside domains without",
            expected="the same shape in every domain",
            mend="give every domain `labels`, or none",
        )
    if not any(flat):
        return PROGRESSION_LEVELS, [_with_key(domain, slug=True) for domain in domains]
    return LABEL_LEVELS, [_flat_domain(domain) for domain in domains]


def _stated_levels(members: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the levels that the normalised form states, None for a source file."""
    stated = members.get("levels")
    return next((levels for levels in _SHAPES if isinstance(stated, list) and list(levels) == stated), None)


def _named(label: Any) -> Any:
    """A label may be a bare name."""
    return {"name": label} if not isinstance(label, Mapping) else label


def _flat_domain(domain: Any) -> Any:
    if not isinstance(domain, Mapping):
        return domain
    labels = domain["labels"]
    attributes = [_named(label) for label in labels] if isinstance(labels, list) else labels
    return _with_key({**{name: value for name, value in domain.items() if name != "labels"}, "attributes": attributes})


def _with_key(domain: Any, *, slug: bool = False) -> Any:
    """Give a domain without `key` one: labels keep their names, domains of progressions get a slug of theirs."""
    if not isinstance(domain, Mapping) or domain.get("key"):
        return domain
    name = domain.get("name")
    return {**domain, "key": domain_key(tidy(name), domain.get("id")) if slug and isinstance(name, str) else name}


def _refuse(error: ValidationError, where: str) -> NoReturn:
    first = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    raise FinetuneError(
        "taxonomy is not well formed",
        where=f"{where}: {place.lstrip('.')}",
        found="" if first["type"] == "missing" else repr(first["input"]),
        expected=first["msg"],
        mend="mend the taxonomy file at that place",
    ) from error


def _check_complete(levels: tuple[str, ...], domains: tuple[Domain, ...], where: str) -> None:
    """Refuse nodes without ids where records name ids, and inner nodes without anything below them."""
    for domain in domains:
        if len(levels) > 1 and not domain.attributes:
            _incomplete(where, f"domain {domain.name!r}", f"no {levels[1]}s", f"at least one {levels[1]}")
        if levels != PROGRESSION_LEVELS:
            continue
        if domain.id is None:
            _incomplete(where, f"domain {domain.name!r}", "no id", "an id, which records name as domain_id")
        for attribute in domain.attributes:
            place = f"domain {domain.name!r}, attribute {attribute.name!r}"
            if attribute.id is None:
                _incomplete(where, place, "no id", "an id, which records name as attribute_id")
            if not attribute.progression_points:
                _incomplete(where, place, "no progressionPoints", "at least one progression point")


def _incomplete(where: str, place: str, found: str, expected: str) -> NoReturn:
    raise FinetuneError(
        "taxonomy is incomplete",
        where=f"{where}: {place}",
        found=found,
        expected=expected,
        mend="complete the taxonomy file at that place",
    )


def _check_unique(domains: tuple[Domain, ...], where: str) -> None:
    """Refuse whatever a record could mean in two ways; letter case alone does not tell two names apart."""
    attributes = [
        (f"attribute {item.name!r} of {domain.name!r}", item) for domain in domains for item in domain.attributes
    ]
    points = [(place, point) for place, item in attributes for point in item.progression_points]
    _refuse_twins(((f"domain {item.name!r}", _refs(item.id, item.key, item.name)) for item in domains), where)
    for domain in domains:
        _refuse_twins(
            ((f"attribute {item.name!r} of {domain.name!r}", _refs(item.id, item.name)) for item in domain.attributes),
            where,
        )
    _refuse_twins(((place, _refs(item.id)) for place, item in attributes), where)
    _refuse_twins(((f"point {point.title!r} of {place}", _refs(point.id)) for place, point in points), where)
    titles = {point.title for _, point in points}
    _refuse_twins(((f"progressionPointsTitle {title!r}", {title.casefold()}) for title in sorted(titles)), where)


def _refs(*names: object) -> set[str]:
    """Every text that a record may use for a node, without letter case."""
    return {str(name).casefold() for name in names if name is not None}


def _refuse_twins(nodes: Iterable[tuple[str, set[str]]], where: str) -> None:
    owners: dict[str, str] = {}
    for place, refs in nodes:
        for ref in sorted(refs):
            if ref in owners:
                raise FinetuneError(
                    "taxonomy has an id or name twice",
                    where=f"{where}: {place}",
                    found=f"{ref!r}, which {owners[ref]} has already",
                    expected="ids and names that occur once",
                    mend="rename or renumber one of the two",
                )
            owners[ref] = place
