"""How a report and a comparison of two models look in a terminal: measures down, models across."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finetune_assets.evaluation.report.reading import figure_of, gain_of, measure_of, ordered_scores, score_name
from finetune_assets.evaluation.wording import p_text, percent

VERDICT_STYLE = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
_SHOWN = {"better": "better", "worse": "worse", "neither": "no difference shown"}
_MOST_ROWS = 50
_FATES = {"won": "won", "lost": "lost", "right": "both right", "wrong": "both wrong"}


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """Print a report's scores side by side, and its verdict with every gate."""
    console.print(scores_table(report))
    verdict = report["verdict"]
    console.print(f"Gate: [{VERDICT_STYLE[verdict['verdict']]}]{verdict['verdict']}[/]")
    for gate in verdict["gates"]:
        advice = " (advice)" if gate["advisory"] else ""
        console.print(
            f"  [{VERDICT_STYLE[gate['verdict']]}]{gate['verdict']:<12}[/] {escape(gate['name'])}{advice} "
            f"[dim]{escape(gate['reason'])}[/]"
        )
    if verdict["more_rows_needed"] is not None:
        console.print(f"About {verdict['more_rows_needed']:,} more test rows would decide (an estimate).")


def scores_table(report: Mapping[str, Any]) -> Table:
    """Return the scores of all models: a row for each measure, a column for each model."""
    models = ordered_scores(report["scores"])
    table = Table(title=f"Scores on {report['rows']:,} test rows", title_justify="left")
    table.add_column("measure")
    for key, _ in models:
        table.add_column(escape(score_name(report, key)), justify="right")
    for measure in report["measures"]:
        if measure["name"] in report["meaningless"]:
            continue
        name = escape(measure["title"]) + ("" if measure["higher_is_better"] else " [dim](less is better)[/]")
        if measure["name"] == report["primary"]:
            name = f"[bold]{name}[/]"
        table.add_row(name, *(_figure(report, measure["name"], scores) for _, scores in models))
    if report["scores"]["candidate"]["macro_f1"] is not None:
        table.add_row("macro F1", *(f"{scores['macro_f1']:.3f}" for _, scores in models))
    table.add_row("answers right as a whole", *(percent(scores["correct"]) for _, scores in models))
    table.add_row("answers that can be read", *(percent(scores["parse_rate"]) for _, scores in models))
    table.add_row("questions answered", *(percent(scores["coverage"]) for _, scores in models))
    return table


def _figure(report: Mapping[str, Any], name: str, scores: Mapping[str, Any]) -> str:
    return figure_of(measure_of(report, name), scores["measures"][name]["value"])


def headline(scores: Mapping[str, float]) -> str:
    """Return the one score by which a release is spoken of: `exact` where there is one, else `correct`."""
    name = next((name for name in ("exact", "correct") if name in scores), "")
    return f"{name} {scores[name]:.3f}" if name else ""


def print_comparison(console: Console, found: Mapping[str, Any]) -> None:
    """Print two models side by side: scores, gains with their intervals and tests, and the rows that differ.

    Args:
        console: where to.
        found: what `lineage.comparing.compare_models` returned.
    """
    names = [model["name"] for model in found["models"]]
    console.print(_comparison_table(found, names))
    comparison, measure = found["comparison"], measure_of(found, found["primary"])
    shown = {"better": "is shown to be better", "worse": "is shown to be worse"}
    told = shown.get(comparison["shown"], "is shown to be neither better nor worse")
    p_value = p_text(min(comparison["p_better"], comparison["p_worse"]))
    console.print(
        f"[bold]{escape(names[0])}[/] {told} than {escape(names[1])} by {escape(measure['title'])}: "
        f"{gain_of(measure, comparison)} at {100 * comparison['confidence']:.0f} % confidence; {comparison['test']}, "
        f"{p_value}."
    )
    console.print(
        f"{found['changed']:,} of {found['rows']:,} answers differ; the first alone is right on {found['won']:,}, "
        f"the second alone on {found['lost']:,}."
    )
    if "differing" in found:
        _print_rows(console, found["differing"], names)
    elif found["changed"]:
        console.print("[dim]--rows shows the rows whose answers differ.[/]")


def _comparison_table(found: Mapping[str, Any], names: Sequence[str]) -> Table:
    table = Table(title=f"{found['task']}: {found['rows']:,} test rows", title_justify="left")
    table.add_column("measure")
    for name in (*names, "gain of the first (interval)", "the first is"):
        table.add_column(escape(name), justify="right")
    sides = [found["scores"][side] for side in ("first", "second")]
    gains = {item["measure"]: item for item in (found["comparison"], *found["comparisons"])}
    for measure in found["measures"]:
        if measure["name"] in found["meaningless"]:
            continue
        gain = gains[measure["name"]]
        title = escape(measure["title"]) + ("" if measure["higher_is_better"] else " [dim](less is better)[/]")
        table.add_row(
            f"[bold]{title}[/]" if measure["name"] == found["primary"] else title,
            *(_figure(found, measure["name"], scores) for scores in sides),
            gain_of(measure, gain) if gain["rows"] else "–",
            _SHOWN[gain["shown"]] if gain["rows"] else "–",
        )
    if all(scores["macro_f1"] is not None for scores in sides):
        table.add_row("macro F1", *(f"{scores['macro_f1']:.3f}" for scores in sides), "", "")
    table.add_row("answers that can be read", *(percent(scores["parse_rate"]) for scores in sides), "", "")
    table.add_row("questions answered", *(percent(scores["coverage"]) for scores in sides), "", "")
    seconds = [found["timings"][side]["median_s"] for side in ("first", "second")]
    told = ["unknown" if value is None else f"{value:.3g}" for value in seconds]
    table.add_row("seconds to an answer, median", *told, "", "")
    return table


def _print_rows(console: Console, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    for row in rows[:_MOST_ROWS]:
        console.print(f"\n[bold]{escape(row['record'])}[/] [dim]{_FATES[row['fate']]}[/]")
        lines = [("asked", row["question"]), ("right", row["right"])]
        lines += [(names[0], row["first"]), (names[1], row["second"])]
        for name, said in lines:
            # Control characters of a text must not steer the terminal.
            flat = " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())
            console.print(f"  [dim]{escape(name)}[/]  {escape(flat) or '(nothing)'}", soft_wrap=True)
    if len(rows) > _MOST_ROWS:
        console.print(f"\n[dim]{_MOST_ROWS} of {len(rows):,} rows; --json gives all of them.[/]")
