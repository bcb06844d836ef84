"""What is known of a source file: value types, one for each kind of declaration.

Conventions: record components and enum constants are fields; annotation elements and constructors (named `<init>`) are
methods; an anonymous class is no type, its members have `in_anonymous` set; a type that a method declares is `local`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["class", "interface", "enum", "record", "annotation_type", "type_alias"]
CONSTRUCTOR = "<init>"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a declaration stands: 1-based lines and offsets into the file's bytes, the end exclusive."""

    line: int
    end_line: int
    start: int
    end: int

    @property
    def lines(self) -> int:
        """How many lines it touches."""
        return self.end_line - self.line + 1


@dataclass(frozen=True, slots=True)
class CodeType:
    """A class, interface, enum, record or annotation type.

    Attributes:
        kind: what it is.
        name: its simple name.
        owner: the dotted path of what encloses it, "" at the top of the file; `<anonymous>` stands for an anonymous
            class.
        local: True when a method or another block declares it.
        in_anonymous: True within an anonymous class.
        modifiers: in the language's customary order.
        annotations: simple or qualified names as written, without arguments.
        type_params: each with its bounds, for instance `T extends Comparable<T>`.
        extends: the types it extends; of an interface all of them stand in `implements`, as javac has it.
        implements: the interfaces.
        permits: the permitted subtypes of a sealed type.
        span: from its first modifier to its closing brace.
        doc: the documentation comment as written, None without one.
        inner_doc: where a documentation stands that is part of the code (a docstring): offsets of its first byte and
            of the byte after its last.
    """

    kind: Kind
    name: str
    owner: str
    local: bool
    in_anonymous: bool
    modifiers: tuple[str, ...]
    annotations: tuple[str, ...]
    type_params: tuple[str, ...]
    extends: str | None
    implements: tuple[str, ...]
    permits: tuple[str, ...]
    span: Span
    doc: str | None
    inner_doc: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """The dotted path within the file."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(frozen=True, slots=True)
class CodeMethod:
    """A method, constructor, function or annotation element.

    Attributes:
        name: its name; `<init>` for a constructor.
        owner: the dotted path of the type, "" for a function of the file.
        constructor: True for a constructor.
        returns: the return type, None for a constructor and where the language leaves it open.
        params: type ("" where the language leaves it open) and name of each parameter; `int...` is of type `int[]`.
        varargs: True when the last parameter takes any number of arguments.
        throws: declared exceptions.
        type_params: each with its bounds.
        modifiers: in the language's customary order.
        annotations: names without arguments.
        in_anonymous: True within an anonymous class.
        span: from its first modifier to the end of its body.
        body: offset of the body's first byte, None without a body.
        doc: the documentation comment as written, None without one.
        inner_doc: as of `CodeType`.
    """

    name: str
    owner: str
    constructor: bool
    returns: str | None
    params: tuple[tuple[str, str], ...]
    varargs: bool
    throws: tuple[str, ...]
    type_params: tuple[str, ...]
    modifiers: tuple[str, ...]
    annotations: tuple[str, ...]
    in_anonymous: bool
    span: Span
    body: int | None
    doc: str | None
    inner_doc: tuple[int, int] | None = None

    @property
    def path(self) -> str:
        """The dotted path within the file."""
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(frozen=True, slots=True)
class CodeField:
    """A field, an enum constant or a record component."""

    name: str
    owner: str
    type: str
    modifiers: tuple[str, ...]
    annotations: tuple[str, ...]
    enum_constant: bool
    record_component: bool
    in_anonymous: bool
    line: int
    doc: str | None


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """A part of a file that does not parse.

    Attributes:
        line: 1-based line of the first error in it.
        name: dotted path of the type at fault, "" where none is known.
        detail: what stands there, for people.
        end_line: the last line of the part that is left out.
    """

    line: int
    name: str
    detail: str
    end_line: int


@dataclass(frozen=True, slots=True)
class CodeFile:
    """What one file declares; only what parses without an error.

    Attributes:
        language: the language's name.
        data: the bytes that the spans count: UTF-8 without byte order mark, lines ended by a line feed.
        package: the declared package, "" without one.
        imports: how many import declarations there are.
        types: in the order of the file.
        methods: in the order of the file.
        fields: in the order of the file.
        faults: the parts that do not parse.
    """

    language: str
    data: bytes
    package: str
    imports: int
    types: Sequence[CodeType]
    methods: Sequence[CodeMethod]
    fields: Sequence[CodeField]
    faults: Sequence[SyntaxFault] = ()

    def code(self, span: Span) -> str:
        """Return the text of a declaration."""
        return self.data[span.start : span.end].decode()
