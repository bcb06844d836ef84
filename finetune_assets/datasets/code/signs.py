"""Characters that make code look like other code: bidirectional controls, and letters that pass for Latin ones.

Sources: CVE-2021-42574 ("Trojan Source") for the controls, Unicode UTS #39 for the look-alikes, of which the Cyrillic
and Greek ones that fonts draw like Latin letters are listed here.
"""

from __future__ import annotations

import re

_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_WORD = re.compile(r"[^\W\d]\w*")
_LOOK_ALIKES = dict(
    zip(
        "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲϳ",
        "ABESIJKMHOPCTYXaesijopcyxdqwhABEZHIKMNOPTYXocj",
        strict=True,
    )
)
_TABLE = str.maketrans(_LOOK_ALIKES)


def bidi_lines(text: str) -> list[int]:
    """Return the 1-based lines that hold a bidirectional control character."""
    if text.isascii():
        return []
    return [number for number, line in enumerate(text.split("\n"), 1) if _BIDI.search(line)]


def look_alikes(text: str) -> list[str]:
    """Return the words of a text, sorted, that read as ASCII words but hold Cyrillic or Greek letters.

    A word that is written in one of these scripts and has letters without a Latin twin is no look-alike.
    """
    if text.isascii():
        return []
    words = {word for word in _WORD.findall(text) if not word.isascii()}
    return sorted(word for word in words if word.translate(_TABLE).isascii())
