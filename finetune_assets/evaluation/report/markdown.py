"""How a validation report reads: Markdown with tables, for asset metadata and for a terminal.

It says what the figures say, also where they do not flatter. Names that come from data are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.report.reading import (
    TRIVIAL_NAMES,
    figure_of,
    gain_of,
    measure_of,
    ordered_scores,
    score_name,
)
from finetune_assets.evaluation.wording import gain_text, p_text, percent

_SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}
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
        heading(report),
        _gates(report),
        _scores(report),
        _honesty(report),
        _comparisons(report),
        _slices(report),
        _suites(report),
        _critical(report),
        _changes(report),
        _worst_rows(report),
        _worst_labels(report),
        _confusion(report),
        *(section.get("markdown", "").strip() for _, section in sorted(report["sections"].items())),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def heading(report: Mapping[str, Any]) -> str:
    """Return the verdict and the one comparison that it rests on most, as Markdown."""
    verdict, comparison = report["verdict"], report["comparison"]
    primary = measure_of(report, report["primary"])
    ours, theirs = (figure_of(primary, comparison[side]) for side in ("candidate", "baseline"))
    lines = [
        f"## {_SIGNS[verdict['verdict']]} {cell(report['task'])}: {verdict['verdict']}",
        f"Candidate **{cell(report['candidate']['name'])}** against **{cell(report['baseline']['name'])}** on "
        f"{comparison['rows']} test rows: {cell(primary['title'])} {ours} against {theirs}, "
        f"a gain of {gain_of(primary, comparison)} at "
        f"{100 * comparison['confidence']:.0f} % confidence; {comparison['wins']} rows won, {comparison['losses']} "
        f"lost; {comparison['test']}, {p_text(min(comparison['p_better'], comparison['p_worse']))}.",
    ]
    if not primary["higher_is_better"]:
        lines.append(f"Less {cell(primary['title'])} is better; a gain is what it fell by.")
    undecided = [gate for gate in verdict["gates"] if gate["verdict"] == "INCONCLUSIVE" and not gate["advisory"]]
    if verdict["verdict"] == "INCONCLUSIVE" and verdict["more_rows_needed"] is not None:
        lines.append(f"About **{verdict['more_rows_needed']} more test rows** would decide (an estimate).")
    by_slice = {name: more for gate in undecided for name, more in gate["more_by_slice"].items()}
    if by_slice:
        told = ", ".join(f"{cell(name)} {more}" for name, more in sorted(by_slice.items()))
        lines.append(f"By slice, about: {told}.")
    data = "The data is **synthetic**: it was made by a program, and real records will score differently."
    if report["synthetic"]:
        lines.append(data)
    if report["provenance"]:
        lines.append(f"Data: {cell(report['provenance'])}")
    if report["context_length"]:
        lines.append(f"The base model holds {report['context_length']} tokens, question and answer together.")
    lines += [cell(note) for note in report["notes"]]
    return "\n\n".join(lines)


def _gates(report: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{_SIGNS[gate['verdict']]} {gate['verdict']}{' (advice)' if gate['advisory'] else ''}",
            cell(gate["name"]),
            cell(gate["reason"]),
        )
        for gate in report["verdict"]["gates"]
    ]
    return "### Gates\n\n" + table(("verdict", "gate", "why"), rows)


def _scores(report: Mapping[str, Any]) -> str:
    measures = report["measures"]
    labelled = report["scores"]["candidate"]["macro_f1"] is not None
    models = ordered_scores(report["scores"])
    header = ("", *(cell(score_name(report, key)) for key, _ in models))
    rows = [
        (
            cell(measure["title"]) + ("" if measure["higher_is_better"] else " (less is better)"),
            *(_score_cell(measure, scores["measures"][measure["name"]]) for _, scores in models),
        )
        for measure in measures
        if measure["name"] not in report["meaningless"]
    ]
    if labelled:
        rows.append(("macro F1", *(f"{scores['macro_f1']:.3f}" for _, scores in models)))
        rows.append(("micro F1", *(f"{scores['micro_f1']:.3f}" for _, scores in models)))
    rows.append(("answers right as a whole", *(percent(scores["correct"]) for _, scores in models)))
    rows.append(("answers that can be read", *(percent(scores["parse_rate"]) for _, scores in models)))
    rows.append(("questions answered", *(percent(scores["coverage"]) for _, scores in models)))
    text = "### Scores\n\n" + table(header, rows)
    text += "\n\nIn brackets the 95 % interval. A row without a valid answer counts as wrong everywhere."
    for name, why in report["meaningless"].items():
        text += f"\n\nNot shown: {cell(name)} means nothing here, since {cell(why)}."
    return text


def _score_cell(measure: Mapping[str, Any], score: Mapping[str, Any]) -> str:
    told = figure_of(measure, score["value"])
    interval = score["interval_95"]
    if interval is None:
        return told
    low, high = (figure_of(measure, bound).removesuffix(" %") for bound in interval)
    return f"{told} ({low} to {high})"


def _honesty(report: Mapping[str, Any]) -> str:
    """Say where a trivial baseline is as good or better: a table alone lets a reader look past it."""
    lines = []
    primary = measure_of(report, report["primary"])
    for name, comparison in sorted(report["trivial"].items()):
        difference = comparison["difference"]
        if not comparison["rows"] or difference > 0:
            continue
        size = gain_text(difference, as_percent=primary["as_percent"]).lstrip("-")
        told = "does as well as" if difference == 0 else f"does better by {size} than"
        shown = "" if comparison["shown"] == "worse" else " (a difference is not shown on these rows)"
        lines.append(
            f"> **{TRIVIAL_NAMES.get(name, cell(name))} {told} the candidate**{shown}. On this test set the tuned "
            "model is no better tool than the trivial one."
        )
    return "\n>\n".join(lines)


def _comparisons(report: Mapping[str, Any]) -> str:
    rows = []
    for comparison in report["comparisons"]:
        if comparison["measure"] in report["meaningless"] or not comparison["rows"]:
            continue
        measure = measure_of(report, comparison["measure"])
        shown = comparison.get("shown", "")
        rows.append(
            (
                cell(measure["title"]),
                str(comparison["rows"]),
                gain_of(measure, comparison),
                {"better": "better", "worse": "worse", "neither": "neither"}.get(shown, "–"),
            )
        )
    if not rows:
        return ""
    header = ("measure", "rows", "gain over the baseline", "shown")
    return (
        "### By every other measure\n\n"
        + table(header, rows)
        + "\n\nFor reading, not for deciding: with this many figures some differ by chance."
    )


def _slices(report: Mapping[str, Any]) -> str:
    if not report["slices"]:
        return ""
    primary = measure_of(report, report["primary"])
    rows = [
        (
            cell(part["name"]),
            str(part["rows"]),
            figure_of(primary, part["candidate"]),
            figure_of(primary, part["baseline"]),
            gain_of(primary, part),
            f"worse ({p_text(part['p_worse_holm'])})" if part["shown_worse"] else "no loss shown",
        )
        for part in report["slices"]
    ]
    header = ("slice", "rows", "candidate", "baseline", "gain (interval)", "shown (Holm)")
    text = f"### Slices, by {cell(primary['title'])}\n\n" + table(header, rows)
    whole = report["comparison"]["candidate"]
    if primary["higher_is_better"] and whole is not None:
        weak = [part for part in report["slices"] if part["candidate"] is not None and part["candidate"] < whole / 2]
        if weak:
            names = ", ".join(f"{cell(part['name'])} ({figure_of(primary, part['candidate'])})" for part in weak)
            text += f"\n\n> **The candidate fails on:** {names}: less than half of its score on all rows."
    if report["comparison"]["difference"] > 0:
        lost = [part for part in report["slices"] if part["difference"] < 0]
        if lost:
            names = ", ".join(cell(part["name"]) for part in lost)
            text += f"\n\n> **Lower than the baseline while the whole is higher:** {names}."
    return text


def _suites(report: Mapping[str, Any]) -> str:
    if not report["suites"]:
        return ""
    primary = measure_of(report, report["primary"])
    rows = [
        (
            cell(name),
            str(suite["rows"]),
            figure_of(primary, suite["comparison"]["candidate"]),
            gain_of(primary, suite["comparison"]),
            str(len(suite["failed"])),
            str(len(suite["new_failures"])),
        )
        for name, suite in sorted(report["suites"].items())
    ]
    header = ("suite", "rows", "candidate", "gain (interval)", "rows that lost much", "newly wrong")
    return "### Regression suites\n\n" + table(header, rows)


def _worst_rows(report: Mapping[str, Any]) -> str:
    if not report["worst_rows"]:
        return ""
    primary = measure_of(report, report["primary"])
    rows = [
        (
            cell(row["record"]),
            figure_of(primary, row["score"]),
            "–" if row["loss"] is None else gain_text(0.0 - row["loss"], as_percent=primary["as_percent"]),
            "right" if row["baseline_right"] else "wrong",
            cell(row["problem"] or "wrong answer"),
        )
        for row in report["worst_rows"][:_SHOWN_RECORDS]
    ]
    header = ("record", "score", "against the baseline", "baseline", "what is wrong")
    return "### Worst rows\n\n" + table(header, rows)


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
