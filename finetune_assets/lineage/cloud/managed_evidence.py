"""What a managed job left, for people and for checks: the provider's model, its statistics of the data, its price."""

from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.checks import Evidence
from finetune_assets.lineage.cloud.managed_tuning import PLAN, RECORD, kept_model_problems
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.tuning_request import LOSS_CHART
from finetune_assets.records.digests import short
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json
from finetune_assets.storage.intents import events_of, find_intent

_SHOWN_ROWS = 20
_SHOWN_BY = 12
_SPREAD = ("sum", "min", "p5", "median", "mean", "p95", "max")


def describe_managed(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata of a model that its provider keeps: job, model, data, losses, estimate and price."""
    managed, record, plan = (
        artifact.manifest["managed"],
        read_json(artifact.file(RECORD)),
        read_json(artifact.file(PLAN)),
    )
    numbers = {
        name: record[name]
        for name in ("rows", "steps", "duration_s", "truncated_rows", "dropped_rows", "billable_tokens")
        if record.get(name) is not None
    }
    told: dict[str, Any] = {
        "base_model": artifact.manifest["base"]["name"],
        "request_key": artifact.key,
        "job": dg.MetadataValue.url(managed["link"]) if managed["link"] else managed["job"],
        "run_key": managed["run_key"],
        "model": managed["model"] or "(files only)",
        "endpoint": managed["endpoint"] or "(none)",
        "weights": managed["weights_uri"] or "(kept by the service)",
        **{f"training/{name}": value for name, value in numbers.items()},
        "estimate": show.markdown("\n".join(f"- {line}" for line in plan["estimate"] or ["none"])),
        "tokens": show.table(_tokens(record["statistics"])),
        "checkpoints": show.table(
            [
                {"epoch": point["epoch"], "step": point["step"], "where": point["endpoint"] or point["uri"]}
                for point in record["checkpoints"]
            ]
        ),
        "settings": dg.MetadataValue.json(artifact.manifest["request"]["config"]),
    }
    if plan["findings"]:
        told["preflight"] = show.table(plan["findings"])
    if artifact.has_file(LOSS_CHART):
        told["loss"] = show.picture(artifact.file(LOSS_CHART).read_bytes(), "training loss")
        told["losses"] = show.table(record["losses"])
    return told


def _tokens(statistics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how long the service found the rows' questions and answers to be, in its tokens."""
    return [
        {"of a row": name, **{word: round(float(statistics[part][word]), 1) for word in _SPREAD}}
        for name, part in (("question", "input_tokens"), ("answer", "output_tokens"))
        if all(word in (statistics.get(part) or {}) for word in _SPREAD)
    ]


def job_history(task: TaskRun, artifact: Artifact) -> dict[str, Any]:
    """Return the states that the job went through, and what it was billed beside what was estimated."""
    intent = find_intent(task.database, artifact.key)
    if intent is None:
        return {}
    told: dict[str, Any] = {"attempt": intent.attempt}
    for name, micros in (("estimated_usd", intent.estimate_mid), ("billed_usd", intent.actual_cost)):
        if micros is not None:
            told[name] = micros / 1e6
    events = events_of(task.database, artifact.key)
    if events:
        told["asked_for"] = f"{events[0].at:%Y-%m-%d %H:%M:%S} UTC"
    rows = [
        {"minutes later": round((event.at - events[0].at).total_seconds() / 60, 1), "attempt": event.attempt,
         "state": event.to_state, "phase": event.phase, "the provider says": _plain(event.provider_state),
         "by": event.by[:_SHOWN_BY]}
        for event in events
    ]  # fmt: skip
    return told | {"states": show.table(rows)}


def _plain(provider_state: str) -> str:
    """Return the provider's words without what stands before each of them."""
    return " ".join(word.removeprefix("TUNING_").removeprefix("JOB_STATE_") for word in provider_state.split())


def model_is_kept(task: TaskRun, artifact: Artifact) -> Evidence:
    """Ask the provider whether it still has the very model that its job left."""
    problems = [*artifact.verify(), *kept_model_problems(task, artifact)]
    managed = artifact.manifest["managed"]
    return Evidence(
        passed=not problems,
        summary=f"{managed['model'] or managed['weights_uri']}: {len(problems)} problems; "
        f"{short(artifact.manifest['adapter_digest'])}",
        rows=[{"problem": problem} for problem in problems],
    )


def every_row_was_learned(task: TaskRun, artifact: Artifact) -> Evidence:
    """Hold the service's statistics against the rows that were uploaded: none dropped, none cut."""
    record, plan = read_json(artifact.file(RECORD)), read_json(artifact.file(PLAN))
    sent, learned = int(plan["rows"]), record["rows"]
    statistics = record["statistics"]
    cut, dropped = list(statistics.get("truncated_rows", [])), list(statistics.get("dropped", []))
    count = max(int(statistics.get("truncated", 0)), len(cut), len(dropped))
    if learned is None:
        return Evidence(
            passed=False, summary=f"{sent} rows were sent; the service says nothing of what it learned from"
        )
    rows = [{"row": row + 1, "problem": "cut or left out"} for row in cut[:_SHOWN_ROWS]]
    rows += [{"row": 0, "problem": reason} for reason in dropped[:_SHOWN_ROWS]]
    return Evidence(
        passed=count == 0 and int(learned) == sent,
        summary=f"{sent} rows were sent, the service counts {learned}, {count} of them cut or left out",
        numbers={"rows_sent": sent, "rows_learned": float(learned), "rows_lost": count},
        rows=rows,
    )
