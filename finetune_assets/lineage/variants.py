"""Which of several tuning variants is judged: the best on the validation rows, so that the test rows are asked once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.answers import score_answers
from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.evaluation.statistics.resampling import bootstrap_value
from finetune_assets.evaluation.wording import figure
from finetune_assets.lineage.asking import Room, answers_of
from finetune_assets.lineage.contenders import Contender
from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example


@dataclass(frozen=True)
class Choice:
    """The variant that goes on, and how the others did.

    Attributes:
        chosen: the variant's name, "" where there are no variants.
        section: the ranking for the report, None where there are no variants.
    """

    chosen: str
    section: dict[str, Any] | None


def choose(room: Room, variants: Mapping[str, Contender], validation: Sequence[Example]) -> Choice:
    """Ask every variant the validation rows and return the best by the primary measure; the first by name on a tie.

    Raises:
        FinetuneError: when there is a choice and no validation row to make it by.
    """
    if len(variants) == 1:
        return Choice(next(iter(variants)), None)
    config, measures = room.task.config.evaluation, room.task_type.measures
    primary = config.primary_of(measures)
    rows: list[dict[str, Any]] = []
    for name, model in sorted(variants.items()):
        answers = score_answers(
            validation,
            answers_of(room, model, validation, f"validation rows by variant {name}").answers,
            room.task_type,
        )
        marks = mark_table(answers, measures)
        value = marks.value(primary)
        if value is None:
            raise FinetuneError(
                "variants cannot be told apart",
                where=f"{room.task.task}: tuning.variants",
                found=f"{len(validation)} validation rows, none that {primary.name} applies to",
                mend="give validation a share in dataset.split, or leave one variant",
            )
        low, high = bootstrap_value(
            primary,
            marks.stats[primary.name][marks.applies[primary.name]],
            confidence=0.95,
            resamples=config.resamples,
            seed=config.seed,
        )
        rows.append({"variant": name, "candidate": short(model.candidate), "value": value, "interval_95": [low, high]})
    rows.sort(key=lambda row: (-primary.sign * row["value"], row["variant"]))
    section = {
        "measure": primary.name,
        "validation_rows": len(validation),
        "ranking": rows,
        "chosen": rows[0]["variant"],
    }
    return Choice(rows[0]["variant"], section | {"markdown": _markdown(section, as_percent=primary.as_percent)})


def _markdown(section: Mapping[str, Any], *, as_percent: bool) -> str:
    ranking = section["ranking"]
    lines = [
        (
            cell(row["variant"]) + (" (chosen)" if row["variant"] == section["chosen"] else ""),
            cell(row["candidate"]),
            figure(row["value"], as_percent=as_percent),
            " to ".join(figure(bound, as_percent=as_percent) for bound in row["interval_95"]),
        )
        for row in ranking
    ]
    text = table(("variant", "candidate", cell(section["measure"]), "95 % interval"), lines)
    return (
        f"### Variants\n\n{text}\n\nThe best of {len(ranking)} on {section['validation_rows']} validation rows was "
        "chosen; its figure there is flattered by the choice. The test rows were asked of the chosen one alone, so "
        "that the verdict needs no correction for the number of variants."
    )
