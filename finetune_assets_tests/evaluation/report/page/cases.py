"""A judged test set of a hundred rows, as a report and as the page's rows; and a reader of the page that is made."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from finetune_assets.evaluation.config import CriticalConfig, GateConfig
from finetune_assets.evaluation.report.build import Contender, ReportContext, build_report, judge
from finetune_assets.evaluation.report.page import PageRow, Timing
from finetune_assets_tests.evaluation.rows import LEVELS, READER, example, given

_LABELS = [("a", "x"), ("a", "y"), ("b", "z")]
EXAMPLES = [
    example(
        number,
        _LABELS[number % 3],
        text=f"observation {number}",
        slices=(("critical",) if number < 6 else ()) + (("unseen",) if number >= 80 else ()),
    )
    for number in range(100)
]
TIMINGS = {"candidate": Timing(100, 0.25, 0.5, 40.0, 5000, 900), "baseline": Timing(100, 0.2, 0.4)}


def report_of(right: int = 81, theirs: int = 0, **context: Any) -> dict[str, Any]:
    """The report on a candidate that has the first `right` rows right, against a baseline with the last `theirs`."""
    ours = [given(item, item.label_path if n < right else ("b", "q")) for n, item in enumerate(EXAMPLES)]
    others = [given(item, item.label_path if n >= 100 - theirs else None) for n, item in enumerate(EXAMPLES)]
    config = GateConfig(critical=CriticalConfig(), resamples=300, slice_min_rows=30, beat=(), forgetting=None)
    trivial = {"tfidf_logreg": [given(item, item.label_path) for item in EXAMPLES]}
    judgement = judge(EXAMPLES, ours, others, config, READER, trivial=trivial)
    about = {"dataset_digest": "d" * 64, "provenance": "made by a seeded script"} | context
    sections = about.pop("sections", None)
    return build_report(
        ReportContext("tools", LEVELS, **about),
        judgement,
        Contender("9f2c", ours),
        Contender("untuned base", others),
        config,
        sections=sections,
    )


def rows_of(right: int = 81, theirs: int = 0, **texts: str) -> list[PageRow]:
    """The rows behind `report_of`; `texts` replaces fields of each."""
    found = []
    for number, item in enumerate(EXAMPLES):
        ours, other = number < right, number >= 100 - theirs
        fields: dict[str, Any] = {
            "record": item.record_id,
            "question": f"What is seen in {number}?",
            "right": item.target,
            "candidate": item.target if ours else '["b", "q"]',
            "baseline": item.target if other else "",
        }
        found.append(
            PageRow(
                example=item.example_id,
                candidate_right=ours,
                baseline_right=other,
                baseline_problem="" if other else "not_json",
                candidate_score=float(ours),
                baseline_score=float(other),
                loss=float(other) - float(ours),
                changed=True,
                slices=item.slices,
                **(fields | texts),
            )
        )
    return found


class Seen(HTMLParser):
    """What a browser would make of a page: its tags in their order with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.mismatched: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "wbr", "br", "hr", "input", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.mismatched.append(f"comment {data}")

    def handle_pi(self, data: str) -> None:
        self.mismatched.append(f"instruction {data}")

    @property
    def words(self) -> str:
        """All text with single spaces."""
        return " ".join(" ".join(self.text).split())
