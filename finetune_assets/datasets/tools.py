"""Tools that a router may call: a catalogue in YAML, tools that a record brings, and whether arguments fit them.

Parameters are JSON Schema. Sources that write other type names (`dict`, `float`, `tuple`, `any`) are read too, and what
was mapped is said. Regular expressions and formats of a schema are shown to the model, but not enforced: a pattern from
a source could keep the reader busy for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.records.digests import canonical_json

TYPE_NAMES: Mapping[str, str] = {
    "dict": "object",
    "map": "object",
    "float": "number",
    "double": "number",
    "int": "integer",
    "long": "integer",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "any": "",
}
"""Type names that are no JSON Schema → the type that they mean; "" is any type."""

_MAX_DEPTH = 64
_NAMED = ("properties",)
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not")
_REFUSED = ("$ref", "$dynamicRef", "$recursiveRef")
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


# The keywords that arguments are held against, and what each must hold (JSON Schema 2020-12, core and validation).
# The library's own check of a schema takes milliseconds, longer than all else that is done with a record.
_KEYWORDS: Mapping[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "enum": lambda value: isinstance(value, list),
    "const": lambda _: True,
    "required": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    **dict.fromkeys(_NAMED, lambda value: isinstance(value, dict)),
    **dict.fromkeys(_LISTED, lambda value: isinstance(value, list) and bool(value)),
    **dict.fromkeys(_SINGLE, lambda value: isinstance(value, dict | bool)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_size),
    "uniqueItems": lambda value: isinstance(value, bool),
}


class ToolConfig(BaseModel):
    """One tool of a catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="The name by which it is called.")
    description: str = Field(default="", description="What it does, for the model.")
    parameters: dict[str, Any] | None = Field(default=None, description="Its parameters as JSON Schema.")
    arguments: list[str] | None = Field(
        default=None,
        description="Names of its arguments where each is a text, or a list of texts, and none must be given; instead "
        "of parameters.",
    )

    @model_validator(mode="after")
    def _one_style(self) -> Self:
        if self.parameters is not None and self.arguments is not None:
            raise ValueError("a tool has `parameters` or `arguments`, not both")
        return self


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: the name by which it is called.
        description: what it does.
        parameters: its parameters as JSON Schema of an object.
        mapped: type names of the source that are no JSON Schema, sorted.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    mapped: tuple[str, ...] = field(default=(), compare=False)

    @property
    def required(self) -> frozenset[str]:
        """Names of the arguments that a call must carry."""
        required = self.parameters.get("required")
        return frozenset(required) if isinstance(required, list) else frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return the tool as a model reads it."""
        return {"name": self.name, "description": self.description, "parameters": self.parameters}

    def argument_fault(self, arguments: Mapping[str, Any]) -> RuleFault | None:
        """Return the first way in which arguments do not fit the parameters, or None."""
        properties = self.parameters.get("properties")
        unknown = sorted(set(arguments).difference(properties if isinstance(properties, Mapping) else ()))
        if unknown and "additionalProperties" not in self.parameters:
            known = ", ".join(sorted(properties or ())) or "no arguments"
            return RuleFault("invalid_arguments", f"{self.name}.{unknown[0]}"[:200], "an unknown argument", known)
        error = next(_validator(canonical_json(self.parameters)).iter_errors(dict(arguments)), None)
        if error is None:
            return None
        place = ".".join([self.name, *(str(part) for part in error.absolute_path)])
        expected = f"{error.validator} {canonical_json(error.validator_value)}"
        return RuleFault("invalid_arguments", place[:200], _kind(error.instance), expected[:200])


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:100] if not isinstance(value, dict | list) else type(value).__name__


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Any:
    """Return the validator of a schema that `read_tool` accepted, given as canonical JSON."""
    import json

    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: no schema is ever fetched.
    return Draft202012Validator(_enforced(json.loads(schema)), registry=Registry())


def _enforced(schema: Any) -> Any:
    """Return a schema with none but the keywords that arguments are held against; names of properties are none."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _NAMED:
            kept[keyword] = {name: _enforced(part) for name, part in value.items()}
        elif keyword in _LISTED:
            kept[keyword] = [_enforced(part) for part in value]
        elif keyword in _KEYWORDS:
            kept[keyword] = _enforced(value) if keyword in _SINGLE else value
    return kept


class _SchemaError(ValueError):
    """A schema that cannot be used; its text says why."""


def _canonical_schema(schema: Any, mapped: set[str], depth: int = 0) -> Any:
    """Return a schema with JSON Schema's own type names; other names go into `mapped`.

    Raises:
        _SchemaError: when a keyword holds what it must not, or the schema nests too deep or refers elsewhere.
    """
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        raise _SchemaError(f"{type(schema).__name__} at depth {depth}")
    canonical: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "type" and (value := _type(value, mapped)) is None:
            continue
        if keyword in _REFUSED or not _KEYWORDS.get(keyword, _anything)(value):
            raise _SchemaError(f"the keyword {keyword}"[:100])
        if keyword in _NAMED:
            value = {name: _canonical_schema(part, mapped, depth + 1) for name, part in value.items()}
        elif keyword in _LISTED:
            value = [_canonical_schema(part, mapped, depth + 1) for part in value]
        elif keyword in _SINGLE:
            value = _canonical_schema(value, mapped, depth + 1)
        canonical[keyword] = value
    return canonical


def _anything(value: Any) -> bool:  # noqa: ARG001 -- keywords that say nothing about arguments hold what they like
    return True


def _type(value: Any, mapped: set[str]) -> Any:
    """Return a type name of JSON Schema, or a list of such, None for any type; another value stays as it is."""
    if isinstance(value, list):
        names = [_type(name, mapped) for name in value]
        return None if None in names else names
    if not isinstance(value, str) or value not in TYPE_NAMES:
        return value
    mapped.add(value)
    return TYPE_NAMES[value] or None


def read_tool(value: Any) -> Tool | RuleFault:
    """Read a tool that a record brings: name, description and parameters, also wrapped as {"function": …}.

    Returns:
        The tool, or why it cannot be used.
    """
    inner = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(inner, Mapping):
        return RuleFault("invalid_tool", "tools", type(value).__name__, "an object with name and parameters")
    name, description = inner.get("name"), inner.get("description") or ""
    if not isinstance(name, str) or not name.strip() or not isinstance(description, str):
        return RuleFault("invalid_tool", "tools", "no name", "a name and a description, both texts")
    mapped: set[str] = set()
    try:
        parameters = _canonical_schema(inner.get("parameters") or {}, mapped)
    except _SchemaError as problem:
        return RuleFault("invalid_tool", f"tools.{name.strip()}"[:200], str(problem), "a schema that stands by itself")
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        return RuleFault(
            "invalid_tool", f"tools.{name.strip()}"[:200], "other parameters", "a JSON Schema of an object"
        )
    parameters = {**parameters, "type": "object"}
    if not _is_json(parameters):
        return RuleFault("invalid_tool", f"tools.{name.strip()}"[:200], "a value that JSON lacks", "a JSON Schema")
    return Tool(name.strip(), description.strip(), parameters, tuple(sorted(mapped)))


def _is_json(parameters: Mapping[str, Any]) -> bool:
    try:
        canonical_json(parameters).encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def read_tools(values: Any) -> list[Tool] | RuleFault:
    """Read the tools of a record; names must differ. An empty list offers none."""
    if not isinstance(values, list):
        return RuleFault("wrong_type", "tools", type(values).__name__, "a list of tools")
    tools: dict[str, Tool] = {}
    for value in values:
        tool = read_tool(value)
        if isinstance(tool, RuleFault):
            return tool
        if tool.name in tools:
            return RuleFault("invalid_tool", f"tools.{tool.name}"[:200], "two tools of this name", "one")
        tools[tool.name] = tool
    return list(tools.values())


def catalogue(configs: Iterable[ToolConfig]) -> dict[str, Tool] | RuleFault:
    """Return a catalogue's tools by name, in the order of the YAML, or what is wrong with it."""
    read = read_tools([_as_record(config) for config in configs])
    return read if isinstance(read, RuleFault) else {tool.name: tool for tool in read}


def _as_record(config: ToolConfig) -> dict[str, Any]:
    parameters = config.parameters
    if parameters is None:
        text_or_texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        properties = dict.fromkeys(config.arguments or (), text_or_texts)
        parameters = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"name": config.name, "description": config.description, "parameters": parameters}
