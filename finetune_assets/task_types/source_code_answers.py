"""Answers about code: explanation, generation and template, made of the code and its documentation alone.

No sentence is invented: what the documentation does not say is not explained, and what stands in an answer can be
pointed at in the file.
"""

from __future__ import annotations

import re
from typing import Any

from finetune_assets.datasets.code.model import CodeFile, CodeMethod, CodeType
from finetune_assets.datasets.code.prose import Documentation, read_documentation
from finetune_assets.task_types.source_code_units import Unit

_SHOWN_MEMBERS = 7
_SENTENCE = re.compile(r"^(.*?[.!?])(?:\s|$)", re.DOTALL)


def members(file: CodeFile, node: CodeType) -> list[CodeMethod]:
    """Return the methods that a type itself declares."""
    return [item for item in file.methods if item.owner == node.path and _inside(node, item)]


def _inside(node: CodeType, item: CodeMethod) -> bool:
    return node.span.start <= item.span.start and item.span.end <= node.span.end


def explanation(unit: Unit) -> str:
    """Return what the documentation says, and of a type what it is and what its documented methods do."""
    words = unit.documentation
    parts = [words.text or f"Returns {words.returns}"]
    if isinstance(unit.node, CodeType):
        parts.append(_structure(unit.node, unit.file))
        parts.append(_methods(unit.file, unit.node))
    parts += _details(words)
    return "\n\n".join(part for part in parts if part)


def _listed(title: str, items: tuple[tuple[str, str], ...]) -> str:
    return "\n".join([f"{title}:", *(f"- `{name}`: {text}" for name, text in items)]) if items else ""


def _structure(node: CodeType, file: CodeFile) -> str:
    """Return one sentence on what a type is, from its header and its components or constants."""
    kind = node.kind.replace("_", " ")
    words = [f"`{node.name}{_brackets(node.type_params)}` is", _article([*node.modifiers, kind])]
    clauses = []
    if node.extends:
        clauses.append(f"extends `{node.extends}`")
    if node.implements:
        verb = "extends" if node.kind == "interface" else "implements"
        clauses.append(f"{verb} {_ticked(node.implements)}")
    if node.permits:
        clauses.append(f"permits {_ticked(node.permits)}")
    sentence = " ".join(words) + (f" that {_joined(clauses)}" if clauses else "") + "."
    fields = [item for item in file.fields if item.owner == node.path]
    for title, names in (
        ("Components", [f"{item.type} {item.name}" for item in fields if item.record_component]),
        ("Constants", [item.name for item in fields if item.enum_constant]),
    ):
        if names:
            more = f" and {len(names) - _SHOWN_MEMBERS} more" if len(names) > _SHOWN_MEMBERS else ""
            sentence += f" {title}: {_ticked(names[:_SHOWN_MEMBERS])}{more}."
    return sentence


def _methods(file: CodeFile, node: CodeType) -> str:
    """Return the first documented methods of a type, each with the first sentence of its documentation."""
    lines = []
    for item in members(file, node):
        text = read_documentation(item.doc).text.split("\n\n")[0]
        sentence = _SENTENCE.match(text)
        if text and not item.constructor and "private" not in item.modifiers:
            shown = ", ".join(name for _, name in item.params)
            lines.append(f"- `{item.name}({shown})`: {sentence[1] if sentence else text}")
        if len(lines) == _SHOWN_MEMBERS:
            break
    return "\n".join(["Methods:", *lines]) if lines else ""


def description(unit: Unit) -> str:
    """Return what code is to be written, in words: the documentation with parameters, result and exceptions."""
    words = unit.documentation
    parts = [words.text or f"Returns {words.returns}", *_details(words)]
    return "\n\n".join(part for part in parts if part)


def _details(words: Documentation) -> list[str]:
    """Return what a documentation says of parameters, result and exceptions, a part each."""
    types = tuple(item for item in words.params if item[0].startswith("<"))
    return [
        _listed("Type parameters", tuple((name.strip("<>"), text) for name, text in types)),
        _listed("Parameters", tuple(item for item in words.params if item not in types)),
        f"Returns: {words.returns}" if words.text and words.returns else "",
        _listed("Throws", words.throws),
    ]


def signature(unit: Unit) -> str:
    """Return the head of the code to be written: of a method up to its body, of a type with its members' heads."""
    file, node = unit.file, unit.node
    if isinstance(node, CodeMethod):
        head = _head(file, node)
        return f"{head}  // in {node.owner}" if node.owner and file.language != "python" else head
    first = unit.code.split("{", 1)[0] if file.language != "python" else unit.code.split("\n", 1)[0]
    lines = [" ".join(first.split())]
    lines += [f"    {_head(file, item)}" for item in members(file, node) if "private" not in item.modifiers]
    return "\n".join(lines)


def _head(file: CodeFile, node: CodeMethod) -> str:
    end = node.span.end if node.body is None else node.body
    return " ".join(file.data[node.span.start : end].decode().split()).rstrip(" ;{:")


def template(file: CodeFile, node: CodeType) -> dict[str, Any]:
    """Return a type's structure as JSON: what it is, its fields and its methods with their signatures."""
    return {
        "name": node.name,
        "kind": node.kind,
        "modifiers": list(node.modifiers),
        "annotations": list(node.annotations),
        "type_params": list(node.type_params),
        "extends": node.extends,
        "implements": list(node.implements),
        "permits": list(node.permits),
        "fields": [
            {"name": item.name, "type": item.type, "modifiers": list(item.modifiers)}
            for item in file.fields
            if item.owner == node.path and not item.in_anonymous and node.span.line <= item.line <= node.span.end_line
        ],
        "methods": [
            {
                "name": item.name,
                "returns": item.returns,
                "params": [_param(item, place) for place in range(len(item.params))],
                "throws": list(item.throws),
                "modifiers": list(item.modifiers),
            }
            for item in members(file, node)
        ],
    }


TEMPLATE_KEYS = ("name", "kind", "fields", "methods")
"""The keys by which an answer is known to be a template."""


def _param(method: CodeMethod, place: int) -> str:
    kind, name = method.params[place]
    if method.varargs and place == len(method.params) - 1:
        kind = f"{kind.removesuffix('[]')}..."
    return f"{kind} {name}".strip()


def _brackets(params: tuple[str, ...]) -> str:
    return f"<{', '.join(params)}>" if params else ""


def _ticked(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _joined(clauses: list[str]) -> str:
    return " and ".join(clauses) if len(clauses) < 3 else ", ".join(clauses[:-1]) + " and " + clauses[-1]


def _article(words: list[str]) -> str:
    return ("an " if words[0][0] in "aeiou" else "a ") + " ".join(words)
