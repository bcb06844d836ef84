"""Globs over names with slashes: what a pattern means, the same for local files and for objects in a bucket."""

from __future__ import annotations

import re

MAGIC = re.compile(r"[*?\[]")
"""What makes a name a pattern."""
_TOKENS = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:[^/]+/)*", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def translate(glob: str) -> re.Pattern[str]:
    """Return the regular expression that fully matches what a glob names.

    `*` and `?` stand for signs other than a slash, `**` for any folders, `[…]` for one of some signs, `[!…]` for one of
    all others. The standard library's own translation with `**` comes with Python 3.13.

    Raises:
        re.error: when its brackets are broken.
    """
    return re.compile("".join(map(_meaning, _TOKENS.findall(glob))), re.DOTALL)


def _meaning(token: str) -> str:
    if token in _MEANINGS:
        return _MEANINGS[token]
    if len(token) > 2 and token.startswith("["):
        inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)
