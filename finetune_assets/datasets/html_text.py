"""HTML to plain text, for texts that are mostly prose: FAQ answers, forum posts, exported web pages.

Here belongs what a tag says in plain text (a line, a list mark, a superscript) and when a `<` is a tag at all. The
parser is the standard library's; this module only hands it what is markup beyond doubt, so that `a<b and c>d` stays.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.entities import html5
from html.parser import HTMLParser
from typing import Any


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Elements that need no end tag (the HTML standard's void elements and those whose end tag may be omitted).
_ALONE = _names("area base br col embed hr img input link meta source track wbr p li dd dt tr td th option")
_PAIRED = _names(
    "a abbr acronym address article aside audio b bdi bdo big blockquote body button canvas caption center cite code "
    "colgroup data datalist del details dfn dialog div dl em fieldset figcaption figure font footer form h1 h2 h3 h4 "
    "h5 h6 head header hgroup html i iframe ins kbd label legend main map mark menu meter nav noscript object ol "
    "optgroup output picture pre progress q rp rt ruby s samp script search section select slot small span strike "
    "strong style sub summary sup svg table tbody template textarea tfoot thead time title tt u ul var video"
)
_DROPPED = _names("script style head template noscript svg iframe object select datalist")
_BLOCKS = _names(
    "address article aside blockquote body caption center details dialog div dl fieldset figcaption figure footer form "
    "header html main menu nav ol pre search section summary table tbody tfoot thead tr ul hr"
)
_PARAGRAPHS = _names("p h1 h2 h3 h4 h5 h6")

_NAME = r"[A-Za-z_:][-\w:.]*"
_VALUE = r"""(?:"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)"""
_BARE = r"(?:async|checked|controls|defer|disabled|download|hidden|ismap|loop|multiple|muted|nofollow|open|readonly)"
_TAG = re.compile(
    rf"<!--.*?-->|<!doctype[^<>]*>"
    rf"|<(?P<open>[A-Za-z][A-Za-z0-9]*)(?:\s++(?:{_NAME}\s*+=\s*+{_VALUE}|{_BARE}(?=[\s/>])))*+\s*+/?>"
    rf"|</(?P<close>[A-Za-z][A-Za-z0-9]*)\s*+>",
    re.IGNORECASE | re.DOTALL,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

_SUPERSCRIPTS = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
_RAISED = re.compile(r"[0-9+\-=()n−]+")
_LOWERED = re.compile(r"[0-9+\-=()−]+")
_ORDINALS = frozenset({"st", "nd", "rd", "th", "o", "a", "er", "e", "ème", "tm", "™", "®"})


def decode_entities(text: str) -> str:
    """Decode character references that are complete and known: `&deg;`, `&#39;`, `&#x27;`.

    Browsers also decode `&copy` without its semicolon, which would break the address `?a=1&copy=2`; this does not.
    Applied once: `&amp;lt;` becomes `&lt;`.
    """
    return _ENTITY.sub(_decode, text) if "&" in text else text


def _decode(match: re.Match[str]) -> str:
    reference = match.group()
    return html.unescape(reference) if reference[1] == "#" or reference[1:] in html5 else reference


def html_to_text(text: str) -> str:
    """Return `text` without HTML tags, its lines, lists, tables and powers kept.

    A tag counts when its element is one of HTML's, its attributes are well formed, and elements that need an end tag
    have one somewhere; whatever else holds `<` is text. `<br>` and block elements become line breaks, `<li>` becomes
    `- ` or its number, table cells are set off by ` | `, `10<sup>6</sup>` becomes `10⁶`, `CO<sub>2</sub>` `CO₂`;
    powers without a character of their own become `^(…)`. Scripts, styles and comments go with their content; of a
    link its words stay. Character references are not decoded here.

    Args:
        text: prose with or without markup.

    Returns:
        The text; the very same where it holds no tag.
    """
    if "<" not in text:
        return text
    tags = list(_TAG.finditer(text))
    opened = {tag["open"].lower() for tag in tags if tag["open"] and not tag.group().endswith("/>")}
    closed = {tag["close"].lower() for tag in tags if tag["close"]}
    sure = _ALONE | (opened & closed & _PAIRED)
    marked: list[str] = []
    end = 0
    found = False
    for tag in tags:
        name = (tag["open"] or tag["close"] or "").lower()
        if name and name not in sure:
            continue
        marked += [html.escape(text[end : tag.start()], quote=False), tag.group()]
        end, found = tag.end(), True
    if not found:
        return text
    writer = _Writer()
    writer.feed("".join(marked) + html.escape(text[end:], quote=False))
    writer.close()
    return writer.text()


class _Writer(HTMLParser):
    """Writes the plain text of markup whose every `<` is a tag."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._dropping: list[str] = []
        self._lists: list[int | None] = []
        self._shifted: list[list[str]] = []

    def set_cdata_mode(self, elem: str, **_: Any) -> None:
        """Find the tags within scripts and styles too: what is dropped is decided here."""

    def text(self) -> str:
        """Return what was written; half-open elements are closed."""
        while self._shifted:
            self._put("".join(self._shifted.pop()))
        return "".join(self._parts).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write what an opening tag says."""
        if tag in _DROPPED:
            self._dropping.append(tag)
        elif tag in ("sub", "sup"):
            self._shifted.append([])
        elif tag in ("ol", "ul", "menu"):
            self._line()
            self._lists.append(_first_number(dict(attrs)) if tag == "ol" else None)
        elif tag == "li":
            self._item()
        elif tag == "img":
            self._put(dict(attrs).get("alt") or "")
        else:
            self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write what `<br/>` says; an element that closes itself holds nothing."""
        if tag in _ALONE:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Write what a closing tag says."""
        if tag in self._dropping:
            del self._dropping[self._dropping.index(tag) :]
        elif tag in ("sub", "sup"):
            if self._shifted:
                self._put(_shift("".join(self._shifted.pop()), tag))
        elif tag in ("ol", "ul", "menu"):
            if self._lists:
                self._lists.pop()
            self._line()
        elif tag not in ("td", "th", "br", "img", "hr"):
            self._break(tag)

    def handle_data(self, data: str) -> None:
        """Write text."""
        if not self._dropping:
            self._put(data)

    def _break(self, tag: str) -> None:
        if tag == "br":
            self._put("\n")
        elif tag in _PARAGRAPHS:
            self._line(blank=True)
        elif tag in _BLOCKS or tag in ("dd", "dt"):
            self._line()
        elif tag in ("td", "th") and not self._at_line_start():
            self._put(" | ")

    def _item(self) -> None:
        self._line()
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        indent = "  " * max(0, len(self._lists) - 1)
        self._put(f"{indent}- " if number is None else f"{indent}{number}. ")

    def _line(self, *, blank: bool = False) -> None:
        """Begin a new line, unless one has just begun."""
        if not self._parts:
            return
        if not self._at_line_start():
            self._put("\n")
        if blank and not "".join(self._parts[-2:]).endswith("\n\n"):
            self._put("\n")

    def _at_line_start(self) -> bool:
        return not self._parts or self._parts[-1].endswith("\n")

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._shifted:
            self._shifted[-1].append(text)
        else:
            self._parts.append(text)


def _first_number(attributes: Mapping[str, str | None]) -> int:
    start = attributes.get("start") or ""
    return int(start) if start.isdecimal() and len(start) < 7 else 1


def _shift(text: str, tag: str) -> str:
    """Return a power or an index in characters of its own, where Unicode has them."""
    bare = text.strip().replace("−", "-")
    if not bare:
        return ""
    if tag == "sup":
        if _RAISED.fullmatch(bare):
            return bare.translate(_SUPERSCRIPTS)
        return text if bare.lower() in _ORDINALS else f"^({bare})" if len(bare) > 1 else f"^{bare}"
    return bare.translate(_SUBSCRIPTS) if _LOWERED.fullmatch(bare) else f"_{bare}"
