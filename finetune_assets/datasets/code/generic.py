"""Declarations of any language that has a grammar, by the captures of its query (`languages.py`).

Classes, functions, methods, typed fields and their documentation are found. What a function declares within itself
belongs to it and is not listed. Of a file with errors the declarations at the top count that have none.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, get_args

from finetune_assets.datasets.code.doc_comments import Comments
from finetune_assets.datasets.code.grammars import captures, parse
from finetune_assets.datasets.code.languages import LanguageConfig
from finetune_assets.datasets.code.model import (
    CONSTRUCTOR,
    CodeField,
    CodeFile,
    CodeMethod,
    CodeType,
    Kind,
    Span,
    SyntaxFault,
)

if TYPE_CHECKING:
    from tree_sitter import Node

_KINDS = frozenset(get_args(Kind))
# Nodes that hold a declaration together with its decorators, its `export` or its `const`.
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "lexical_declaration", "variable_declaration"})
_MODIFIERS = frozenset(
    {"public", "protected", "private", "static", "abstract", "readonly", "async", "override", "export", "const"}
)
_CONSTRUCTORS = frozenset({"__init__", "constructor"})
_SPACE = re.compile(r"\s+")


def read_generic(language: str, config: LanguageConfig, data: bytes) -> CodeFile:
    """Read a file of any language.

    Args:
        language: its name.
        config: its grammar and rules.
        data: the file's bytes, from `source_text.normal_bytes`.

    Raises:
        FinetuneError: when the grammar or the query cannot be used.
    """
    query, documentation = config.rules
    root = parse(config.grammar, config.function, data)
    found = captures(config.grammar, config.function, query, root)
    places = sorted((node.start_byte, node.end_byte) for node in found.pop("comment", ()))
    walk = _Walk(data, Comments(data, places) if documentation == "comment" else None)
    broken = [child for child in root.children if child.has_error] if root.has_error else []
    nodes = [(node.start_byte, -node.end_byte, name, node) for name, several in found.items() for node in several]
    nodes.sort(key=lambda item: item[:3])
    for start, end, name, node in nodes:
        if not any(child.start_byte <= start and -end <= child.end_byte for child in broken):
            walk.visit(name, node)
    faults = [
        SyntaxFault(child.start_point.row + 1, "", f"text that is no {language}", child.end_point.row + 1)
        for child in broken
    ]
    if root.has_error and not broken:
        faults.append(SyntaxFault(1, "", f"text that is no {language}", root.end_point.row + 1))
    return CodeFile(language, data, "", 0, walk.types, walk.methods, walk.fields, faults)


@dataclass(slots=True)
class _Walk:
    """The way through the declarations; `scopes` holds end, dotted path and whether it is a function."""

    data: bytes
    comments: Comments | None
    types: list[CodeType] = field(default_factory=list)
    methods: list[CodeMethod] = field(default_factory=list)
    fields: list[CodeField] = field(default_factory=list)
    scopes: list[tuple[int, str, bool]] = field(default_factory=lambda: [(1 << 62, "", False)])

    def visit(self, capture: str, node: Node) -> None:
        while self.scopes[-1][0] <= node.start_byte:
            self.scopes.pop()
        _, owner, in_function = self.scopes[-1]
        name = self._name(node)
        if in_function or not name:
            return
        if capture == "method":
            self._method(node, name, owner)
            self.scopes.append((node.end_byte, owner, True))
        elif capture in _KINDS:
            self._type(node, name, owner, cast(Kind, capture))
            self.scopes.append((node.end_byte, f"{owner}.{name}" if owner else name, False))
        elif capture == "field":
            self._field(node, name, owner)

    def _text(self, node: Node | None) -> str:
        return "" if node is None else _SPACE.sub(" ", self.data[node.start_byte : node.end_byte].decode()).strip()

    def _name(self, node: Node) -> str:
        return self._text(node.child_by_field_name("name") or node.child_by_field_name("left"))

    def _outer(self, node: Node) -> Node:
        parent = node.parent
        while parent is not None and parent.type in _WRAPPERS:
            node, parent = parent, parent.parent
        return node

    def _first(self, outer: Node) -> Node:
        """Return the first of the decorators that stand before a member of a TypeScript class, else the member."""
        while (before := outer.prev_named_sibling) is not None and before.type == "decorator":
            outer = before
        return outer

    def _doc(self, node: Node, outer: Node) -> tuple[str | None, tuple[int, int] | None]:
        """Return the documentation and, of a docstring, where it stands."""
        if self.comments is not None:
            return self.comments.before(self._first(outer).start_byte), None
        body = node.child_by_field_name("body")
        first = body.named_children[0] if body is not None and body.named_children else None
        if first is None or first.type != "expression_statement" or not first.named_children:
            return None, None
        text = first.named_children[0]
        if text.type != "string":
            return None, None
        place = text.start_byte, text.end_byte
        doc = _docstring(self.data[slice(*place)].decode())
        return doc, None if doc is None else place

    def _marks(self, node: Node, outer: Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return modifiers and decorators, from the node and what wraps it."""
        words: list[str] = []
        decorators: list[str] = []
        places = [outer, node] if outer != node else [node]
        before: list[Node] = []
        while (above := (before[0] if before else outer).prev_named_sibling) is not None and above.type == "decorator":
            before.insert(0, above)
        for child in [*before, *(child for place in places for child in place.children)]:
            if child.type == "decorator":
                decorators.append(self._text(child).removeprefix("@").partition("(")[0])
            elif (word := self._text(child) if child.type == "accessibility_modifier" else child.type) in _MODIFIERS:
                words.append(word)
        return tuple(words), tuple(decorators)

    def _span(self, outer: Node) -> Span:
        first = self._first(outer)
        return Span(first.start_point.row + 1, outer.end_point.row + 1, first.start_byte, outer.end_byte)

    def _type(self, node: Node, name: str, owner: str, kind: Kind) -> None:
        outer = self._outer(node)
        modifiers, decorators = self._marks(node, outer)
        extends, implements = self._heritage(node)
        doc, inner_doc = self._doc(node, outer)
        self.types.append(
            CodeType(
                kind=kind,
                name=name,
                owner=owner,
                local=False,
                in_anonymous=False,
                modifiers=modifiers,
                annotations=decorators,
                type_params=self._parts(node.child_by_field_name("type_parameters")),
                extends=extends,
                implements=implements,
                permits=(),
                span=self._span(outer),
                doc=doc,
                inner_doc=inner_doc,
            )
        )

    def _heritage(self, node: Node) -> tuple[str | None, tuple[str, ...]]:
        bases = self._parts(node.child_by_field_name("superclasses"))
        extends = ", ".join(base for base in bases if "=" not in base) or None
        implements: tuple[str, ...] = ()
        clauses = [part for child in node.named_children for part in (child, *child.named_children)]
        for clause in clauses:
            if clause.type == "extends_clause":
                extends = self._text(clause).removeprefix("extends").strip()
            elif clause.type in ("implements_clause", "extends_type_clause"):
                implements = self._parts(clause)
        return extends, implements

    def _parts(self, node: Node | None) -> tuple[str, ...]:
        return () if node is None else tuple(self._text(child) for child in node.named_children)

    def _method(self, node: Node, name: str, owner: str) -> None:
        outer = self._outer(node)
        modifiers, decorators = self._marks(node, outer)
        head = node.child_by_field_name("value") or node
        body = head.child_by_field_name("body")
        listed = head.child_by_field_name("parameters") or head.child_by_field_name("parameter")
        params = tuple(self._param(child) for child in self._listed(listed))
        doc, inner_doc = self._doc(head, outer)
        constructor = bool(owner) and name in _CONSTRUCTORS
        returns = self._text(head.child_by_field_name("return_type")).lstrip(":").strip()
        self.methods.append(
            CodeMethod(
                name=CONSTRUCTOR if constructor else name,
                owner=owner,
                constructor=constructor,
                returns=None if constructor else returns or None,
                params=tuple(param for param in params if param[1] not in ("self", "cls") or not owner),
                varargs=False,
                throws=(),
                type_params=self._parts(head.child_by_field_name("type_parameters")),
                modifiers=modifiers,
                annotations=decorators,
                in_anonymous=False,
                span=self._span(outer),
                body=None if body is None else body.start_byte,
                doc=doc,
                inner_doc=inner_doc,
            )
        )

    def _listed(self, node: Node | None) -> list[Node]:
        if node is None:
            return []
        if node.type == "identifier":
            return [node]
        return [child for child in node.named_children if "comment" not in child.type]

    def _param(self, node: Node) -> tuple[str, str]:
        kind = self._text(node.child_by_field_name("type")).lstrip(":").strip()
        name = node.child_by_field_name("name") or node.child_by_field_name("pattern")
        if name is None and node.named_children and node.type != "identifier":
            name = node.named_children[0]
        return kind, self._text(name or node)

    def _field(self, node: Node, name: str, owner: str) -> None:
        outer = self._outer(node)
        modifiers, decorators = self._marks(node, outer)
        self.fields.append(
            CodeField(
                name=name,
                owner=owner,
                type=self._text(node.child_by_field_name("type")).lstrip(":").strip(),
                modifiers=modifiers,
                annotations=decorators,
                enum_constant=False,
                record_component=False,
                in_anonymous=False,
                line=node.start_point.row + 1,
                doc=self.comments.before(outer.start_byte) if self.comments else None,
            )
        )


def _docstring(literal: str) -> str | None:
    """Return what a string literal says, or None when it is none that stands for itself (an f-string)."""
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return None
    return value if isinstance(value, str) else None
