"""Documentation as people read it: Javadoc and JSDoc without their markup.

Inline tags become their text, code stands in backticks, paragraphs and lists stay; HTML that only shapes the page goes.
What a comment says is never added to.
"""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from finetune_assets.datasets.code.doc_comments import block_tags, body_of, is_licence

_MASK = "[e-mail]"
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
_INLINE = re.compile(r"\{@(\w+)\s*((?:[^{}]|\{[^{}]*\})*)\}")
_PRE = re.compile(r"<pre\b[^>]*>(.*?)</pre>", re.DOTALL | re.IGNORECASE)
_CODE = re.compile(r"</?(?:code|tt|kbd)\b[^>]*>", re.IGNORECASE)
_BREAK = re.compile(r"\s*</?(?:p|br|h[1-6]|div|blockquote|table|tr|ul|ol|dl|dt)\b[^>]*/?>\s*", re.IGNORECASE)
_ITEM = re.compile(r"\s*<(?:li|dd)\b[^>]*>\s*", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_BLOCK = re.compile(r"^[ \t]*@[a-zA-Z]", re.MULTILINE)
_JSDOC_TYPE = re.compile(r"^\{(?!@)[^{}]*\}\s*")
_MEMBER = re.compile(r"^([\w.]*)#(\w+)")


@dataclass(frozen=True, slots=True)
class Documentation:
    """What a documentation comment says, as plain text.

    Attributes:
        text: the description, paragraphs apart by a blank line; "" when there is none.
        params: name and text of each documented parameter.
        returns: what is returned, "" when nothing is said.
        throws: type and text of each documented exception.
    """

    text: str
    params: tuple[tuple[str, str], ...] = ()
    returns: str = ""
    throws: tuple[tuple[str, str], ...] = ()

    @property
    def is_blank(self) -> bool:
        """True when neither what it is nor what it returns is said."""
        return not (self.text or self.returns)


NOTHING = Documentation("")


@lru_cache(maxsize=4_096)
def read_documentation(comment: str | None) -> Documentation:
    """Read a documentation comment or a docstring. A licence, and a bare `{@inheritDoc}`, say nothing about the code.

    Args:
        comment: as the extractors give it: a comment with its marks, or a docstring's text.
    """
    if not comment or is_licence(comment[:2000]):
        return NOTHING
    if not comment.startswith(("/**", "///")):
        return Documentation(mask_addresses(inspect.cleandoc(comment)))
    body = body_of(comment)
    tag = _BLOCK.search(body)
    params: list[tuple[str, str]] = []
    throws: list[tuple[str, str]] = []
    returns = ""
    for name, text in block_tags(comment):
        text = _JSDOC_TYPE.sub("", text)
        subject, _, what = text.partition(" ")
        if name == "param":
            params.append((subject, plain_text(what.removeprefix("- "))))
        elif name in ("throws", "exception"):
            throws.append((subject, plain_text(what)))
        elif name in ("return", "returns") and not returns:
            returns = plain_text(text)
    return Documentation(
        text=plain_text(body[: tag.start()] if tag else body),
        params=tuple(item for item in params if item[1]),
        returns=returns,
        throws=tuple(item for item in throws if item[1]),
    )


def plain_text(markup: str) -> str:
    """Return Javadoc markup as plain text with code in backticks; e-mail addresses become `[e-mail]`."""
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.append(text)
        return f"\x01{len(kept) - 1}\x02"

    text = markup.replace("\x01", "").replace("\x02", "")
    text = _PRE.sub(lambda match: f"\n\n{keep(_block(match[1]))}\n\n", text)
    text = _INLINE.sub(lambda match: _inline(match[1], match[2], keep), text)
    text = _CODE.sub("`", text)
    text = _ITEM.sub("\n- ", _BREAK.sub("\n\n", text))
    text = html.unescape(_TAG.sub("", text)).replace("\xa0", " ")
    paragraphs = ["\n".join(_items(part)) for part in re.split(r"\n\s*\n", text)]
    text = "\n\n".join(part for part in paragraphs if part)
    # A kept piece may itself hold one (an inline tag within <pre> does not: it was kept as a whole).
    for number in reversed(range(len(kept))):
        text = text.replace(f"\x01{number}\x02", kept[number])
    return mask_addresses(text.strip())


def mask_addresses(text: str) -> str:
    """Return `text` with e-mail addresses replaced by `[e-mail]`."""
    return _ADDRESS.sub(_MASK, text) if "@" in text else text


def _items(paragraph: str) -> list[str]:
    """Fold a paragraph to one line, a list to one line for each item."""
    parts = re.split(r"\n(?=- )", paragraph)
    return [folded for part in parts if (folded := " ".join(part.split())) and folded != "-"]


def _block(inner: str) -> str:
    inner = re.sub(r"^\s*\{@code\s?(.*)\}\s*$", r"\1", inner, flags=re.DOTALL)
    inner = _INLINE.sub(lambda match: match[2], inner)
    # A tag that nobody closed, or only in the next block.
    inner = re.sub(r"\{@(?:code|literal)\s", "", inner)
    return "```\n" + textwrap.dedent(html.unescape(_TAG.sub("", inner)).strip("\n").rstrip()) + "\n```"


def _inline(tag: str, text: str, keep: Callable[[str], str]) -> str:
    text = " ".join(text.split())
    if tag in ("code", "literal", "snippet"):
        return keep(f"`{text}`" if tag != "literal" else text)
    if tag in ("link", "linkplain"):
        # The label follows the reference; parameters in the reference may hold spaces.
        reference, _, label = text.partition(" ") if "(" not in text else _after_bracket(text)
        shown = label.strip() or _MEMBER.sub(lambda match: f"{match[1]}.{match[2]}".lstrip("."), reference)
        return keep(shown if label.strip() or tag == "linkplain" else f"`{shown}`")
    if tag == "return":
        return f"Returns {text}"
    if tag in ("inheritDoc", "docRoot", "index", "summary"):
        return text if tag in ("index", "summary") else ""
    return keep(f"`{text}`") if text else ""


def _after_bracket(text: str) -> tuple[str, str, str]:
    end = text.find(")")
    return (text, "", "") if end < 0 else (text[: end + 1], " ", text[end + 1 :])
