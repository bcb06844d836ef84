"""Review of code: findings that are measured on it, each with the number found and the limit.

The limits are those of source 004's rules by default; a piece within all of them has no review, rather than a made-up
one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from finetune_assets.datasets.code.model import CodeMethod, CodeType
from finetune_assets.datasets.code.prose import read_documentation
from finetune_assets.task_types.source_code_answers import members
from finetune_assets.task_types.source_code_config import ReviewConfig
from finetune_assets.task_types.source_code_units import Unit

_EMPTY_CATCH = re.compile(r"\bcatch\s*\([^()]*\)\s*\{\s*\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its rule and what was measured."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"- {self.rule}: {self.text}"


def findings(unit: Unit, limits: ReviewConfig) -> list[Finding]:
    """Return what a piece of code breaks, in the order of the rules and then of the code.

    Args:
        unit: the piece.
        limits: the largest numbers without a finding.
    """
    node = unit.node
    methods = members(unit.file, node) if isinstance(node, CodeType) else [node]
    found = _of_type(unit, node, methods, limits) if isinstance(node, CodeType) else []
    found += [
        Finding("long method", f"{_named(item)} has {item.span.lines} lines, more than {limits.max_method_lines}")
        for item in methods
        if item.span.lines > limits.max_method_lines
    ]
    found += [
        Finding("many parameters", f"{_named(item)} takes {len(item.params)}, more than {limits.max_parameters}")
        for item in methods
        if len(item.params) > limits.max_parameters
    ]
    empty = len(_EMPTY_CATCH.findall(unit.code))
    if empty:
        found.append(Finding("empty catch", f"{empty} catch {'block' if empty == 1 else 'blocks'} without a statement"))
    return found


def _of_type(unit: Unit, node: CodeType, methods: list[CodeMethod], limits: ReviewConfig) -> list[Finding]:
    found = []
    count = sum(not item.constructor for item in methods)
    if count > limits.max_methods:
        found.append(Finding("many methods", f"`{node.name}` declares {count}, more than {limits.max_methods}"))
    fields = [
        item
        for item in unit.file.fields
        if item.owner == node.path and not (item.enum_constant or item.in_anonymous or _is_constant(item.modifiers))
    ]
    if len(fields) > limits.max_fields:
        found.append(Finding("many fields", f"`{node.name}` has {len(fields)}, more than {limits.max_fields}"))
    bare = [item for item in methods if _should_be_documented(item, node, unit.file.language)]
    if len(bare) > limits.max_undocumented:
        names = ", ".join(_named(item) for item in bare)
        more = f"{len(bare)} public methods, more than {limits.max_undocumented}: {names}"
        found.append(Finding("undocumented", more))
    return found


def _is_constant(modifiers: tuple[str, ...]) -> bool:
    return "static" in modifiers and "final" in modifiers


def _should_be_documented(method: CodeMethod, node: CodeType, language: str) -> bool:
    if method.constructor or "Override" in method.annotations or not read_documentation(method.doc).is_blank:
        return False
    if language == "java":
        return "public" in method.modifiers or (
            node.kind in ("interface", "annotation_type") and "private" not in method.modifiers
        )
    return not method.name.startswith(("_", "#")) and not {"private", "protected"} & set(method.modifiers)


def _named(method: CodeMethod) -> str:
    return "the constructor" if method.constructor else f"`{method.name}`"
