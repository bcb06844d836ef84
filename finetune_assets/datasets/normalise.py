"""Normalised text, for equality and hashing only.

Here belongs what decides when two inputs are one question. The text that is trained on and served is never changed by
this module.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

# Characters without a width of their own: they hide inside copied text and make two equal questions differ.
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)
# Signs that carry meaning wherever they stand; all other punctuation is a matter of style.
_MEANINGFUL = frozenset("%#@*/\\_")
_STYLE_MARKS = frozenset("`´^~")
_SIGN = re.compile(r"[^\w\s]|_")
# Each pass can only remove or unify, so two or three settle any text; the bound guards against a surprise in Unicode.
_MAX_PASSES = 10

# The short way for plain ASCII: punctuation that is a matter of style, lower case, and the white space that str.split
# knows but bytes.split does not.
_ASCII_STYLE = bytes(
    sign
    for sign in range(128)
    if (text := chr(sign)) not in _MEANINGFUL and (text in _STYLE_MARKS or unicodedata.category(text)[0] == "P")
)
_ASCII_PLAIN = bytes(ord(" ") if sign < 128 and chr(sign).isspace() else sign for sign in range(256)).lower()
_ASCII_KINDS = bytes(
    ord("-") if sign in _ASCII_STYLE else ord("0") if chr(sign) in "0123456789" else ord(" ") for sign in range(256)
)

# The same where texts stand in one block, a NUL between them.
_ASCII_KINDS_APART = b"\0" + _ASCII_KINDS[1:]

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _without_style(match: re.Match[str]) -> str:
    """Drop one punctuation mark, unless it belongs to a number (`1.5`, `10-12`, `-5`) or carries meaning."""
    sign = match.group()
    if sign in _MEANINGFUL or (sign not in _STYLE_MARKS and unicodedata.category(sign)[0] != "P"):
        return sign
    text, start = match.string, match.start()
    before = text[start - 1] if start else " "
    after = text[start + 1] if start + 1 < len(text) else " "
    in_number = after.isdecimal() and (before.isdecimal() or (sign == "-" and before.isspace()))
    return sign if in_number else ""


def _fold(text: str) -> str:
    if text.isascii():
        plain = text.lower()
    else:
        # NFKC around casefold, as Unicode's toNFKC_Casefold does: either step can undo the other once.
        plain = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()
        plain = unicodedata.normalize("NFKC", plain)
    bare = " ".join(_SIGN.sub(_without_style, plain).split())
    return bare or " ".join(plain.split())


def _fold_ascii(text: bytes) -> str:
    """Return what `normalise_text` returns where that is plain, in a fifth of its time; "" where it must look closer.

    Plain is ASCII in which no punctuation stands before a digit: all of it goes, and a second pass finds nothing more.
    """
    if b"-0" in text.translate(_ASCII_KINDS):
        return ""
    plain = text.translate(_ASCII_PLAIN, _ASCII_STYLE)
    # Most texts have single spaces already, which is sooner seen than made.
    return (b" ".join(plain.split()) if b"  " in plain else plain.strip()).decode()


def normalise_text(text: str) -> str:
    r"""Return the spelling of `text` that equality is judged by.

    Invisible characters are removed, compatibility forms unified (Unicode NFKC), case folded, white space (no-break
    spaces and line separators too) folded to single spaces, and punctuation dropped. Kept are `% # @ * / \ _`, signs
    of currency and arithmetic, and punctuation inside a number (`1.5`, `10-12`, `-5`). A text of nothing but
    punctuation keeps it. Applying the function twice changes nothing more.

    Args:
        text: any text; lone surrogates pass through.

    Returns:
        The normalised text; empty only where the input has no visible character.
    """
    if text.isascii() and (plain := _fold_ascii(text.encode())):
        return plain
    for _ in range(_MAX_PASSES):
        folded = _fold(text)
        if folded == text:
            break
        text = folded
    return text


def normalise_texts(texts: Sequence[str]) -> list[str]:
    """Return `normalise_text` of each text; of those in plain ASCII all at once, in a third of the time."""
    block = "\0".join([text if text.isascii() else "" for text in texts]).encode()
    if block.count(b"\0") != len(texts) - 1:
        return [normalise_text(text) for text in texts]
    plain = block.translate(_ASCII_PLAIN, _ASCII_STYLE)
    found = plain.decode().split("\0")
    if b"  " in plain or b" \0" in plain or b"\0 " in plain or plain[:1] == b" " or plain[-1:] == b" ":
        found = [" ".join(text.split()) for text in found]
    kinds = block.translate(_ASCII_KINDS_APART)
    if b"-0" in kinds:
        closer = (b"-0" in kind for kind in kinds.split(b"\0"))
        found = ["" if close else text for text, close in zip(found, closer, strict=True)]
    return [short or normalise_text(text) for short, text in zip(found, texts, strict=True)]


def _normalised(value: Any) -> Any:
    if isinstance(value, str):
        return normalise_text(value)
    if isinstance(value, Mapping):
        return {str(key): _normalised(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normalised(item) for item in value]
    return value


def content_key(fields: Mapping[str, Any], attachments: Iterable[str] = ()) -> str:
    """Return the key under which two inputs are one question.

    Args:
        fields: what the question is made of, by canonical field name. Texts are normalised, at any depth; numbers,
            booleans and null count as they are. The answer is no part of it.
        attachments: URIs of photos and other files, in order. They count exactly as spelt: object names are
            case-sensitive.

    Returns:
        SHA-256 in 64 hex digits. It depends on neither the order of the fields nor the target.

    Raises:
        ValueError: for NaN or Infinity in `fields`.
        TypeError: for a value that JSON cannot hold.
    """
    named = {"attachments": list(attachments), "fields": _normalised(fields)}
    if all(type(value) is str for value in fields.values()):
        try:
            # Of nothing but texts orjson makes the same bytes, in a tenth of the time.
            return hashlib.sha256(orjson.dumps(named, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except TypeError:
            pass  # half of a UTF-16 pair, which only the slow way takes
    return hashlib.sha256(_encode(named).encode("utf-8", "surrogatepass")).hexdigest()
