"""Cleaning of texts that people wrote for people: markup, entities, invisible characters, odd white space.

What is cleaned here is cleaned in training rows and in live questions by the same function, so that a model is asked as
it was taught. Signs that carry meaning stay: °, %, $, /, units, powers, newlines, lists, indentation and code.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.datasets.html_text import decode_entities, html_to_text

# Joiners shape letters of some scripts and build emoji: they stay beside a letter beyond Latin, and go elsewhere.
_JOINERS = "\u200c\u200d"
# Further characters without a width, and marks of writing direction, that pages leave in copied text.
_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
_SHAPED = "\u0370-\u1fff\u2070-\U0010ffff"
_STRAY_JOINER = re.compile(f"(?<![{_SHAPED}])[{_JOINERS}]|[{_JOINERS}](?![{_SHAPED}])")
# No-break, figure and typographic spaces: to a tokenizer they are other letters than the space.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029\v\f]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")
# Markdown code: a fence, or a span within one line.
_CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]+`)", re.DOTALL)
_INNER_SPACES = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_TRAILING_SPACES = re.compile(r"[ \t]+(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n{3,}")
_E_MAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.(?:[^\W\d_]{2,24}|xn--[\w-]{1,59})(?![\w-])"
)
_MARKUP_LEFT = re.compile(
    r"</?(?:a|b|br|div|em|i|img|li|ol|p|span|strong|table|td|tr|ul)(?:\s+[\w-]+=[^<>]*)?\s*/?>", re.IGNORECASE
)

# UTF-8 that was read as Windows-1252 and encoded again: two of its telling pairs are rare in any text.
_DOUBLE_ENCODED = ("â€", "Ã©", "Ã¼", "Ã¤", "Ã¶", "Â°")

# The word in brackets, anywhere; or a text that is nothing but a request for one.
_PLACEHOLDER = re.compile(r"[\[<{(]\s*placeholder\b", re.IGNORECASE)
_NOTHING_SAID = re.compile(
    r"\W*(?:placeholder(?:\s+\w+){0,3}|todo\b.{0,60}|tbd|fixme\b.{0,60}|xxx+|lorem ipsum\b.*"
    r"|to be (?:done|added|written|defined)|(?:insert|add|enter|write|put) \w[^.?!]{0,60} here"
    r"|your (?:answer|text) here)\W*",
    re.IGNORECASE | re.DOTALL,
)


class CleaningConfig(BaseModel):
    """What is done to texts before they become examples, and to live questions alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    html: Literal["text", "keep"] = Field(
        default="text",
        description="Turn HTML tags and character references into plain text, or keep them. Text between backticks is "
        "code and stays as it is.",
    )
    white_space: bool = Field(
        default=True,
        description="Remove invisible characters and spaces at line ends, make every kind of space a plain one and "
        "every kind of line end a newline, fold runs of spaces within a line and of blank lines. Indentation stays.",
    )
    e_mails: Literal["keep", "mask"] = Field(
        default="keep", description="Keep e-mail addresses, or put `[e-mail]` in their place."
    )


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned text.

    Attributes:
        text: the text.
        changes: what was done or noticed, sorted: `e_mails`, `entities`, `html`, `white_space`; `markup_left` for tags
            too broken to be taken out, `mojibake` for text that was decoded wrongly, which is only flagged: a repair
            would be a guess.
    """

    text: str
    changes: tuple[str, ...] = ()


def clean(text: str, config: CleaningConfig) -> Cleaned:
    """Clean one text.

    Args:
        text: any text.
        config: what to do.

    Returns:
        The text, trimmed, in Unicode NFC; equal to the input where there was nothing to clean. Character references
        are decoded once, then tags are read; so `CO&lt;sub&gt;2&lt;/sub&gt;`, markup that was escaped on its way,
        becomes `CO₂`.
    """
    changes: set[str] = set()
    found = text
    if config.html == "text":
        found = _without_markup(found, changes)
    if config.white_space:
        tidy = _tidy(found)
        if tidy != found.strip():
            changes.add("white_space")
        found = tidy
    if config.e_mails == "mask":
        masked = _E_MAIL.sub("[e-mail]", found)
        if masked != found:
            changes.add("e_mails")
        found = masked
    if looks_double_encoded(found):
        changes.add("mojibake")
    return Cleaned(found.strip(), tuple(sorted(changes)))


def _without_markup(text: str, changes: set[str]) -> str:
    if "<" not in text and "&" not in text:
        return text
    pieces = _CODE.split(text) if "`" in text else [text]
    # Every second piece is code.
    for number in range(0, len(pieces), 2):
        decoded = decode_entities(pieces[number])
        if decoded != pieces[number]:
            changes.add("entities")
        plain = html_to_text(decoded)
        if plain != decoded:
            changes.add("html")
        if _MARKUP_LEFT.search(plain):
            changes.add("markup_left")
        pieces[number] = plain
    return "".join(pieces)


def _tidy(text: str) -> str:
    text = _LINE_ENDS.sub("\n", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SPACES.sub(" ", _STRAY_JOINER.sub("", _HIDDEN.sub("", text))))
    text = _CONTROLS.sub("", text)
    pieces = _CODE.split(text) if "`" in text else [text]
    for number in range(0, len(pieces), 2):
        pieces[number] = _BLANK_LINES.sub("\n\n", _TRAILING_SPACES.sub("", _INNER_SPACES.sub(" ", pieces[number])))
    # A space before a code span is no trailing space, though its piece ends there.
    return _rejoin(pieces, _CODE.split(text) if len(pieces) > 1 else None).strip("\n ")


def _rejoin(pieces: list[str], before: list[str] | None) -> str:
    if before is None:
        return pieces[0]
    for number in range(0, len(pieces) - 1, 2):
        if before[number].endswith((" ", "\t")) and not pieces[number].endswith((" ", "\n")):
            pieces[number] += " "
    return "".join(pieces)


def looks_double_encoded(text: str) -> bool:
    """Return whether a text shows UTF-8 that was read as Windows-1252, such as `Ã©` for `é`."""
    return not text.isascii() and any(pair in text for pair in _DOUBLE_ENCODED)


def is_placeholder(text: str) -> bool:
    """Return whether a text only keeps a place for one: `[PLACEHOLDER - Add actual content]`, `TODO`, `lorem ipsum`."""
    return bool(_PLACEHOLDER.search(text) or _NOTHING_SAID.fullmatch(text))
