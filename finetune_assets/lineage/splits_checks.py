"""The checks of validated_splits. Each reads the written files again instead of trusting what made them."""

from collections import Counter
from collections.abc import Sequence

import dagster as dg

from finetune_assets.datasets import format_checks, schema, tokens
from finetune_assets.datasets.findings import SchemaFindings
from finetune_assets.datasets.quarantine import quarantine_share
from finetune_assets.datasets.split_files import read_examples, read_rows
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.quality_checks import quality_checks
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.raw_observations import summary_of as raw_summary_of
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.token_counter import token_counter, tokenizer_at_hand
from finetune_assets.lineage.validated_splits import STAGE, summary_of
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json

_SMALL_GROUP = 20


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
    findings = schema.leakage_findings(artifact.path, task.config.dataset.split, task.task_type())
    idle = _idle_keys(artifact, task.config.dataset.split.group_fields)
    for name in idle:
        problem = "no row has this key: nothing is held together by it; name the field as records.jsonl does"
        findings.fail({"split": ""}, f"split.group_fields: {name}", problem)
    evidence = _evidence(findings, "examples compared across the splits")
    closest = findings.facts.get("largest_similarity")
    said = f"; the closest pair across them is {closest:.3f} alike" if closest is not None else ""
    said += f"; no row has the declared key {', '.join(idle)}" if idle else ""
    return Evidence(evidence.passed, evidence.summary + said, {**evidence.numbers, **findings.facts}, evidence.rows)


def _idle_keys(artifact: Artifact, declared: Sequence[str]) -> list[str]:
    """Return the declared leak keys that no row has: a misspelt one would hold nothing together, unseen."""
    waiting = list(declared)
    for row in read_rows(artifact.path) if waiting else ():
        waiting = [name for name in waiting if not any(group.startswith(f"{name}=") for group in row["groups"])]
        if not waiting:
            break
    return waiting


def _leak_groups(task: TaskRun, artifact: Artifact) -> Evidence:
    certificate = read_json(artifact.file("certificate.json"))
    share, most = certificate["largest_component_share"], task.config.dataset.split.near_duplicates.max_component_share
    # One group of a handful of rows is no chain, however few rows there are.
    passed = share <= most or certificate["largest_component"] <= _SMALL_GROUP
    pairs = certificate["near_duplicates"].get("pairs", 0)
    return Evidence(
        passed=passed,
        summary=f"{certificate['components']} leak groups, the largest of {certificate['largest_component']} rows "
        f"({share:.1%}; at most {most:.0%}); {pairs} near-duplicate pairs",
        numbers={
            "components": certificate["components"],
            "largest_component": certificate["largest_component"],
            "largest_component_share": share,
            "near_duplicate_pairs": pairs,
        },
        rows=[{"rows_in_group": size, "groups": count} for size, count in certificate["component_sizes"].items()],
    )


def _format(task: TaskRun, artifact: Artifact) -> Evidence:
    render = task.config.dataset.render
    findings = format_checks.format_findings(artifact.path, render.formats, hf_files=render.hf_files)
    evidence = _evidence(findings, "rendered lines read back")
    left_out = {form: count for form, count in findings.facts["left_out_by_format"].items() if count}
    said = "".join(f"; {form} has no row for {count} examples" for form, count in left_out.items())
    numbers = {f"left_out_{form}": float(count) for form, count in left_out.items()}
    return Evidence(evidence.passed, evidence.summary + said, {**evidence.numbers, **numbers}, evidence.rows)


def _provider_limits(task: TaskRun, artifact: Artifact) -> Evidence:
    formats = task.config.dataset.render.formats
    multimodal = any(example.attachments for example in read_examples(artifact.path, "train"))
    findings = format_checks.limit_findings(artifact.path, formats, multimodal=multimodal)
    held = ", ".join(f"{form} ({source})" for form, source in findings.facts.items())
    return Evidence(
        passed=findings.failure_count == 0,
        summary=f"{findings.failure_count} limits broken; held against those of {held}"
        if held
        else "no rendered format has a provider's limits",
        numbers={"failures": findings.failure_count},
        rows=findings.failures,
    )


def _counts(task: TaskRun, artifact: Artifact) -> Evidence:
    raw, summary = raw_summary_of(task.result(RAW)), summary_of(artifact)
    kept = sum(summary["splits"].values())
    copies, outside = summary["augmented"], summary["outside_limit"]
    whole = kept - copies + raw["quarantined"] + summary["quarantined"] + summary["duplicates"] + outside
    made = raw["read"] + summary["expanded"]
    several = f" + {summary['expanded']} further examples of the same records" if summary["expanded"] else ""
    beyond = f" + {outside} outside of the limit" if outside else ""
    added = f"; {copies} augmented copies on top" if copies else ""
    return Evidence(
        passed=whole == made,
        summary=f"{raw['read']} read{several} = {kept - copies} accepted "
        f"+ {raw['quarantined'] + summary['quarantined']} quarantined "
        f"+ {summary['duplicates']} duplicates{beyond}{added}",
        numbers={"read": raw["read"], "expanded": summary["expanded"], "accounted": whole},
    )


def _quarantine(task: TaskRun, artifact: Artifact) -> Evidence:
    raw, summary = raw_summary_of(task.result(RAW)), summary_of(artifact)
    # What people said of live answers is no fault of the source.
    reasons = Counter(raw["reasons"]) - Counter(raw.get("feedback", {}).get("reasons", {}))
    reasons += Counter(summary["reasons"])
    # Where one record gives several examples, each of them may be rejected by itself.
    made = raw["read"] + summary["expanded"]
    share = quarantine_share(made, reasons)
    limit = task.config.dataset.source.max_quarantine_share
    return Evidence(
        passed=share <= limit,
        summary=f"{reasons.total()} of {made} rows are in quarantine, {share:.1%} for a fault of theirs "
        f"(at most {limit:.0%})",
        numbers={"quarantined_share": share},
        rows=[{"reason": reason, "rows": count} for reason, count in sorted(reasons.items())],
    )


def _min_rows(task: TaskRun, artifact: Artifact) -> Evidence:
    splits = summary_of(artifact)["splits"]
    needed = {"train": task.config.dataset.min_train_rows, "test": task.config.evaluation.min_rows}
    if task.options.limit:
        # A smoke subset shows that the chain runs; it is never released, and its report says how little it rests on.
        # Of twenty rows, none may fall to a small test split; a smoke test then asks another row.
        needed = {"train": 1, "test": 0 if task.options.smoke else 1}
    short = {name: (splits[name], least) for name, least in needed.items() if splits[name] < least}
    spoken = ", ".join(f"{name} {splits[name]} of at least {least}" for name, least in needed.items())
    mend = "; add rows, or lower dataset.min_train_rows or evaluation.min_rows" if short else ""
    return Evidence(
        passed=not short,
        summary=spoken + mend,
        numbers={name: splits[name] for name in splits},
        rows=[{"split": name, "rows": found, "needed": least} for name, (found, least) in short.items()],
    )


def _token_limit(task: TaskRun, artifact: Artifact) -> Evidence:
    limit = task.config.dataset.max_tokens
    findings = tokens.token_findings(artifact.path, counter=token_counter(task), max_tokens=limit)
    facts = findings.facts
    how = f"estimated as {facts['method']}" if facts["estimated"] else f"counted with {facts['method']}"
    files = f"; {facts['attachments']} files are not counted" if facts["attachments"] else ""
    evidence = _evidence(findings, f"examples of at most {limit} tokens, {how}{files}")
    numbers = {
        f"{split}_{name}": float(value) for split, spread in facts["splits"].items() for name, value in spread.items()
    }
    longest = max(spread["longest"] for spread in facts["splits"].values())
    numbers |= {**evidence.numbers, "longest": longest, "estimated": facts["estimated"]}
    mend = (
        ""
        if evidence.passed
        else f", the longest has {longest:,}; raise dataset.max_tokens where the model takes more, or leave long rows "
        "out with dataset.filters.max_prompt_length"
    )
    return Evidence(evidence.passed, evidence.summary + mend, numbers, evidence.rows)


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
            Check("no_leakage", "No question, no group and no near-duplicates stand in two splits.", _leakage),
            Check(
                "leak_groups", "No leak group holds too many rows, near-duplicates included.", _leak_groups, gate=False
            ),
            Check("min_rows", "Enough rows to train and to judge.", _min_rows),
            Check("format", "Every rendered line reads back to its example.", _format),
            Check(
                "token_limit",
                "Every example fits the model; counted with its tokenizer, or estimated.",
                _token_limit,
                means=tokenizer_at_hand,
            ),
            Check("provider_limits", "The files are of sizes that providers take.", _provider_limits, gate=False),
            Check("duplicates", "Rows that say the same as an earlier one.", _duplicates, gate=False),
            *quality_checks(spec),
        ],
        additional_deps=shared_deps,
    )
