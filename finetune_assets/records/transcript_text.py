"""Text normalisers: the spelling of a transcript by which word and character errors are counted.

Here belong the normalisers, each under a name with a version, so that a figure can say how it was counted. A rule never
changes under its name; a better one gets a new version. The texts that are trained on are never changed by this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from finetune_assets.records.errors import FinetuneError

_SIGN = re.compile(r"[^\w\s]|_")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\uff07\u0060\u00b4"), "'")
# Each pass only removes or unifies; the bound guards against a surprise in Unicode.
_MAX_PASSES = 10
# The same rule for texts of ASCII alone, in one pass: what it keeps stands between what it keeps.
_PLAIN = {code: chr(code).lower() if chr(code).isalnum() or chr(code) in "'.,%$" else " " for code in range(128)}
_PLAIN[ord("`")] = "'"
# Each branch begins with its sign and looks back over it: an expression that begins by looking back is tried at every
# character, at four times the cost.
_PLAIN_SIGN = re.compile(r",|'(?:(?<![a-z0-9]')|(?![a-z0-9]))|\.(?:(?<![0-9]\.)|(?![0-9]))|%(?<![0-9]%)")
_PLAIN_THOUSANDS = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")


def _in_context(match: re.Match[str]) -> str:
    """Keep a sign that belongs to a word or a number, drop the invisible, and part words at all others."""
    sign = match.group()
    kind = unicodedata.category(sign)
    if kind[0] == "M" or kind == "Sc":
        return sign
    if kind == "Cf":
        return ""
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    if sign == "'" and before.isalnum() and after.isalnum():
        return sign
    if (sign == "." and before.isdecimal() and after.isdecimal()) or (sign == "%" and before.isdecimal()):
        return sign
    return " "


def _one_pass(text: str) -> str:
    if not text.isascii():
        # NFKC around casefold, as Unicode's toNFKC_Casefold does: either step can undo the other once. Apostrophes
        # come first: NFKC takes an acute accent that stands alone for a space and a combining mark.
        text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
        text = unicodedata.normalize("NFKC", text)
    else:
        text = text.replace("`", "'").lower()
    return " ".join(_SIGN.sub(_in_context, _THOUSANDS.sub("", text)).split())


def _ascii_english(text: str) -> str:
    text = text.translate(_PLAIN)
    if "," in text:
        text = _PLAIN_THOUSANDS.sub("", text)
    return " ".join(_PLAIN_SIGN.sub(" ", text).split())


def basic_english(text: str) -> str:
    r"""Return a transcript as words that can be compared, by the rule `basic_english/1`.

    Compatibility forms are unified (NFKC), case is folded, white space is folded to single spaces, and every sign parts
    words, except: an apostrophe inside a word (`don't`; typographic ones become `'`), the point of a decimal number
    (`1.5`), `%` behind a digit, and signs of currency. A comma before three digits is dropped (`1,000` is `1000`),
    invisible characters too. Numbers stay as they are written: `two` and `2` differ. Contractions, fillers and
    spellings are not unified. Applying the rule twice changes nothing more.

    Args:
        text: any text.

    Returns:
        Words with single spaces between them; empty when the text has none.
    """
    if text.isascii():
        return _ascii_english(text)
    for _ in range(_MAX_PASSES):
        folded = _one_pass(text)
        if folded == text:
            break
        text = folded
    return text


def white_space(text: str) -> str:
    """Return a transcript with its white space folded and nothing else changed, by the rule `white_space/1`."""
    return " ".join(text.split())


DEFAULT_NORMALISER = "basic_english/1"

NORMALISERS: Mapping[str, Callable[[str], str]] = {
    DEFAULT_NORMALISER: basic_english,
    "white_space/1": white_space,
}
"""Name with version → the rule."""


def find_normaliser(name: str) -> Callable[[str], str]:
    """Return the normaliser of this name.

    Raises:
        FinetuneError: for a name that is unknown.
    """
    try:
        return NORMALISERS[name]
    except KeyError:
        raise FinetuneError(
            "text normaliser is unknown",
            where="normaliser",
            found=name,
            expected=", ".join(NORMALISERS),
            mend="use one of these names",
        ) from None
