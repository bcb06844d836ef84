"""How a validation report reads: Markdown with tables, for asset metadata and for a terminal.

It says what the figures say, also where they do not flatter. Names that come from data are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.wording import p_text, percent, plain_points, points

_SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}
_NAMES = {"majority": "majority class", "tfidf_logreg": "TF-IDF + logistic regression"}
_CONFUSION_LABELS = 12
_SHOWN_RECORDS = 10


def report_markdown(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown: the verdict first, then what it rests on.

    Args:
        report: what `build_report` returned, or the same read back from JSON.

    Returns:
        Markdown with tables, ending in a line end.
    """
    sections = [
        _heading(report),
        _gates(report),
        _scores(report),
        _honesty(report),
        _slices(report),
        _critical(report),
        _changes(report),
        _worst_labels(report),
        _confusion(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _heading(report: Mapping[str, Any]) -> str:
    verdict, comparison = report["verdict"], report["comparison"]
    low, high = comparison["interval"]
    lines = [
        f"## {_SIGNS[verdict['verdict']]} {cell(report['task'])}: {verdict['verdict']}",
        f"Candidate **{cell(report['candidate']['name'])}** against **{cell(report['baseline']['name'])}** on "
        f"{report['rows']} test rows: {points(comparison['difference'])} exact accuracy "
        f"({100 * low:+.1f} to {100 * high:+.1f} at {100 * comparison['confidence']:.0f} % confidence; "
        f"{comparison['wins']} won, {comparison['losses']} lost; one-sided exact McNemar "
        f"{p_text(min(comparison['p_better'], comparison['p_worse']))}).",
    ]
    if verdict["more_rows_needed"] is not None:
        lines.append(f"About **{verdict['more_rows_needed']} more test rows** would decide (an estimate).")
    data = "The data is **synthetic**: it was made by a program, and real records will score differently."
    if report["synthetic"]:
        lines.append(data)
    if report["provenance"]:
        lines.append(f"Data: {cell(report['provenance'])}")
    return "\n\n".join(lines)


def _gates(report: Mapping[str, Any]) -> str:
    rows = [
        (f"{_SIGNS[gate['verdict']]} {gate['verdict']}", cell(gate["name"]), cell(gate["reason"]))
        for gate in report["verdict"]["gates"]
    ]
    return "### Gates\n\n" + table(("verdict", "gate", "why"), rows)


def _scores(report: Mapping[str, Any]) -> str:
    levels = report["levels"]
    header = ("", "exact", "95 % interval", *(cell(level) for level in levels), "macro-F1", "valid", "answered")
    rows = []
    for key, scores in _ordered(report["scores"]):
        low, high = scores["exact_interval_95"]
        rows.append(
            (
                cell(_score_name(report, key)),
                percent(scores["exact"]),
                f"{100 * low:.1f}–{100 * high:.1f}",
                *(percent(scores["levels"][level]) for level in levels),
                f"{scores['macro_f1']:.3f}",
                percent(scores["parse_rate"]),
                percent(scores["coverage"]),
            )
        )
    text = "### Scores\n\n" + table(header, rows)
    return text + "\n\nA row without a valid answer counts as wrong everywhere; a level counts by itself."


def _ordered(scores: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Candidate and baseline first, then the trivial ones by name: JSON read back may come in another order."""
    first = [key for key in ("candidate", "baseline") if key in scores]
    return [(key, scores[key]) for key in [*first, *sorted(set(scores) - set(first))]]


def _score_name(report: Mapping[str, Any], key: str) -> str:
    if key in ("candidate", "baseline"):
        return f"{key}: {report[key]['name']}"
    return _NAMES.get(key, key)


def _honesty(report: Mapping[str, Any]) -> str:
    """Say where a trivial baseline is as good or better: a table alone lets a reader look past it."""
    lines = []
    for name, comparison in sorted(report["trivial"].items()):
        difference = comparison["difference"]
        if not comparison["rows"] or difference > 0:
            continue
        told = "scores as well as" if difference == 0 else f"scores {plain_points(difference)} more than"
        shown = "" if comparison["shown"] == "worse" else " (a difference is not shown on these rows)"
        lines.append(
            f"> **{_NAMES.get(name, cell(name))} {told} the candidate**{shown}. On this test set the tuned model is "
            "no better tool than the trivial one."
        )
    return "\n>\n".join(lines)


def _slices(report: Mapping[str, Any]) -> str:
    if not report["slices"]:
        return ""
    rows = []
    for part in report["slices"]:
        low, high = part["interval"]
        rows.append(
            (
                cell(part["name"]),
                str(part["rows"]),
                percent(part["candidate_exact"]),
                percent(part["baseline_exact"]),
                points(part["difference"]),
                f"{100 * low:+.1f} to {100 * high:+.1f}",
                f"worse ({p_text(part['p_worse_holm'])})" if part["shown_worse"] else "no loss shown",
            )
        )
    header = ("slice", "rows", "candidate", "baseline", "difference", "interval", "shown (Holm)")
    text = "### Slices\n\n" + table(header, rows)
    weak = [part for part in report["slices"] if part["candidate_exact"] < report["scores"]["candidate"]["exact"] / 2]
    if weak:
        names = ", ".join(f"{cell(part['name'])} ({percent(part['candidate_exact'])})" for part in weak)
        text += f"\n\n> **The candidate fails on:** {names}: less than half of its score on all rows."
    return text


def _critical(report: Mapping[str, Any]) -> str:
    critical = report["critical"]
    if critical is None:
        return ""
    lines = [
        "### Critical rows",
        f"{critical['rows']} rows: {len(critical['new_failures'])} newly wrong, {len(critical['fixed'])} newly right, "
        f"{len(critical['both_wrong'])} wrong in both.",
    ]
    for key, words in (("new_failures", "Newly wrong"), ("both_wrong", "Wrong in both (no regression)")):
        if critical[key]:
            lines.append(f"{words}: {_records(critical[key], len(critical[key]))}")
    return "\n\n".join(lines)


def _changes(report: Mapping[str, Any]) -> str:
    changes = report["changes"]
    lines = [
        "### Changed answers",
        f"{changes['changed_answers']} of {report['rows']} answers differ from the baseline's: "
        f"{changes['fixed']} fixed, {changes['broken']} broken.",
    ]
    if changes["broken"]:
        lines.append(f"Broken: {_records(changes['broken_records'], changes['broken'])}")
    return "\n\n".join(lines)


def _records(records: Sequence[str], total: int) -> str:
    shown = ", ".join(cell(record) for record in records[:_SHOWN_RECORDS])
    rest = total - min(len(records), _SHOWN_RECORDS)
    return shown + (f" and {rest} more" if rest else "")


def _worst_labels(report: Mapping[str, Any]) -> str:
    rows = [
        (
            cell(row["label"]),
            f"{row['right']} of {row['rows']}",
            percent(row["recall"]),
            "never answered" if row["precision"] is None else percent(row["precision"]),
            f"{cell(row['confused_with'])} ({row['confused_rows']})",
        )
        for row in report["worst_labels"]
    ]
    if not rows:
        return ""
    header = ("label", "right", "recall", "precision", "mostly taken for")
    return "### Labels that cost most rows\n\n" + table(header, rows)


def _confusion(report: Mapping[str, Any]) -> str:
    confusion = report["confusion"]
    if confusion is None or not confusion["labels"]:
        return ""
    title = f"### Confusion by {cell(confusion['level'])}\n\n"
    if len(confusion["columns"]) > _CONFUSION_LABELS:
        return title + f"{len(confusion['labels'])} labels: too many for a table; the chart shows them."
    header = ("expected ↓ answered →", *(cell(column) for column in confusion["columns"]))
    rows = [
        (cell(label), *(str(count) if count else "·" for count in counts))
        for label, counts in zip(confusion["labels"], confusion["counts"], strict=True)
    ]
    return title + table(header, rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the cells must be escaped already (`cell`)."""
    lines = [_line(header), _line(["---"] * len(header))]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cell(text: str) -> str:
    """Escape text from data for a Markdown table: no new column, line, tag, link or emphasis can come of it."""
    flat = " ".join(str(text).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in ("\\", "|", "`", "*", "[", "]", "_"):
        flat = flat.replace(mark, "\\" + mark)
    return flat
