"""Further sections of a report: what brings Markdown along is shown as that, anything else as it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from finetune_assets.evaluation.report.page.html import ILLEGAL, Html, Node, paragraph, section, tag

_TITLES = {
    "history": "History of the suites",
    "label_court": "Suspect labels: is it the model or the label?",
    "llm_judge": "What a judging model says",
    "manual_scores": "Ratings by people",
    "reference_doubts": "Doubtful references",
    "suites": "History of the suites",
    "variants": "Tuning variants and their ranking",
}


def further_sections(report: Mapping[str, Any]) -> list[tuple[str, str, Html]]:
    """Return (title, anchor, section) of everything under `sections`, by name."""
    found = []
    for name in sorted(report["sections"]):
        body = report["sections"][name]
        markdown = body.get("markdown") if isinstance(body, Mapping) else None
        title, rest = _titled(name, markdown if isinstance(markdown, str) else "")
        anchor = "section-" + "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name)
        children: list[Node] = [rendered(rest)] if rest else [_plain(body)]
        found.append((title, anchor, section(title, anchor, *children)))
    return found


def _titled(name: str, markdown: str) -> tuple[str, str]:
    """Return the section's title, and its Markdown without the heading that says the same."""
    first, _, rest = markdown.strip().partition("\n")
    heading = first.lstrip("#").strip() if first.startswith("#") else ""
    title = _TITLES.get(name) or heading or name.replace("_", " ").capitalize()
    return title, rest.strip() if heading else markdown.strip()


def rendered(markdown: str) -> Html:
    """Return Markdown as HTML: headings, tables, lists, quotes, emphasis; no links, pictures or HTML of its own."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])
    written = reader.render(markdown.translate(ILLEGAL))
    return tag("div", Html(written), class_="scroll", tabindex="0")


def _plain(body: Any) -> Html:
    told = json.dumps(body, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return (
        tag(
            "details",
            tag("summary", "The figures as they stand"),
            tag("pre", told, class_="scroll", tabindex="0"),
        )
        if body
        else paragraph("Nothing was found.")
    )
