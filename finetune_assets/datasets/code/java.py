"""Java: what a file declares, by tree-sitter-java, without recursion and in one pass over the declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from finetune_assets.datasets.code.doc_comments import Comments
from finetune_assets.datasets.code.grammars import captures
from finetune_assets.datasets.code.java_text import (
    ANNOTATIONS,
    COMMENTS,
    annotation_name,
    declarator,
    dimensions_of,
    modifiers_of,
    parameters,
    params_of,
    text_of,
    type_of,
    type_params_of,
    types_in,
)
from finetune_assets.datasets.code.model import CONSTRUCTOR, CodeField, CodeMethod, CodeType, Kind, Span
from finetune_assets.datasets.code.source_text import Translation

if TYPE_CHECKING:
    from tree_sitter import Node

T = TypeVar("T")
_NONE: tuple[str, ...] = ()
_NO_MODIFIERS = (_NONE, _NONE)
GRAMMAR, FUNCTION = "tree_sitter_java", "language"
ANONYMOUS = "<anonymous>"
_KINDS: dict[str, Kind] = {
    "class_declaration": "class",
    "interface_declaration": "interface",
    "enum_declaration": "enum",
    "record_declaration": "record",
    "annotation_type_declaration": "annotation_type",
}
_METHODS = frozenset(
    {
        "method_declaration",
        "constructor_declaration",
        "compact_constructor_declaration",
        "annotation_type_element_declaration",
    }
)
_CONSTRUCTORS = frozenset({"constructor_declaration", "compact_constructor_declaration"})
# The children of a method that stand before its return type, or are none.
_NO_TYPES = COMMENTS | ANNOTATIONS | {"modifiers", "type_parameters", "identifier", "formal_parameters", "block"}
_FIELDS = frozenset({"field_declaration", "constant_declaration"})
_MEMBER_PLACES = frozenset(
    {"program", "class_body", "interface_body", "annotation_type_body", "enum_body", "enum_body_declarations", "ERROR"}
)
QUERY = """
[(class_declaration) (interface_declaration) (enum_declaration) (record_declaration) (annotation_type_declaration)
 (method_declaration) (constructor_declaration) (compact_constructor_declaration)
 (annotation_type_element_declaration) (field_declaration) (constant_declaration) (enum_constant)] @declaration
(object_creation_expression (class_body) @declaration)
(enum_constant (class_body) @declaration)
[(line_comment) (block_comment)] @comment
(program (package_declaration [(identifier) (scoped_identifier)] @package))
(program (import_declaration) @import)
"""


@dataclass(slots=True)
class Declarations:
    """What was found in a file, in the order of the file."""

    package: str = ""
    imports: int = 0
    types: list[CodeType] = field(default_factory=list)
    methods: list[CodeMethod] = field(default_factory=list)
    fields: list[CodeField] = field(default_factory=list)


def declarations(root: Node, source: Translation) -> Declarations:
    """Return what stands under a syntax tree's root.

    Args:
        root: the root; what stands in a part that does not parse may be wrong.
        source: the bytes that were parsed, and the way back to those that were written.
    """
    data = source.data
    found = captures(GRAMMAR, FUNCTION, QUERY, root)
    comments = Comments(data, sorted((node.start_byte, node.end_byte) for node in found.get("comment", ())))
    walk = _Walk(source, comments)
    packages = found.get("package", ())
    walk.found.package = "".join(text_of(packages[0], data).split()) if packages else ""
    walk.found.imports = len(found.get("import", ()))
    nodes = [(node.start_byte, -node.end_byte, node) for node in found.get("declaration", ())]
    # A declaration comes after what encloses it; one that fills its place exactly does not occur.
    nodes.sort(key=lambda item: item[:2])
    for start, end, node in nodes:
        walk.visit(node, start, -end)
    return walk.found


def _of(parts: Mapping[str, Node], kind: str, read: Callable[[Node, bytes], T], data: bytes, otherwise: T) -> T:
    """Return what `read` makes of the part of a kind, or `otherwise` without such a part."""
    part = parts.get(kind)
    return otherwise if part is None else read(part, data)


@dataclass(slots=True)
class _Walk:
    """The way down and up through the types of a file; `scopes` holds end, dotted path, name and whether anonymous."""

    source: Translation
    comments: Comments
    found: Declarations = field(default_factory=Declarations)
    scopes: list[tuple[int, str, str, bool]] = field(default_factory=lambda: [(1 << 62, "", "", False)])
    components: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def visit(self, node: Node, start: int, end: int) -> None:
        scopes = self.scopes
        while scopes[-1][0] <= start:
            scopes.pop()
        kind = node.type
        if kind in _METHODS:
            self._method(node, kind, start, end)
        elif kind in _FIELDS:
            self._field(node, start)
        elif kind == "enum_constant":
            self._constant(node, start)
        elif kind in _KINDS:
            self._type(node, _KINDS[kind], start, end)
        else:
            _, owner, _, _ = scopes[-1]
            scopes.append((end, f"{owner}.{ANONYMOUS}" if owner else ANONYMOUS, "", True))

    def _span(self, node: Node, start: int, end: int) -> Span:
        source = self.source
        if source.breaks:
            start, end = source.original(start), source.original(end)
        return Span(node.start_point.row + 1, node.end_point.row + 1, start, end)

    def _type(self, node: Node, kind: Kind, start: int, end: int) -> None:
        data, (_, owner, _, anonymous) = self.source.data, self.scopes[-1]
        parts = {child.type: child for child in reversed(node.named_children)}
        name = _of(parts, "identifier", text_of, data, "")
        modifiers, annotations = _of(parts, "modifiers", modifiers_of, data, _NO_MODIFIERS)
        bases = _of(parts, "superclass", types_in, data, _NONE)
        interfaces = "extends_interfaces" if kind == "interface" else "super_interfaces"
        parent = node.parent
        made = CodeType(
            kind=kind,
            name=name,
            owner=owner,
            local=parent is not None and parent.type not in _MEMBER_PLACES,
            in_anonymous=anonymous,
            modifiers=modifiers,
            annotations=annotations,
            type_params=_of(parts, "type_parameters", type_params_of, data, _NONE),
            extends=bases[0] if bases else None,
            implements=_of(parts, interfaces, types_in, data, _NONE),
            permits=_of(parts, "permits", types_in, data, _NONE),
            span=self._span(node, start, end),
            doc=self.comments.before(start),
        )
        self.found.types.append(made)
        # What a local or member type encloses is no longer directly within the anonymous class.
        self.scopes.append((end, made.path, name, False))
        if "formal_parameters" in parts:
            self._components(parts["formal_parameters"], made.path)

    def _components(self, node: Node, owner: str) -> None:
        self.components[owner], _ = params_of(node, self.source.data)
        for child, kind, name, marks in parameters(node, self.source.data):
            self.found.fields.append(
                CodeField(
                    name=name,
                    owner=owner,
                    type=kind,
                    modifiers=("private", "final"),
                    annotations=marks,
                    enum_constant=False,
                    record_component=True,
                    in_anonymous=False,
                    line=child.start_point.row + 1,
                    doc=self.comments.before(child.start_byte),
                )
            )

    def _method(self, node: Node, kind: str, start: int, end: int) -> None:
        data, (_, owner, _, anonymous) = self.source.data, self.scopes[-1]
        children = node.named_children
        # Of several children of one kind the first counts: after an element's name comes its default value.
        parts = {child.type: child for child in reversed(children)}
        modifiers, annotations = _of(parts, "modifiers", modifiers_of, data, _NO_MODIFIERS)
        # Annotations between type parameters and the return type belong to the method, as javac has it.
        annotations += tuple(annotation_name(child, data) for child in children if child.type in ANNOTATIONS)
        # A compact constructor takes the record's components.
        known = (self.components.get(owner, ()) if kind == "compact_constructor_declaration" else (), False)
        params, varargs = _of(parts, "formal_parameters", params_of, data, known)
        body = parts.get("block") or parts.get("constructor_body")
        constructor = kind in _CONSTRUCTORS
        returned = None if constructor else next((child for child in children if child.type not in _NO_TYPES), None)
        dimensions = _of(parts, "dimensions", dimensions_of, data, "")
        self.found.methods.append(
            CodeMethod(
                name=CONSTRUCTOR if constructor else _of(parts, "identifier", text_of, data, ""),
                owner=owner,
                constructor=constructor,
                returns=None if returned is None else type_of(returned, data, dimensions),
                params=params,
                varargs=varargs,
                throws=_of(parts, "throws", types_in, data, _NONE),
                type_params=_of(parts, "type_parameters", type_params_of, data, _NONE),
                modifiers=modifiers,
                annotations=annotations,
                in_anonymous=anonymous,
                span=self._span(node, start, end),
                body=None if body is None else self.source.original(body.start_byte),
                doc=self.comments.before(start),
            )
        )

    def _field(self, node: Node, start: int) -> None:
        data, (_, owner, _, anonymous) = self.source.data, self.scopes[-1]
        kind = ""
        modifiers: tuple[str, ...] = ()
        annotations: tuple[str, ...] = ()
        doc = self.comments.before(start)
        line = node.start_point.row + 1
        for child in node.named_children:
            part = child.type
            if part == "variable_declarator":
                name, dimensions = declarator(child, data)
                self.found.fields.append(
                    CodeField(
                        name=name,
                        owner=owner,
                        type=kind + dimensions,
                        modifiers=modifiers,
                        annotations=annotations,
                        enum_constant=False,
                        record_component=False,
                        in_anonymous=anonymous,
                        line=line,
                        doc=doc,
                    )
                )
            elif part == "modifiers":
                modifiers, annotations = modifiers_of(child, data)
            elif part not in COMMENTS:
                kind = type_of(child, data)

    def _constant(self, node: Node, start: int) -> None:
        data, (_, owner, enum, _) = self.source.data, self.scopes[-1]
        annotations: tuple[str, ...] = ()
        name = ""
        for child in node.named_children:
            if child.type == "modifiers":
                annotations = modifiers_of(child, data)[1]
            elif child.type == "identifier":
                name = text_of(child, data)
                break
        self.found.fields.append(
            CodeField(
                name=name,
                owner=owner,
                type=enum,
                modifiers=("public", "static", "final"),
                annotations=annotations,
                enum_constant=True,
                record_component=False,
                in_anonymous=False,
                line=node.start_point.row + 1,
                doc=self.comments.before(start),
            )
        )
