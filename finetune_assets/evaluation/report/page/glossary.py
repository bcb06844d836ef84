"""How to read the report: each term and each measure in a line, for somebody who never saw the project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.evaluation.report.page.html import Html, Node, section, tag

_TERMS = {
    "new model (candidate)": "The language model that was just tuned on this task's training data.",
    "baseline": "What it is compared with: the model that is live now, or the same model before tuning where none is.",
    "trivial baseline": "A method without a language model, such as always giving the commonest answer.",
    "test rows": "Questions with a known right answer that no model saw in training.",
    "gate": "A rule that the new model must meet before it may be released.",
    "gain": "How much better the new model is than the baseline; for error rates, how much the error fell.",
    "points": "Hundredths: from 60 % to 65 % is a gain of 5 points.",
    "interval": "Where the true figure lies with the confidence that is said; a wide one means too few rows.",
    "p": "How often a difference at least this large would come about by chance alone, were there none.",
    "shown": "The difference is larger than chance makes likely; no difference shown does not mean that there is none.",
    "slice": "A part of the test rows with something in common, such as an origin or a language.",
    "inconclusive": "The rows are too few to tell. It never counts as passed.",
    "critical rows": "Test rows that must not be answered worse than before.",
    "confusion": "Which right answers the model took for which others.",
    "right as a whole": "All parts of the answer are right.",
    "tokens": "The pieces of words that a model reads and writes; cost and time go by them.",
}
_LEVEL = "Share of the rows whose answer is right at this level of the label."
_MEASURES = {
    "exact": "Share of the rows whose whole answer equals the right one.",
    "macro_f1": "The mean over all labels of F1, which joins how many of a label's rows are found and how many of the "
    "answers with that label are right; rare labels count as much as common ones.",
    "wer": "Words that must be changed, added or left out to reach the right transcript, over its words.",
    "cer": "The same, by characters.",
    "improved": "Of the transcripts with errors, the share that the model made better.",
    "worsened": "Share of the transcripts that the model made worse.",
    "token_f1": "How many words answer and right answer share, counted from both sides; 1 is the same words.",
    "rouge_l": "The longest run of words, with gaps, that both answers hold in the same order; 1 is all of them.",
    "bleu": "How many runs of one to four words of the answers stand in the right ones; 1 is all of them.",
    "chrf": "How many runs of characters both answers share; 1 is all of them.",
    "keywords": "Share of the expected keywords that the answer holds.",
    "identifiers": "Share of the names in the right answer (classes, methods, variables) that the answer holds.",
    "similarity": "Words in common over all words of both answers.",
    "edit_similarity": "How little must be edited to get from the answer to the right one; 1 is nothing.",
    "parses": "Share of the answers whose code a parser of its language accepts.",
    "route_exact": "Share of the plans that call the right tools in the right order.",
    "json_valid": "Share of the answers that are a JSON object.",
    "tool_precision": "Of the tools that the plan calls, the share that is right.",
    "tool_recall": "Of the right tools, the share that the plan calls.",
    "tool_f1": "Tool precision and recall in one figure.",
    "calls_exact": "Share of the rows whose tool calls are all right, arguments included.",
    "tool_name": "Share of the rows whose tools are right, in order.",
    "arguments": "Share of the calls with right arguments.",
}


def glossary_section(report: Mapping[str, Any]) -> Html:
    """Return the terms, and the measures that this report uses."""
    terms: list[Node] = []
    for name, told in _TERMS.items():
        terms += [tag("dt", name), tag("dd", told)]
    measures: list[Node] = []
    for measure in report["measures"]:
        told = _MEASURES.get(measure["name"]) or (_LEVEL if measure["name"] in report["levels"] else measure["title"])
        way = "More is better." if measure["higher_is_better"] else "Less is better."
        measures += [tag("dt", measure["title"]), tag("dd", f"{told} {way}")]
    if report["scores"]["candidate"]["macro_f1"] is not None:
        measures += [tag("dt", "macro F1"), tag("dd", _MEASURES["macro_f1"])]
    return section(
        "How to read this",
        "glossary",
        tag("h3", "The measures"),
        tag("dl", *measures),
        tag("h3", "The terms"),
        tag("dl", *terms),
    )
