"""The quality checks of validated_splits: each holds a detector's finding against its limit in `dataset.quality`.

A check of mode block is a gate; one of mode warn shows what it found and lets the run go on; off leaves it out of the
graph. A gate that could not measure fails: it never passes in silence.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from finetune_assets.datasets.filters import Filters
from finetune_assets.datasets.quality.boilerplate import boilerplate
from finetune_assets.datasets.quality.config import CheckConfig, QualityConfig
from finetune_assets.datasets.quality.conflicts import label_conflicts
from finetune_assets.datasets.quality.finding import QualityFinding
from finetune_assets.datasets.quality.language import other_languages
from finetune_assets.datasets.quality.lengths import length_outliers
from finetune_assets.datasets.quality.pii import personal_data
from finetune_assets.datasets.quality.poison import poison
from finetune_assets.datasets.quality.rows import written_rows
from finetune_assets.datasets.quality.scores import dataset_scores, measure_scores
from finetune_assets.datasets.quality.secrets import secrets
from finetune_assets.datasets.quality.suspects import suspect_labels
from finetune_assets.datasets.schema import label_balance
from finetune_assets.lineage.checks import Check, Evidence
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.raw_observations import summary_of as raw_summary_of
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.validated_splits import summary_of
from finetune_assets.records.digests import digest_of
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_json_atomic

# Raised when the suspect labels' detector would find others in the same rows.
SUSPECTS_VERSION = 1

Detector = Callable[[TaskRun, Artifact, QualityConfig], QualityFinding]


def _is_free_text(task: TaskRun) -> bool:
    return task.task_type().choices() is None


def _scores(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    raw, summary = raw_summary_of(task.result(RAW)), summary_of(artifact)
    suspects = None
    if quality.suspect_labels.mode != "off":
        suspects = _suspect_labels(task, artifact, quality)
    scores = measure_scores(
        raw["read"] + summary["expanded"],
        summary["accepted"] + summary.get("outside_limit", 0),
        summary["duplicates"],
        Counter(raw["reasons"]) + Counter(summary["reasons"]),
        suspects,
    )
    return dataset_scores(scores, quality.scores)


def _label_conflicts(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    return label_conflicts(artifact.path, quality.label_conflicts, free_text=_is_free_text(task))


def _boilerplate(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    return boilerplate(artifact.path, quality.boilerplate, free_text=_is_free_text(task))


def _suspect_labels(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    """Return the suspect labels, computed once for the same rows: it takes as long as all other checks together."""
    config = quality.suspect_labels
    key = digest_of(
        {
            "detector": "suspect_labels",
            "version": SUSPECTS_VERSION,
            "rows": artifact.manifest["files"]["examples.jsonl"]["sha256"],
            "config": config.model_dump(mode="json"),
        }
    )
    place = task.home.path / "evidence" / f"{key}.json"
    if place.exists():
        return QualityFinding(**read_json(place))
    task_type = task.task_type()
    finding = suspect_labels(artifact.path, config, task_type.label_levels, free_text=task_type.choices() is None)
    write_json_atomic(place, finding.to_json())
    return finding


def suspect_rows(task: TaskRun, artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Return what the check found on single labels, by record id; nothing where YAML switched it off."""
    quality = task.config.dataset.quality
    if quality.suspect_labels.mode == "off":
        return {}
    finding = _suspect_labels(task, artifact, quality)
    return {str(row["record_id"]): row for row in finding.rows if "record_id" in row}


def _pii(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    return personal_data(artifact.path, quality.pii)


def _secrets(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    return secrets(artifact.path, quality.secrets)


def _poison(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    records = task.result(RAW).file("records.jsonl")
    return poison(artifact.path, quality.poison, records, show_phrases=task.config.dataset.source.synthetic)


def _language(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    free_text = _is_free_text(task)
    return other_languages(artifact.path, quality.language, quality.languages, free_text=free_text)


def _length_outliers(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    return length_outliers(artifact.path, quality.length_outliers, free_text=_is_free_text(task))


def _label_balance(task: TaskRun, artifact: Artifact, quality: QualityConfig) -> QualityFinding:
    config = quality.label_balance
    found = label_balance(artifact.path, min_rows=config.min_per_class)
    ratio = float(found.facts["largest_ratio"])
    even = config.max_ratio is None or ratio <= config.max_ratio
    absent = len(found.facts["labels_absent_from_test"])
    most = f" (at most {config.max_ratio:g})" if config.max_ratio else ""
    of_all = float(found.facts["largest_ratio_of_all"])
    trained = f", {of_all:g} with synthetic and augmented rows" if of_all != ratio else ""
    return QualityFinding(
        passed=found.failure_count == 0 and even,
        summary=f"{found.facts['labels']} labels, {found.failure_count} with fewer than {config.min_per_class} "
        f"observed training rows, {absent} absent from test; largest ratio of two labels {ratio:g}{most}{trained}",
        numbers={
            "labels": found.facts["labels"],
            "largest_ratio": ratio,
            "largest_ratio_of_all": of_all,
            "thin_labels": found.failure_count,
        },
        rows=found.failures,
        flagged=found.failure_count,
    )


# By name: the section of `dataset.quality`, what it proves, and its detector.
_CHECKS: dict[str, tuple[str, str, Detector]] = {
    "dataset_scores": ("scores", "Completeness, consistency, validity, uniqueness, accuracy and their mean.", _scores),
    "label_conflicts": ("label_conflicts", "Equal or nearly equal inputs with different labels.", _label_conflicts),
    "boilerplate": ("boilerplate", "Repeated and unfinished free-text targets.", _boilerplate),
    "suspect_labels": ("suspect_labels", "Labels that the other rows disagree with.", _suspect_labels),
    "pii": ("pii", "Phone numbers, e-mail addresses, card and account numbers. Names are not looked for.", _pii),
    "secrets": ("secrets", "Keys, tokens and passwords.", _secrets),
    "poison": ("poison", "One source that outweighs all others; rare phrases that act like triggers.", _poison),
    "language": ("language", "Rows in another language than the task's, or than they state.", _language),
    "length_outliers": ("length_outliers", "Inputs and targets of unusual length.", _length_outliers),
    "label_balance": ("label_balance", "Labels with too few training rows, or far more than others.", _label_balance),
}


def quality_checks(spec: TaskSpec) -> list[Check]:
    """Return the checks that the task's YAML does not switch off.

    A check of mode block blocks. The mode is read when the graph is loaded: one that `--set` changes for a run changes
    the limits there, and switches the check off, but makes no gate of a warning.
    """
    checks = []
    for name, (section, description, detector) in _CHECKS.items():
        config: CheckConfig = getattr(spec.config.dataset.quality, section)
        if config.mode != "off":
            look = partial(_look, section=section, detector=detector)
            checks.append(Check(name, description, look, gate=config.mode == "block"))
    if Filters(spec.config.dataset.filters):
        checks.append(Check("filters", "Rows that the filters left out, and filters without effect.", _filters, False))
    return checks


def _look(task: TaskRun, artifact: Artifact, *, section: str, detector: Detector) -> Evidence:
    quality = task.config.dataset.quality
    config: CheckConfig = getattr(quality, section)
    if config.mode == "off":
        return Evidence(passed=True, summary="switched off for this run")
    finding = detector(task, artifact, quality)
    if not finding.measured:
        mend = f"; a gate needs a measurement: set dataset.quality.{section}.mode to warn, or off"
        # What does not apply here is no fault; what could not be looked at is none of a check's passes.
        harmless = config.mode == "warn" and not finding.applies
        return Evidence(harmless, finding.summary + (mend if config.mode == "block" else ""))
    return Evidence(finding.passed, finding.summary, finding.numbers, finding.rows)


def _filters(task: TaskRun, artifact: Artifact) -> Evidence:
    filters = Filters(task.config.dataset.filters)
    reasons = {name: count for name, count in summary_of(artifact)["reasons"].items() if name.startswith("filtered_")}
    idle = filters.not_applicable(written_rows(artifact.path))
    told = ", ".join(f"{name} {count}" for name, count in sorted(reasons.items())) or "none"
    return Evidence(
        passed=not any(idle.values()),
        summary=f"{sum(reasons.values())} rows were left out ({told}); "
        f"not applicable: {', '.join(f'{name} {count}' for name, count in idle.items()) or 'none'}",
        numbers={"left_out": sum(reasons.values()), "not_applicable": sum(idle.values())},
        rows=[{"filter": name, "rows": count, "outcome": "left out"} for name, count in sorted(reasons.items())]
        + [{"filter": name, "rows": count, "outcome": "kept, has no such fact"} for name, count in idle.items()],
    )
