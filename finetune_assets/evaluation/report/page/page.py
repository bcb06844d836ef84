"""The page as a whole: one self-contained HTML file that is read from its first sentence downwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.report.page.figures import (
    confusion_section,
    cost_section,
    effects_section,
    scores_section,
    slices_section,
    suites_section,
)
from finetune_assets.evaluation.report.page.glossary import glossary_section
from finetune_assets.evaluation.report.page.html import Html, joined, section, tag
from finetune_assets.evaluation.report.page.rows import PageRow, Timing
from finetune_assets.evaluation.report.page.sections import further_sections
from finetune_assets.evaluation.report.page.style import SCRIPT, STYLE, policy
from finetune_assets.evaluation.report.page.summary import gates_section, head
from finetune_assets.evaluation.report.page.texts import changes_section, worst_section

CHANGES_FILE = "changes.jsonl"


def report_page(
    report: Mapping[str, Any],
    rows: Sequence[PageRow],
    timings: Mapping[str, Timing],
    *,
    about: str = "",
    what_now: str = "",
    changes_file: str = CHANGES_FILE,
) -> str:
    """Return a report as one HTML page that needs nothing from anywhere, no script either.

    Args:
        report: what `build_report` returned, or the same read back from JSON.
        rows: the test rows with their texts, redacted and shortened; empty where the texts are gone.
        timings: what answers took, of `candidate` and `baseline`.
        about: what the task is for, in a sentence.
        what_now: what happens now, the end of a sentence; "" says it by the verdict alone.
        changes_file: name of the complete list of changed answers beside the page, "" when there is none.

    Returns:
        HTML; equal input gives equal bytes.
    """
    parts: list[tuple[str, str, Html | None]] = [
        ("Effect", "effect", effects_section(report)),
        ("Gates", "gates", gates_section(report)),
        ("Scores", "scores", scores_section(report)),
        ("Slices", "slices", slices_section(report)),
        ("Confusion", "confusion", confusion_section(report)),
        ("Must not break", "suites", suites_section(report)),
        ("Worst rows", "worst", worst_section(report, rows)),
        ("Changed answers", "changes", changes_section(report, rows, changes_file)),
        *further_sections(report),
        ("Time and cost", "cost", cost_section(timings)),
        ("Particulars", "particulars", _particulars(report)),
        ("How to read this", "glossary", glossary_section(report)),
    ]
    links = [tag("li", tag("a", title, href=f"#{anchor}")) for title, anchor, body in parts if body is not None]
    body = joined(
        [
            tag("header", head(report, about, what_now)),
            tag("nav", tag("ul", *links), aria_label="contents"),
            tag("main", *(part for _, _, part in parts)),
            # Constants of this room, named by the policy through their hash.
            tag("script", Html(SCRIPT)),
        ]
    )
    title = f"{report['verdict']['verdict']}: {report['task']}"
    top = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy()),
            tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("title", title),
            tag("style", Html(STYLE)),
        ]
    )
    return "<!DOCTYPE html>\n" + tag("html", tag("head", top), tag("body", body), lang="en") + "\n"


def _particulars(report: Mapping[str, Any]) -> Html:
    context = report["context_length"]
    lines = [
        ("task", report["task"]),
        ("new model (candidate)", report["candidate"]["name"]),
        ("baseline", report["baseline"]["name"]),
        ("test rows", f"{report['rows']:,}"),
        ("data", report["provenance"] or "its origin is not said"),
        ("dataset version", report["dataset_digest"] or "unknown"),
        ("context length", f"{context:,} tokens, question and answer together" if context else "unknown"),
        ("draws and seed", f"{report['config']['resamples']:,} draws, seed {report['config']['seed']}"),
    ]
    items = [node for name, told in lines for node in (tag("dt", name), tag("dd", told))]
    return section("Particulars", "particulars", tag("dl", *items))
