"""Java files that do not parse as a whole: what is sound in them, and where the rest goes wrong.

A parser that recovers from an error may take what follows for something else. So the file is cut where a type starts at
the margin, each part is parsed on its own, and only a part without any error counts. Of a part with an error the member
types count that have none themselves, provided that its braces balance: otherwise nobody knows what encloses what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finetune_assets.datasets.code.grammars import captures, parse
from finetune_assets.datasets.code.java import FUNCTION, GRAMMAR, Declarations, declarations
from finetune_assets.datasets.code.model import SyntaxFault
from finetune_assets.datasets.code.source_text import Translation

if TYPE_CHECKING:
    from tree_sitter import Node

# Comments and literals, in which a brace or the word `class` means nothing.
_LEXEME = re.compile(rb'/\*.*?\*/|//[^\n]*|"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_HEADER = re.compile(
    rb"^(?:@\w+[ \t]+)*(?:(?:public|protected|private|abstract|static|final|sealed|non-sealed|strictfp)[ \t]+)*"
    rb"(?:class|interface|enum|record|@interface)[ \t]+([\w$]+)",
    re.MULTILINE,
)
_BELONGS_TO_NEXT = re.compile(rb"[ \t]*(?:@|/\*|\*|//|$)")
_NOT_LINE_END = re.compile(rb"[^\n]")
_ERRORS = "(ERROR) @error (MISSING) @missing"


@dataclass(slots=True)
class Recovered:
    """The sound declarations of a broken file and its faults, in the order of the file."""

    found: Declarations = field(default_factory=Declarations)
    faults: list[SyntaxFault] = field(default_factory=list)


def recover(source: Translation) -> Recovered:
    """Read what is sound in a Java file that has a syntax error.

    Args:
        source: the bytes that do not parse, and the way back to those that were written.
    """
    data = source.data
    plain = _LEXEME.sub(lambda match: _NOT_LINE_END.sub(b" ", match[0]), data)
    headers = list(_HEADER.finditer(plain))
    starts = [_with_what_precedes(data, match.start()) for match in headers]
    bounds = [0, *starts, len(data)]
    names = ["", *(match[1].decode("utf-8", "replace") for match in headers)]
    result = Recovered()
    for name, start, end in zip(names, bounds, bounds[1:], strict=False):
        _read_part(result, source, plain, name, start, end)
    return result


def _with_what_precedes(data: bytes, start: int) -> int:
    """Move a type's start up over the comment, annotation and blank lines that stand before it."""
    while start:
        above = data.rfind(b"\n", 0, start - 1) + 1
        if not _BELONGS_TO_NEXT.match(data[above : start - 1]):
            break
        start = above
    return start


def _read_part(result: Recovered, source: Translation, plain: bytes, name: str, start: int, end: int) -> None:
    if not plain[start:end].strip():
        return
    blank = (_NOT_LINE_END.sub(b" ", part) for part in (source.data[:start], source.data[end:]))
    part = Translation(source.data[start:end].join(blank), source.breaks, source.shifts)
    root = parse(GRAMMAR, FUNCTION, part.data)
    found = declarations(root, part)
    if not name:
        result.found.package, result.found.imports = found.package, found.imports
    if root.has_error:
        result.faults.append(_fault(root, part.data, name, end))
        balanced = plain[start:end].count(b"{") == plain[start:end].count(b"}")
        _keep(result.found, found, _sound_members(root, source.data) if balanced else set())
    else:
        _keep(result.found, found, None)


def _keep(into: Declarations, found: Declarations, paths: set[str] | None) -> None:
    """Add what was found, or only the types of these paths with all that they hold."""

    def wanted(path: str) -> bool:
        parts = path.split(".")
        return paths is None or any(".".join(parts[:count]) in paths for count in range(1, len(parts) + 1))

    into.types += [item for item in found.types if wanted(item.path)]
    into.methods += [item for item in found.methods if wanted(item.owner)]
    into.fields += [item for item in found.fields if wanted(item.owner)]


def _sound_members(root: Node, data: bytes) -> set[str]:
    """Return the paths of member types without an error, directly within types that have one."""
    sound: set[str] = set()
    waiting = [(child, "") for child in root.named_children]
    while waiting:
        node, owner = waiting.pop()
        name = node.child_by_field_name("name")
        body = node.child_by_field_name("body")
        if not node.type.endswith("_declaration") or name is None or body is None or node.type.startswith("method"):
            continue
        path = f"{owner}.{data[name.start_byte : name.end_byte].decode()}".lstrip(".")
        if owner and not node.has_error:
            sound.add(path)
        elif not name.is_missing:
            waiting += [(child, path) for child in body.named_children]
    return sound


def _fault(root: Node, data: bytes, name: str, end: int) -> SyntaxFault:
    errors = captures(GRAMMAR, FUNCTION, _ERRORS, root)
    first = min((node for nodes in errors.values() for node in nodes), key=lambda node: node.start_byte, default=root)
    detail = f"{first.type!r} is missing" if first.is_missing else "text that is no Java"
    last = data.count(b"\n", 0, max(end - 1, 0)) + 1
    return SyntaxFault(line=first.start_point.row + 1, name=name, detail=detail, end_line=last)
