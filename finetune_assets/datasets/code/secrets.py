"""Keys, tokens and passwords in source code, by the detectors of detect-secrets.

Only the detectors' own patterns are used, one line at a time: nothing is sent anywhere to be verified, and no setting
of the library is read or changed. Findings name the kind of secret and the line, never the secret.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Public addresses are no secrets; the two detectors of entropy are asked apart, because their limit stands elsewhere.
_LEFT_OUT = frozenset({"IPPublicDetector"})
# Lines worth the detectors' time: a word of the keyword detector, a URL with a password, a private key's header, or a
# run of 16 signs with a digit in it, as every token has. On all lines the detectors take ten times as long as parsing.
_RUN = re.compile(r"[\w+/=.:~-]{16,}", re.ASCII)
_HAS_DIGIT = re.compile(r"\d")
_TELLING = re.compile(r"://[^\s/:@]+:[^\s/@]+@|PRIVATE KEY")
_WINDOW, _OVERLAP = 4_000, 400
_LITERAL = re.compile(r'"((?:\\.|[^"\\])*[=:](?:\\.|[^"\\])*)"')


def secret_lines(text: str) -> dict[int, str]:
    """Return the lines that hold a secret.

    Args:
        text: a file's text, its lines ended by a line feed.

    Returns:
        1-based line → kind of secret, for instance `AWS Access Key`, in the order of the lines.
    """
    keywords = _keywords()
    # Lower case has the length of what was written in ASCII only; of other texts the pattern must fold the case itself.
    lowered = text.lower() if text.isascii() else ""
    with_keyword = {_line_start(text, match.start()) for match in keywords[bool(lowered)].finditer(lowered or text)}
    others = {_line_start(text, run.start()) for run in _RUN.finditer(text) if _HAS_DIGIT.search(run[0])}
    others |= {_line_start(text, match.start()) for match in _TELLING.finditer(text)}
    found: dict[int, str] = {}
    for start in sorted(with_keyword | others):
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        # The detectors' patterns are slow on long lines: of one, windows that overlap are looked at.
        windows = (line[place : place + _WINDOW] for place in range(0, len(line), _WINDOW - _OVERLAP))
        kind = next(filter(None, (_kind_of_secret(window, start in with_keyword) for window in windows)), "")
        if kind:
            found[text.count("\n", 0, start) + 1] = kind
    return found


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _kind_of_secret(line: str, has_keyword: bool) -> str:
    from detect_secrets.filters import heuristic

    harmless: tuple[Callable[[str], bool], ...] = (
        heuristic.is_sequential_string,
        heuristic.is_potential_uuid,
        heuristic.is_templated_secret,
        heuristic.is_prefixed_with_dollar_sign,
        heuristic.is_not_alphanumeric_string,
    )
    for detector, needs_keyword, limit in _detectors():
        if needs_keyword and not has_keyword:
            continue
        found = detector.analyze_string(line)
        if needs_keyword:
            found = chain(found, *(detector.analyze_string(text, _settings()) for text in _LITERAL.findall(line)))
        for secret in found:
            if limit is not None and detector.calculate_shannon_entropy(secret) <= limit:
                continue
            if not any(check(secret) for check in harmless):
                return str(detector.secret_type)
    return ""


def _settings() -> Any:
    """Return the keyword detector's patterns for settings without quotes, as they stand in `"user=a;password=b"`."""
    from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP

    return CONFIG_DENYLIST_REGEX_TO_GROUP


@cache
def _detectors() -> list[tuple[Any, bool, float | None]]:
    """Return each detector, whether it needs a keyword in the line, and its limit of entropy."""
    from detect_secrets import plugins
    from detect_secrets.plugins.base import BasePlugin
    from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
    from detect_secrets.plugins.keyword import KeywordDetector
    from detect_secrets.util.importlib import import_types_from_package

    def is_abstract(kind: Any) -> bool:
        concrete = isinstance(getattr(kind, "secret_type", None), str)
        return not (isinstance(kind, type) and issubclass(kind, BasePlugin) and concrete)

    kinds: dict[str, Any] = {kind.__name__: kind for kind in import_types_from_package(plugins, filter=is_abstract)}
    made: list[Any] = [kinds[name]() for name in sorted(kinds) if name not in _LEFT_OUT]
    return [
        (
            item,
            isinstance(item, KeywordDetector),
            item.entropy_limit if isinstance(item, HighEntropyStringsPlugin) else None,
        )
        for item in made
    ]


@cache
def _keywords() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the pattern of the keyword detector's words, for any text and for lower case."""
    from detect_secrets.plugins.keyword import DENYLIST

    words = "|".join(DENYLIST)
    return re.compile(words, re.IGNORECASE), re.compile(words)
