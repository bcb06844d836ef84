"""Java's types, modifiers and parameters as text, in the spelling that javac prints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

COMMENTS = frozenset({"line_comment", "block_comment"})
ANNOTATIONS = frozenset({"annotation", "marker_annotation"})
# The order of javax.lang.model.element.Modifier, in which javac prints them.
_ORDER = {
    "public": 0,
    "protected": 1,
    "private": 2,
    "abstract": 3,
    "default": 4,
    "static": 5,
    "sealed": 6,
    "non-sealed": 7,
    "final": 8,
    "transient": 9,
    "volatile": 10,
    "synchronized": 11,
    "native": 12,
    "strictfp": 13,
}
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TIGHT = re.compile(r"\s*([<>,.\[\]?&()])\s*")
_BOUND = re.compile(r"\?(?=extends\b|super\b)")


def tidy_type(text: str) -> str:
    """Return a type as javac prints it: one space after commas and around `&`, none elsewhere within brackets."""
    if text.isidentifier():
        return text
    if "/" in text:
        text = _COMMENT.sub(" ", text)
    text = _TIGHT.sub(r"\1", " ".join(text.split()))
    return _BOUND.sub("? ", text.replace(",", ", ").replace("&", " & "))


def text_of(node: Node, data: bytes) -> str:
    """Return a node's text as written."""
    return data[node.start_byte : node.end_byte].decode()


def type_of(node: Node, data: bytes, dimensions: str = "") -> str:
    """Return a type with the dimensions that a declarator adds to it (`int a[]` is of type `int[]`)."""
    return tidy_type(text_of(node, data)) + dimensions


def dimensions_of(node: Node, data: bytes) -> str:
    """Return C-style dimensions as `[]` for each pair of brackets, with the annotations that stand before them."""
    text = text_of(node, data)
    return "[]" * text.count("[") if "@" not in text else " " + " ".join(text.split()).replace("[ ]", "[]")


def modifiers_of(node: Node, data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the modifiers in javac's order, and the names of the annotations as written."""
    words: list[str] = []
    annotations: list[str] = []
    for child in node.children:
        kind = child.type
        if kind in _ORDER:
            words.append(kind)
        elif kind in ANNOTATIONS:
            annotations.append(annotation_name(child, data))
    if len(words) > 1:
        words.sort(key=_ORDER.__getitem__)
    return tuple(words), tuple(annotations)


def annotation_name(node: Node, data: bytes) -> str:
    """Return an annotation's name without its arguments."""
    name = node.child_by_field_name("name")
    return tidy_type(text_of(name, data)) if name is not None else ""


def types_in(node: Node, data: bytes) -> tuple[str, ...]:
    """Return the types that a clause such as `implements A, B<C>` lists."""
    found: list[str] = []
    for child in node.named_children:
        if child.type == "type_list":
            return types_in(child, data)
        if child.type not in COMMENTS:
            found.append(type_of(child, data))
    return tuple(found)


def type_params_of(node: Node, data: bytes) -> tuple[str, ...]:
    """Return type parameters with their bounds."""
    return tuple(type_of(child, data) for child in node.named_children if child.type == "type_parameter")


def params_of(node: Node, data: bytes) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return type and name of each parameter, and whether the last one is variable; a receiver (`Foo this`) is none."""
    found = list(parameters(node, data))
    varargs = bool(found) and found[-1][0].type == "spread_parameter"
    return tuple((kind, name) for _, kind, name, _ in found if name != "this"), varargs


def parameters(node: Node, data: bytes) -> Iterable[tuple[Node, str, str, tuple[str, ...]]]:
    """Yield node, type, name and annotations of each parameter or record component."""
    for child in node.named_children:
        if child.type in ("formal_parameter", "spread_parameter"):
            yield (child, *_parameter(child, data))


def _parameter(node: Node, data: bytes) -> tuple[str, str, tuple[str, ...]]:
    kind, name, dimensions = "", "", ""
    annotations: tuple[str, ...] = ()
    for part in node.named_children:
        match part.type:
            case "modifiers":
                annotations = modifiers_of(part, data)[1]
            case "identifier" | "underscore_pattern":
                name = text_of(part, data)
            case "variable_declarator":
                name, more = declarator(part, data)
                dimensions += more
            case "dimensions":
                dimensions += dimensions_of(part, data)
            case "line_comment" | "block_comment" | "annotation" | "marker_annotation":
                continue
            case _:
                kind = type_of(part, data)
    if node.type == "spread_parameter":
        kind += "[]"
    return kind + dimensions, name, annotations


def declarator(node: Node, data: bytes) -> tuple[str, str]:
    """Return a variable declarator's name and its C-style dimensions."""
    name, dimensions = "", ""
    for part in node.named_children:
        if part.type in ("identifier", "underscore_pattern") and not name:
            name = text_of(part, data)
        elif part.type == "dimensions":
            dimensions = dimensions_of(part, data)
            break
    return name, dimensions
