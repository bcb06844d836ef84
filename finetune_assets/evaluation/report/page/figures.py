"""The figures of the page: effects, scores, slices, confusion, time and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.report.page.forest import effects_of, forest_plot
from finetune_assets.evaluation.report.page.html import Html, Node, joined, paragraph, section, table, tag
from finetune_assets.evaluation.report.page.rows import Timing
from finetune_assets.evaluation.report.page.summary import baseline_words, trivial_name, trivial_notes, weak_notes
from finetune_assets.evaluation.report.reading import figure_of, gain_of, measure_of, ordered_scores
from finetune_assets.evaluation.wording import p_text, percent

_MOST_LABELS = 40
_SHADES = 5


def effects_section(report: Mapping[str, Any]) -> Html:
    """Return the gains as a forest plot: the primary measure, the others, the slices."""
    whole, parts = effects_of(report)
    comparison = report["comparison"]
    told = (
        f"Each line is the new model against {baseline_words(report)}. Right of the middle the new model is better, "
        "left of it worse. The bar is where the true gain lies with "
        f"{100 * comparison['confidence']:.0f} % confidence; the scale is in points, hundredths of the figure. "
        "▶ is shown to be better, ◀ shown to be worse, ○ neither."
    )
    primary = measure_of(report, report["primary"])
    children: list[Node] = [paragraph(told), forest_plot(whole)]
    if len(whole) > 1:
        children.append(
            paragraph(
                f"The verdict rests on {primary['title']}, the first line. The others are for reading: of so many "
                "figures some differ by chance.",
                class_="dim",
            )
        )
    if parts:
        children += [tag("h3", f"By slice of the test set ({primary['title']}), lowest gain first"), forest_plot(parts)]
    return section("Effect: how much better or worse", "effect", *children)


def scores_section(report: Mapping[str, Any]) -> Html:
    """Return the scores of all models side by side, and what the trivial ones mean."""
    models = ordered_scores(report["scores"])
    header = ["measure", *(_model_name(report, key) for key, _ in models)]
    rows = [
        _score_row(report, measure, models)
        for measure in report["measures"]
        if measure["name"] not in report["meaningless"]
    ]
    if report["scores"]["candidate"]["macro_f1"] is not None:
        rows.append(["macro F1", *(f"{scores['macro_f1']:.3f}" for _, scores in models)])
    for title, key in (
        ("answers right as a whole", "correct"),
        ("answers that can be read", "parse_rate"),
        ("questions answered", "coverage"),
    ):
        rows.append([title, *(percent(scores[key]) for _, scores in models)])
    numbers = range(1, len(header))
    notes = [
        paragraph("Small figures are the 95 % interval. A question without a valid answer counts as wrong everywhere."),
        *(
            paragraph(f"Not shown: {name} means nothing here, since {why}.")
            for name, why in sorted(report["meaningless"].items())
        ),
    ]
    caption = f"Scores on {report['rows']:,} test rows"
    return section(
        "Scores", "scores", table(caption, header, rows, numbers=numbers), *notes, *_trivial(report), _problems(report)
    )


def _trivial(report: Mapping[str, Any]) -> list[Html]:
    if not report["trivial"]:
        return []
    names = "; ".join(trivial_name(name)[:1].lower() + trivial_name(name)[1:] for name in sorted(report["trivial"]))
    return [
        tag("h3", "What the trivial baselines mean"),
        paragraph(
            f"These need no language model: {names}. A tuned model that does no better has learned nothing that is "
            "worth its cost."
        ),
        *(trivial_notes(report) or [paragraph("The new model does better than each of them.")]),
    ]


def _problems(report: Mapping[str, Any]) -> Html | None:
    found = {name: report["scores"][name]["problems"] for name in ("candidate", "baseline")}
    codes = sorted(set(found["candidate"]) | set(found["baseline"]))
    if not codes:
        return None
    rows = [(code.replace("_", " "), *(f"{found[name].get(code, 0):,}" for name in found)) for code in codes]
    return table("Answers that could not be used, by reason", ("reason", "new model", "baseline"), rows, numbers=(1, 2))


def _model_name(report: Mapping[str, Any], key: str) -> str:
    if key in ("candidate", "baseline"):
        return f"{'new model' if key == 'candidate' else 'baseline'}: {report[key]['name']}"
    return trivial_name(key)


def _score_row(report: Mapping[str, Any], measure: Mapping[str, Any], models: Sequence[tuple[str, Any]]) -> list[Node]:
    less = "" if measure["higher_is_better"] else " (less is better)"
    primary = tag("div", "the verdict goes by this", class_="dim") if measure["name"] == report["primary"] else None
    cells: list[Node] = [joined([measure["title"] + less, primary])]
    for _, scores in models:
        score = scores["measures"][measure["name"]]
        told = figure_of(measure, score["value"])
        interval = score["interval_95"]
        if interval:
            low, high = (figure_of(measure, bound).removesuffix(" %") for bound in interval)
            cells.append(joined([told, tag("div", f"{low} to {high}", class_="dim wide")]))
        else:
            cells.append(told)
    return cells


def slices_section(report: Mapping[str, Any]) -> Html | None:
    """Return the slices, and first of all those that got worse while the whole rose."""
    if not report["slices"]:
        return None
    primary = measure_of(report, report["primary"])
    parts = sorted(report["slices"], key=lambda part: (part["difference"], part["name"]))
    rows = [
        (
            part["name"],
            f"{part['rows']:,}",
            figure_of(primary, part["candidate"]),
            figure_of(primary, part["baseline"]),
            gain_of(primary, part),
            f"◀ worse ({p_text(part['p_worse_holm'])})" if part["shown_worse"] else "no loss shown",
        )
        for part in parts
    ]
    header = ("slice", "rows", "new model", "baseline", "gain (interval)", "shown, all slices allowed for")
    caption = f"Slices by {primary['title']}, lowest gain first"
    return section(
        "Slices: parts of the test set",
        "slices",
        *weak_notes(report),
        _lost(report, parts),
        table(caption, header, rows, numbers=(1, 2, 3, 4), sortable=True),
    )


def _lost(report: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Html:
    lost = [part for part in parts if part["difference"] < 0]
    rose = report["comparison"]["difference"] > 0
    if not lost:
        return paragraph("No slice is lower than the baseline's.")
    names = joined([tag("strong", part["name"]) for part in lost], ", ")
    told = "Lower than the baseline while the whole is higher: " if rose else "Lower than the baseline: "
    return paragraph(told, names, ".", class_="note bad")


def confusion_section(report: Mapping[str, Any]) -> Html | None:
    """Return what was taken for what, and the labels that cost most rows."""
    confusion = report["confusion"]
    if confusion is None or not confusion["labels"]:
        return None
    children: list[Node] = []
    if len(confusion["columns"]) > _MOST_LABELS:
        children.append(paragraph(f"{len(confusion['labels'])} labels: too many for a table."))
    else:
        children += [
            paragraph(
                "Each row is a right answer, each column what the new model answered; framed cells are right. A "
                "stronger shade is a larger share of the row, the number is how many test rows."
            ),
            _matrix(confusion),
        ]
    return section(f"Confusion by {confusion['level'].replace('_', ' ')}", "confusion", *children, _labels(report))


def _matrix(confusion: Mapping[str, Any]) -> Html:
    header = ("right answer ↓ answered →", *confusion["columns"])
    heads = [tag("th", _spoken(name), scope="col") for name in header]
    rows = []
    for label, counts in zip(confusion["labels"], confusion["counts"], strict=True):
        total = sum(counts)
        cells = [
            tag("td", str(count) if count else "·", class_=_shade(count, total, column == label))
            for column, count in zip(confusion["columns"], counts, strict=True)
        ]
        rows.append(tag("tr", tag("th", _spoken(label), scope="row"), *cells))
    caption = f"Right answers against the new model's, by {confusion['level'].replace('_', ' ')}"
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="heat",
    )
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _spoken(label: str) -> str:
    return label.replace("_", " ") or "(none)"


def _shade(count: int, total: int, diagonal: bool) -> str | None:
    shade = 0 if not count else max(1, round(_SHADES * count / total))
    return " ".join(name for name in (f"h{shade}" if shade else "", "diagonal" if diagonal else "") if name) or None


def _labels(report: Mapping[str, Any]) -> Html | None:
    rows = [
        (
            row["label"],
            f"{row['right']:,} of {row['rows']:,}",
            percent(row["recall"]),
            "never answered" if row["precision"] is None else percent(row["precision"]),
            f"{row['confused_with']} ({row['confused_rows']:,})",
        )
        for row in report["worst_labels"]
    ]
    if not rows:
        return None
    header = ("label", "right", "recall", "precision", "mostly taken for")
    return table("Labels that cost most rows", header, rows, numbers=(1, 2, 3))


def suites_section(report: Mapping[str, Any]) -> Html | None:
    """Return the regression suites and the critical rows."""
    primary = measure_of(report, report["primary"])
    rows = [
        (
            name,
            f"{suite['rows']:,}",
            figure_of(primary, suite["comparison"]["candidate"]),
            gain_of(primary, suite["comparison"]),
            f"{len(suite['failed']):,}",
            f"{len(suite['new_failures']):,}",
        )
        for name, suite in sorted(report["suites"].items())
    ]
    header = ("suite", "rows", "new model", "gain (interval)", "rows that lost much", "newly wrong")
    critical = report["critical"]
    if not rows and critical is None:
        return None
    return section(
        "Rows that must not break",
        "suites",
        _critical(critical) if critical else None,
        table("Regression suites", header, rows, numbers=(1, 2, 3, 4, 5)) if rows else None,
    )


def _critical(critical: Mapping[str, Any]) -> Html:
    told = (
        f"{critical['rows']:,} test rows are marked as critical: {len(critical['new_failures'])} newly wrong, "
        f"{len(critical['fixed'])} newly right, {len(critical['both_wrong'])} wrong with both models."
    )
    names = ", ".join(critical["new_failures"])
    return joined([paragraph(told), paragraph(f"Newly wrong: {names}.", class_="note bad") if names else None])


def cost_section(timings: Mapping[str, Timing]) -> Html:
    """Return what answers took and cost."""
    names = [name for name in ("candidate", "baseline") if name in timings]
    if not any(timings[name].answers for name in names):
        return section("Time and cost", "cost", paragraph("No answer was timed: unknown."))
    lines: list[tuple[str, list[str]]] = [
        ("answers timed", [f"{timings[name].answers:,}" for name in names]),
        ("seconds to an answer, median", [_seconds(timings[name].median_s) for name in names]),
        ("seconds to an answer, 95 % within", [_seconds(timings[name].p95_s) for name in names]),
        ("tokens written a second, median", [_number(timings[name].tokens_per_s) for name in names]),
        ("tokens read", [_number(timings[name].read_tokens) for name in names]),
        ("tokens written", [_number(timings[name].written_tokens) for name in names]),
        ("price", [_price(timings[name]) for name in names]),
    ]
    rows = [(title, *values) for title, values in lines]
    header = ("", *("new model" if name == "candidate" else "baseline" for name in names))
    told = (
        "Measured while judging, on the machine that judged. Where questions are asked together, an answer's time is "
        "that of all of them."
    )
    caption = "What answers took and cost"
    return section(
        "Time and cost",
        "cost",
        table(caption, header, rows, numbers=range(1, len(header))),
        paragraph(told, class_="dim"),
    )


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}"


def _price(timing: Timing) -> str:
    return "unknown" if timing.price is None else f"{timing.price:,.2f} {timing.currency}".strip()
