"""How the judge's section reads: what it said, and beside it why it should or should not be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.wording import p_text, percent, points


def judge_markdown(section: Mapping[str, Any]) -> str:
    """Return the judge's section as Markdown, without a line end at its end.

    Args:
        section: what `judge_section` returned, or the same read back from JSON.
    """
    result = _pairs(section) if section["mode"] == "pairwise" else _rubric(section)
    parts = ["### Judging model", _standing(section), *result, _trust(section), _findings(section)]
    return "\n\n".join(part for part in parts if part)


def _standing(section: Mapping[str, Any]) -> str:
    name = section["judge"].get("model") or section["judge"].get("engine") or "a model"
    line = (
        f"**{cell(name)}** judged {section['rows']} of {section['of_rows']} rows, {section['votes_per_row']} votes "
        f"each ({section['calls']} calls in all). It is **{section['standing']}**: {cell(section['standing_reason'])}."
    )
    if section["verdict"]:
        line += f"\n\nAs a gate: **{section['verdict']}**: {cell(section['verdict_reason'])}."
    return line


def _pairs(section: Mapping[str, Any]) -> list[str]:
    result, position = section["result"], section["result"]["position"]
    rows = [
        (
            str(result["wins"]),
            str(result["losses"]),
            str(result["ties"]),
            str(result["undecided"]),
            "" if result["difference"] is None else points(result["difference"]),
            f"{100 * result['interval'][0]:+.1f} to {100 * result['interval'][1]:+.1f}",
            p_text(min(result["p_better"], result["p_worse"])),
        )
    ]
    header = ("candidate better", "baseline better", "tie", "undecided", "difference", "90 % interval", "sign test")
    parts = [table(header, rows)]
    if result["without_call"]:
        told = ", ".join(f"{count} {cell(name.replace('_', ' '))}" for name, count in result["without_call"].items())
        parts.append(f"Settled without asking: {told}.")
    if position["share_first"] is not None:
        low, high = position["interval"]
        parts.append(
            f"Position bias: {percent(position['share_first'])} of the votes went to the answer shown first "
            f"({100 * low:.1f}–{100 * high:.1f}; 50 % is none). When the order was swapped, "
            f"{position['contradicted']} of {position['rounds']} verdicts turned round and cancelled out."
        )
    if result["lost_records"]:
        shown = ", ".join(cell(record) for record in result["lost_records"][:10])
        parts.append(f"Baseline better: {shown}" + (" …" if result["losses"] > 10 else ""))
    return parts


def _rubric(section: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, part in section["result"]["criteria"].items():
        if part["ours"] is None:
            rows.append((cell(name), "no verdict", "no verdict", "", ""))
            continue
        low, high = part["interval"]
        rows.append(
            (
                cell(name),
                f"{part['ours']:.2f}",
                f"{part['theirs']:.2f}",
                f"{4 * part['difference']:+.2f}",
                f"{4 * low:+.2f} to {4 * high:+.2f}",
            )
        )
    interval = f"{100 * section['result']['confidence']:.1f} % interval"
    text = table(("criterion (1–5)", "candidate", "baseline", "difference", interval), rows)
    return [text, f"{section['result']['undecided']} rows have no verdict and are in no mean."]


def _trust(section: Mapping[str, Any]) -> str:
    votes, probes, human = section["votes"], section["probes"], section["human"]
    lines = [f"- {votes['unusable']} of {votes['asked']} votes were unusable{_problems(votes['by_problem'])}."]
    if human["lower"] is None:
        lines.append("- Its agreement with people was **not measured**: read it as an opinion.")
    else:
        parts = {"": human["agreement"]} if section["mode"] == "pairwise" else human["agreement"]
        lines += [_agreement(name, part, human["bar"]) for name, part in parts.items()]
    if probes["asked"]:
        lines.append(
            f"- Planted texts tried to win it over {probes['asked']} times: {probes['held']} held, "
            f"**{probes['won']} won**, {probes['unusable']} without a verdict."
        )
    if section["steering_rows"]["rows"]:
        shown = ", ".join(cell(record) for record in section["steering_rows"]["records"][:10])
        lines.append(f"- {section['steering_rows']['rows']} rows hold texts that seem to speak to a judge: {shown}.")
    if section["cut_rows"]:
        lines.append(f"- {section['cut_rows']} rows have a text that was cut before the judge saw it.")
    return "\n".join(lines)


def _problems(by_problem: Mapping[str, int]) -> str:
    if not by_problem:
        return ""
    return " (" + ", ".join(f"{count} {cell(name.replace('_', ' '))}" for name, count in by_problem.items()) + ")"


def _agreement(name: str, part: Mapping[str, Any], bar: float) -> str:
    kappa = "not defined" if part["kappa"] is None else f"{part['kappa']:.2f}"
    of = f" on {cell(name)}" if name else ""
    near = f", {part['within_one']} within one point" if "within_one" in part else ""
    return (
        f"- Agreement with people{of}: {part['agreed']} of {part['rows']}{near}; at least {percent(part['lower'])} "
        f"(95 %), the bar is {percent(bar)}; Cohen's kappa {kappa}."
    )


def _findings(section: Mapping[str, Any]) -> str:
    human = section["human"]
    if not human["findings_in_all"]:
        return ""
    rows = [
        (str(item["row"]), cell(item["code"]), cell(item["field"]), cell(item["mend"])) for item in human["findings"]
    ]
    title = f"{human['findings_in_all']} rows of the file of human verdicts were left out:\n\n"
    return title + table(("row", "what", "column", "mend"), rows)
