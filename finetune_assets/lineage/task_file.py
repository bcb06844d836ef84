"""Reading one defs.yaml: what is wrong in it, in a person's words, with the line and the mend.

Here belongs how the faults of a task's file are told. What may stand in it, `task_config` says.
"""

import difflib
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from finetune_assets.lineage.task_config import TaskConfig
from finetune_assets.records.errors import FinetuneError

_ATTRIBUTES = "attributes"
# pydantic's own openings of a message; what follows them says it all.
_OPENINGS = ("Value error, ", "Input should be ")
_NAME_SHARE = 0.6


def read_task_file(path: Path, component_type: str) -> TaskConfig:
    """Return what a defs.yaml says about its task.

    Args:
        path: the file.
        component_type: the `type:` that it must have.

    Returns:
        The task's configuration; the name is empty where the file gives none.

    Raises:
        FinetuneError: when the file is no YAML, is of another type or does not fit; it names file, line and mend.
    """
    text = path.read_text(encoding="utf-8")
    document = _parse(path, text)
    if not isinstance(document, dict) or document.get("type") != component_type:
        found = document.get("type") if isinstance(document, dict) else None
        raise FinetuneError(
            "defs.yaml is of another type",
            where=str(path),
            found=f"type: {found}" if found else "no `type:`",
            expected=f"type: {component_type}",
            mend="write this line at the top of the file",
        )
    if not isinstance(document.get(_ATTRIBUTES), dict):
        raise _no_attributes(path, document)
    try:
        return TaskConfig.model_validate(document[_ATTRIBUTES])
    except ValidationError as error:
        raise _explain(path, text, error.errors()) from None


def _parse(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        written = (text.splitlines() or [""])[min(line, len(text.splitlines()) - 1)]
        indent = written[: len(written) - len(written.lstrip())]
        raise FinetuneError(
            "defs.yaml is not YAML",
            where=f"{path}:{line + 1}",
            found=repr(written) + (f", {error.problem}" if error.problem and "\\t" not in error.problem else ""),
            mend="indent with spaces, a tab is not allowed there"
            if "\t" in indent
            else "look at this line and the one above: the indentation, brackets, quotes, a space after each colon",
        ) from None
    except yaml.YAMLError as error:
        raise FinetuneError("defs.yaml is not YAML", where=str(path), found=str(error)) from None


def _no_attributes(path: Path, document: dict[str, Any]) -> FinetuneError:
    others = [str(name) for name in document if name not in ("type", _ATTRIBUTES)]
    return FinetuneError(
        "defs.yaml has no attributes",
        where=str(path),
        found=", ".join(f"`{name}:`" for name in others) or "`type:` alone",
        expected=f"`{_ATTRIBUTES}:` with the task's settings below it",
        mend=f"move the settings below `{_ATTRIBUTES}:`, two spaces further in",
    )


def _explain(path: Path, text: str, errors: Sequence[ErrorDetails]) -> FinetuneError:
    # A needed key is often missing because it is misspelt: the unknown one then says more.
    ranked = sorted(errors, key=lambda error: error["type"] != "extra_forbidden")
    first = ranked[0]
    place = f"{path}:{_line_of(text, first['loc'])}"
    further = f" (and {len(errors) - 1} more in this file)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return _unknown_key(place, first["loc"], further)
    dotted = _dotted(first["loc"])
    if first["type"] == "missing":
        found = first["input"]
        return FinetuneError(
            "defs.yaml lacks a setting",
            where=place,
            found=f"only {', '.join(map(str, found))}" if isinstance(found, dict) and found else "nothing there",
            expected=f"`{dotted}`",
            mend=f"add it{further}",
        )
    if first["type"] in ("model_type", "dict_type"):
        return _no_section(place, first, further)
    own_words = first["type"] == "value_error"
    said = _plain(first["msg"])
    # The platform's own validators speak of a whole section, which would hide what they say.
    return FinetuneError(
        f"defs.yaml does not fit: {said}," if own_words else "defs.yaml does not fit",
        where=f"{place}: {dotted}" if dotted else place,
        found="" if own_words and isinstance(first["input"], dict) else repr(first["input"]),
        expected="" if own_words else said,
        mend=f"{_nearest(str(first['input']), _allowed(first)) or 'correct the value'}{further}",
    )


def _no_section(place: str, error: ErrorDetails, further: str) -> FinetuneError:
    model = _model_at(TaskConfig, error["loc"])
    glued = isinstance(error["input"], str) and ":" in error["input"]
    return FinetuneError(
        "defs.yaml does not fit",
        where=f"{place}: {_dotted(error['loc'])}",
        found=repr(error["input"]),
        expected=f"settings below it: {', '.join(model.model_fields)}" if model else "settings below it",
        mend=f"{'write a space behind the colon' if glued else 'write `name: value` below it, further in'}{further}",
    )


def _unknown_key(place: str, loc: Sequence[int | str], further: str) -> FinetuneError:
    *parents, key = loc
    model = _model_at(TaskConfig, parents)
    known = sorted(model.model_fields) if model else []
    elsewhere = sorted(other for other in _paths_of(TaskConfig, str(key)) if other != _dotted(loc))
    mend = _nearest(str(key), known)
    if ":" in str(key):
        mend = "write a space behind the colon"
    elif not mend and elsewhere:
        mend = f"the setting is `{elsewhere[0]}`: move it there"
    return FinetuneError(
        "defs.yaml has an unknown key",
        where=place,
        found=f"`{_dotted(loc)}`",
        expected=f"one of {', '.join(known)}" if known else "no such key",
        mend=f"{mend or 'leave it out'}{further}",
    )


def _plain(message: str) -> str:
    for opening in _OPENINGS:
        message = message.removeprefix(opening)
    return message


def _dotted(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc)


def _allowed(error: ErrorDetails) -> list[str]:
    # Of a literal pydantic gives the choices as one text: "'a', 'b' or 'c'".
    if error["type"] != "literal_error":
        return []
    return [part for part in str(error.get("ctx", {}).get("expected", "")).split("'") if part.strip(" ,or")]


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=_NAME_SHARE)
    return f"did you mean `{near[0]}`?" if near else ""


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's annotation speaks of, those in lists, mappings and unions included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model at a place; keys and numbers within a mapping or a list name no field and are passed over."""
    found: type[BaseModel] | None = model
    for part in loc:
        field = found.model_fields.get(str(part)) if found else None
        if field is not None:
            inner = _models_in(field.annotation)
            found = inner[0] if len(inner) == 1 else None
    return found


def _paths_of(model: type[BaseModel], key: str, prefix: str = "", above: tuple[type[BaseModel], ...] = ()) -> list[str]:
    """Return the dotted paths of all settings of this name; a model within itself is not entered again."""
    paths = []
    for name, field in model.model_fields.items():
        if name == key:
            paths.append(f"{prefix}{name}")
        for inner in _models_in(field.annotation):
            if inner not in above:
                paths.extend(_paths_of(inner, key, f"{prefix}{name}.", (*above, inner)))
    return paths


def _line_of(text: str, loc: Iterable[int | str]) -> int:
    """Return the line, from 1, of the deepest part of a place that the file has."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for part in (_ATTRIBUTES, *loc):
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
