"""The checks of validated_splits. Each reads the written files again instead of trusting what made them."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import dagster as dg

from finetune_assets.datasets import schema
from finetune_assets.datasets.quarantine import quarantine_share
from finetune_assets.datasets.render import render_text
from finetune_assets.datasets.schema import SchemaFindings
from finetune_assets.lineage.bases import find_base
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.raw_observations import summary_of as raw_summary_of
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.validated_splits import STAGE, summary_of
from finetune_assets.storage.artifacts import Artifact


def _evidence(findings: SchemaFindings, what: str) -> Evidence:
    return Evidence(
        passed=findings.failure_count == 0 and findings.rows > 0,
        summary=f"{findings.rows} {what}, {findings.failure_count} fail",
        numbers={"rows": findings.rows, "failures": findings.failure_count},
        rows=findings.failures,
    )


def _schema(task: TaskRun, artifact: Artifact) -> Evidence:
    return _evidence(schema.validate_examples(artifact.path, task.task_type()), "examples held against the schema")


def _taxonomy(task: TaskRun, artifact: Artifact) -> Evidence:
    return _evidence(schema.taxonomy_findings(artifact.path, task.task_type()), "targets read back as answers")


def _leakage(task: TaskRun, artifact: Artifact) -> Evidence:
    findings = schema.leakage_findings(artifact.path)
    evidence = _evidence(findings, "examples compared across the splits")
    return Evidence(evidence.passed, evidence.summary, {**evidence.numbers, **findings.facts}, evidence.rows)


def _format(task: TaskRun, artifact: Artifact) -> Evidence:
    return _evidence(
        schema.format_findings(artifact.path, task.config.dataset.render.formats), "rendered lines read back"
    )


def _counts(task: TaskRun, artifact: Artifact) -> Evidence:
    raw, summary = raw_summary_of(task.result(RAW)), summary_of(artifact)
    kept = sum(summary["splits"].values())
    whole = kept + raw["quarantined"] + summary["quarantined"] + summary["duplicates"]
    made = raw["read"] + summary["expanded"]
    several = f" + {summary['expanded']} further examples of the same records" if summary["expanded"] else ""
    return Evidence(
        passed=whole == made,
        summary=f"{raw['read']} read{several} = {kept} accepted "
        f"+ {raw['quarantined'] + summary['quarantined']} quarantined "
        f"+ {summary['duplicates']} duplicates",
        numbers={"read": raw["read"], "expanded": summary["expanded"], "accounted": whole},
    )


def _quarantine(task: TaskRun, artifact: Artifact) -> Evidence:
    raw, summary = raw_summary_of(task.result(RAW)), summary_of(artifact)
    reasons = Counter(raw["reasons"]) + Counter(summary["reasons"])
    share = quarantine_share(raw["read"], reasons)
    limit = task.config.dataset.source.max_quarantine_share
    return Evidence(
        passed=share <= limit,
        summary=f"{reasons.total()} of {raw['read']} rows are in quarantine, {share:.1%} for a fault of theirs "
        f"(at most {limit:.0%})",
        numbers={"quarantined_share": share},
        rows=[{"reason": reason, "rows": count} for reason, count in sorted(reasons.items())],
    )


def _min_rows(task: TaskRun, artifact: Artifact) -> Evidence:
    splits = summary_of(artifact)["splits"]
    needed = {"train": task.config.dataset.min_train_rows, "test": task.config.evaluation.min_rows}
    short = {name: (splits[name], least) for name, least in needed.items() if splits[name] < least}
    spoken = ", ".join(f"{name} {splits[name]} of at least {least}" for name, least in needed.items())
    return Evidence(
        passed=not short,
        summary=spoken,
        numbers={name: splits[name] for name in splits},
        rows=[{"split": name, "rows": found, "needed": least} for name, (found, least) in short.items()],
    )


def _token_limit(task: TaskRun, artifact: Artifact) -> Evidence:
    findings = schema.token_findings(
        artifact.path, count_tokens=_counter(task), max_tokens=task.config.dataset.max_tokens
    )
    evidence = _evidence(
        findings, f"examples measured with the base's tokenizer, at most {task.config.dataset.max_tokens}"
    )
    longest = max((split["longest"] for split in findings.facts.values()), default=0)
    return Evidence(evidence.passed, evidence.summary, {**evidence.numbers, "longest": longest}, evidence.rows)


def _counter(task: TaskRun) -> Callable[[list[dict[str, Any]]], int]:
    if not task.config.is_judged:
        # No base is at hand for it here: four bytes a token, which is an estimate.
        return lambda messages: sum(len(turn["content"].encode()) for turn in messages) // 4 + 8 * len(messages)
    from tokenizers import Tokenizer

    base = find_base(task)
    tokenizer = Tokenizer.from_file(str(base.folder / "tokenizer.json"))

    def count(messages: list[Any]) -> int:
        text = render_text(messages, base.chat_template, add_generation_prompt=False, special_tokens=None)
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count


def _duplicates(task: TaskRun, artifact: Artifact) -> Evidence:
    summary = summary_of(artifact)
    kept = sum(summary["splits"].values())
    share = summary["duplicates"] / max(1, kept + summary["duplicates"])
    return Evidence(
        passed=summary["duplicates"] == 0,
        summary=f"{summary['duplicates']} duplicates were set aside ({share:.1%}), "
        f"{summary['conflicts']} label conflicts",
        numbers={"duplicates": summary["duplicates"], "conflicts": summary["conflicts"]},
    )


def _label_balance(task: TaskRun, artifact: Artifact) -> Evidence:
    findings = schema.label_balance(artifact.path)
    return Evidence(
        passed=findings.failure_count == 0,
        summary=f"{findings.facts['labels']} labels, {findings.failure_count} too thin in training",
        numbers={name: value for name, value in findings.facts.items() if isinstance(value, int | float)},
        rows=findings.failures,
    )


def build_asset_checks(spec: TaskSpec, shared_deps: list[dg.AssetKey]) -> dg.AssetChecksDefinition:
    """Return the checks of one task's splits; counting tokens needs the base's tokenizer, so they wait for it."""
    return build_checks(
        spec,
        STAGE,
        [
            Check("counts_conserved", "Rows read = accepted + quarantined + duplicates.", _counts),
            Check("quarantine_share", "Not more rows in quarantine than the YAML allows.", _quarantine),
            Check("schema", "Every example fits the schema (pandera); failing rows are shown.", _schema),
            Check("taxonomy", "Every target is a label of the taxonomy, read back as an answer would be.", _taxonomy),
            Check("no_leakage", "No question and no group stands in two splits.", _leakage),
            Check("min_rows", "Enough rows to train and to judge.", _min_rows),
            Check("format", "Every rendered line reads back to its example.", _format),
            Check("token_limit", "Every example fits the model, measured with its own tokenizer.", _token_limit),
            Check("duplicates", "Rows that say the same as an earlier one.", _duplicates, gate=False),
            Check("label_balance", "Labels with too few training rows.", _label_balance, gate=False),
        ],
        additional_deps=shared_deps,
    )
