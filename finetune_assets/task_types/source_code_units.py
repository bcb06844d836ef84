"""The pieces of a file that are asked about, and which of them are left out for what reason.

A piece is a type or a method; what stands within an anonymous class or a local type belongs to the piece around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from finetune_assets.datasets.code.model import CodeFile, CodeMethod, CodeType
from finetune_assets.datasets.code.prose import Documentation, mask_addresses, read_documentation
from finetune_assets.datasets.code.secrets import secret_lines
from finetune_assets.datasets.code.signs import bidi_lines, look_alikes
from finetune_assets.task_types.source_code_config import SourceCodeConfig

# The whole of a body that only returns a field or a name, or only sets one; `return this` may follow.
_ACCESSOR = re.compile(
    r"(?:return\s+)?(?:(?:this|self)\s*\.\s*)?\w+\s*;?"
    r"|(?:(?:this|self)\s*\.\s*)?\w+\s*=\s*\w+\s*;?(?:\s*return\s+(?:this|self)\s*;?)?"
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_INDENT = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Unit:
    """One piece of code.

    Attributes:
        file: the file that declares it.
        node: the declaration.
    """

    file: CodeFile
    node: CodeType | CodeMethod

    @property
    def kind(self) -> str:
        """What it is: the kind of a type, or `constructor`, `method`, or `function` for one that no type owns."""
        if isinstance(self.node, CodeType):
            return self.node.kind
        if self.node.constructor:
            return "constructor"
        return "method" if self.node.owner else "function"

    @cached_property
    def documentation(self) -> Documentation:
        """What its documentation says."""
        return read_documentation(self.node.doc)

    @cached_property
    def code(self) -> str:
        """The code as it is shown: without its own documentation, its margin taken away, e-mail addresses masked."""
        start, end = self.node.span.start, self.node.span.end
        data = self.file.data
        if self.node.inner_doc:
            first, last = self.node.inner_doc
            line = data.rfind(b"\n", 0, first) + 1
            after = data.find(b"\n", last)
            # A docstring in the line of its `def` goes by itself, one in lines of its own with these lines.
            head = data[start:line] if line > start else data[start:first] + b"\n"
            text = (head + (data[after + 1 : end] if start < after < end else b"")).decode()
        else:
            text = data[start:end].decode()
        line_start = data.rfind(b"\n", 0, start) + 1
        margin = data[line_start:start].decode()
        return mask_addresses(_without_margin(text.rstrip(), margin))

    @cached_property
    def documented_code(self) -> str:
        """The code with its documentation, as a review sees it."""
        doc = self.node.doc
        if doc is None or self.node.inner_doc:
            return mask_addresses(self.file.code(self.node.span)) if self.node.inner_doc else self.code
        lines = [line.strip() for line in doc.split("\n")]
        head = "\n".join([lines[0], *(f" {line}" if line.startswith("*") else line for line in lines[1:])])
        return mask_addresses(head) + "\n" + self.code

    @cached_property
    def body(self) -> str:
        """A method's body without comments, braces and the white space at its ends; "" of a type."""
        if not isinstance(self.node, CodeMethod) or self.node.body is None:
            return ""
        start = self.node.inner_doc[1] if self.node.inner_doc else self.node.body
        text = _COMMENT.sub(" ", self.file.data[start : self.node.span.end].decode())
        return text.strip().removeprefix("{").removesuffix("}").strip()

    @property
    def is_accessor(self) -> bool:
        """True when the body only returns a field or only sets one."""
        return bool(_ACCESSOR.fullmatch(self.body))

    @property
    def is_private(self) -> bool:
        """True for what its modifiers, or in Python its name, keep to its owner."""
        name = self.node.name
        return (
            "private" in self.node.modifiers
            or name.startswith("#")
            or (self.file.language == "python" and name.startswith("_") and not name.startswith("__"))
        )

    @cached_property
    def lines(self) -> range:
        """The file's lines that the piece and its documentation take up."""
        doc, span = self.node.doc, self.node.span
        first = span.line
        if doc and not self.node.inner_doc:
            place = self.file.data.rfind(doc.encode("utf-8", "replace"), 0, span.start)
            # A comment with unicode escapes is not found as it reads: then all lines that it may have count.
            gap = self.file.data.count(b"\n", place, span.start) if place >= 0 else doc.count("\n") + 2
            first = max(1, span.line - gap)
        return range(first, span.end_line + 1)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a piece is left out: quarantine reason, what was found, what was expected."""

    reason: str
    found: str
    expected: str


@dataclass(frozen=True)
class Inspection:
    """What was noticed on a whole file before its pieces are looked at.

    Attributes:
        secrets: line → kind of secret.
        bidi: lines with bidirectional control characters.
        plain: True when the file is ASCII alone.
    """

    secrets: dict[int, str]
    bidi: frozenset[int]
    plain: bool

    @classmethod
    def of(cls, file: CodeFile) -> Inspection:
        """Look through a file's text."""
        text = file.data.decode()
        return cls(secret_lines(text), frozenset(bidi_lines(text)), text.isascii())

    def fault(self, unit: Unit) -> LeftOut | None:
        """Return why a piece must not be shown to anybody, or None."""
        # Most files have neither: then no piece's lines need to be walked.
        for line, kind in self.secrets.items():
            if line in unit.lines:
                return LeftOut("secret", f"{kind} in line {line}", "code without keys, tokens and passwords")
        for line in sorted(self.bidi):
            if line in unit.lines:
                return LeftOut("bidi_control", f"a bidirectional control character in line {line}", "code in one order")
        if not self.plain and (words := look_alikes(unit.documented_code)):
            return LeftOut("look_alike_name", f"{len(words)} words with letters of two scripts", "names in one script")
        return None


def units_of(file: CodeFile, config: SourceCodeConfig) -> Iterator[Unit]:
    """Yield the pieces of a file, types first, each in the order of the file."""
    # Local types share the path of a member type at most in code that hides one by the other.
    local = {item.path for item in file.types if item.local or item.in_anonymous}
    if "type" in config.units:
        for item in file.types:
            if not (item.path in local or "<anonymous>" in item.owner or _within(item.owner, local)):
                yield Unit(file, item)
    if "method" in config.units:
        for method in file.methods:
            if method.body is not None and "<anonymous>" not in method.owner and not _within(method.owner, local):
                yield Unit(file, method)


def _within(owner: str, paths: set[str]) -> bool:
    return bool(paths) and any(owner == path or owner.startswith(f"{path}.") for path in paths)


def filtered(unit: Unit, config: SourceCodeConfig) -> LeftOut | None:
    """Return the wish of the configuration that leaves a piece out, or None."""
    if isinstance(unit.node, CodeMethod) and unit.is_accessor and not config.include_accessors:
        return LeftOut("accessor", "a body that only returns or sets a field", "more, or include_accessors")
    length = len(unit.code)
    if length < config.min_code_length:
        return LeftOut("code_too_short", f"{length} characters", f"at least min_code_length {config.min_code_length}")
    if length > config.max_code_length:
        return LeftOut("code_too_long", f"{length} characters", f"at most max_code_length {config.max_code_length}")
    if unit.is_private and not config.include_private:
        return LeftOut("private_code", "private", "public code, or include_private")
    length = sum(not sign.isspace() for sign in unit.body)
    if isinstance(unit.node, CodeMethod) and length < config.min_body_length and not unit.is_accessor:
        expected = f"at least min_body_length {config.min_body_length}"
        return LeftOut("code_too_short", f"a body of {length} characters", expected)
    return undocumented(unit, config) if config.require_docstring else None


def undocumented(unit: Unit, config: SourceCodeConfig) -> LeftOut | None:
    """Return that a piece has no documentation that an answer could be made of, or None."""
    words = unit.documentation
    length = len(words.text or words.returns)
    if length >= config.min_documentation:
        return None
    found = "no documentation" if words.is_blank else f"{length} characters"
    return LeftOut("no_documentation", found, f"at least min_documentation {config.min_documentation}")


def _without_margin(text: str, margin: str) -> str:
    """Take the margin of the first line away from all lines that have it."""
    indent = _INDENT.match(margin)
    if indent is None or not indent[0]:
        return text
    return "\n".join(line.removeprefix(indent[0]) for line in text.split("\n"))
