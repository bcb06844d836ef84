"""Tree-sitter grammars by name, loaded when first used and kept for the process.

Only packages whose name starts with `tree_sitter_` are imported: a defs.yaml names a grammar, never any other code.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import TYPE_CHECKING

from finetune_assets.records.errors import FinetuneError

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Query

GRAMMAR_PATTERN = r"^tree_sitter_[a-z0-9_]+$"
_IS_GRAMMAR = re.compile(GRAMMAR_PATTERN)


@cache
def load_language(grammar: str, function: str = "language") -> Language:
    """Return a grammar.

    Args:
        grammar: the package, for instance `tree_sitter_java`.
        function: the function of the package that returns the grammar; packages of several have one for each.

    Raises:
        FinetuneError: when the package is not installed or has no such function.
    """
    from tree_sitter import Language

    if not _IS_GRAMMAR.match(grammar):
        raise _refused(grammar, "a package whose name starts with tree_sitter_", "name a tree-sitter grammar")
    try:
        module = importlib.import_module(grammar)
    except ImportError as error:
        mend = f"pip install {grammar.replace('_', '-')}"
        raise _refused(grammar, "an installed package", mend) from error
    maker = getattr(module, function, None)
    if not function.startswith("language") or not callable(maker):
        names = ", ".join(sorted(name for name in dir(module) if name.startswith("language")))
        raise _refused(f"{grammar}.{function}", f"one of {names}", "set `function` to one of these")
    return Language(maker())


@cache
def load_query(grammar: str, function: str, text: str) -> Query:
    """Return a compiled query.

    Raises:
        FinetuneError: when the grammar has no such node types.
    """
    from tree_sitter import Query, QueryError

    try:
        return Query(load_language(grammar, function), text)
    except QueryError as error:
        raise _refused(f"{grammar}: {error}", "node types of this grammar", "correct the language's rules") from error


def parse(grammar: str, function: str, data: bytes) -> Node:
    """Return the root of a file's syntax tree.

    A parser is made for each call: it is cheap, and no two threads share it.

    Args:
        grammar: the package.
        function: the function of the package that returns the grammar.
        data: UTF-8.
    """
    from tree_sitter import Parser

    return Parser(load_language(grammar, function)).parse(data).root_node


def captures(grammar: str, function: str, text: str, root: Node) -> dict[str, list[Node]]:
    """Return the nodes that a query finds under `root`, by capture name, each list in the order of the file."""
    from tree_sitter import QueryCursor

    return QueryCursor(load_query(grammar, function, text)).captures(root)


def _refused(found: str, expected: str, mend: str) -> FinetuneError:
    return FinetuneError(
        "grammar cannot be used", where="source_code.languages", found=found, expected=expected, mend=mend
    )
