"""Writing HTML so that no text can break out: text is escaped wherever it is not `Html`, which only `tag` makes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

# What HTML calls void: tags without an end.
_VOID = frozenset({"br", "hr", "meta", "link", "input", "col", "wbr"})
# Characters that no HTML document may hold, and lone surrogates, which no UTF-8 file can.
ILLEGAL = {code: "\ufffd" for code in (*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0xD800, 0xE000))}


STACKED = "texts"
"""Class of tables whose rows a narrow screen shows one below the other."""


class Html(str):
    """Finished HTML. Made by `tag` and `joined`, and by hand only of constants of this room."""

    __slots__ = ()


Node = str | None


def text(value: object) -> Html:
    """Escape a text, unless it is finished HTML already."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(str(value).translate(ILLEGAL), quote=True))


def tag(name: str, /, *children: Node, **attributes: str | int | float | None) -> Html:
    """Return an element.

    Args:
        name: the element's name, a constant of this room.
        children: texts, which are escaped, and elements; None is left out.
        attributes: by name; `class_` is `class`, other underscores become hyphens, None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[Node], between: str = "") -> Html:
    """Return nodes one after the other."""
    return Html(text(between).join(text(child) for child in children if child is not None))


def breakable(words: str) -> Html:
    """Return a text whose long names may break after an underscore, and not in the middle of a word."""
    return joined(words.split("_"), Html("_<wbr>"))


def paragraph(*children: Node, class_: str | None = None) -> Html:
    """Return a paragraph."""
    return tag("p", *children, class_=class_)


def section(title: str, anchor: str, *children: Node) -> Html:
    """Return a section with its heading, to which the table of contents leads."""
    return tag("section", tag("h2", title, id=anchor), *children, aria_labelledby=anchor)


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Node]],
    *,
    numbers: Sequence[int] = (),
    class_: str | None = None,
    sortable: bool = False,
) -> Html:
    """Return a table whose first column names the rows.

    Args:
        caption: what the table shows.
        header: a heading for each column; "" leaves a corner empty.
        rows: a node for each column; what is no `Html` is escaped.
        numbers: columns of figures, which stand to the right.
        class_: a further class; `STACKED` for tables of texts.
        sortable: the script may offer sorting and a filter.
    """
    heads = [
        tag("th", title, scope="col", class_="n" if place in numbers else None) if title else tag("td")
        for place, title in enumerate(header)
    ]
    body = [
        tag(
            "tr",
            *(
                _cell(place, node, place in numbers, header[place] if class_ == STACKED else None)
                for place, node in enumerate(row)
            ),
        )
        for row in rows
    ]
    classes = " ".join(name for name in (class_, "sortable" if sortable else "") if name)
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *body),
        class_=classes or None,
    )
    # A wide table scrolls by itself, also by keyboard, and never the page.
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cell(place: int, node: Node, number: bool, label: str | None) -> Html:
    # A narrow screen has no room for headings above columns; there each cell says its own.
    return tag(
        "td" if place else "th",
        node,
        scope=None if place else "row",
        class_="n" if number else None,
        data_label=label,
    )
