"""`finetune trigger` and `finetune replay`: a person asks for a run; what rules would have asked for in the past."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.common import AsJson, TaskName, find_task, home_folder, out, print_json
from finetune_assets.cli.ending import dagster_instance, leave, terminable
from finetune_assets.records.errors import FinetuneError

if TYPE_CHECKING:
    from finetune_assets.feedback.triggers.history import TriggerRecord
    from finetune_assets.feedback.triggers.policy import TriggerPolicy
    from finetune_assets.feedback.triggers.replay import Replay
    from finetune_assets.lineage.runtime import TaskRun

_COMMAND = "finetune trigger"
_SECTION = "triggers"


def trigger(
    task: TaskName,
    reason: Annotated[str, typer.Option(help="Why a run is wanted; kept in the history.", show_default=False)],
) -> None:
    """Ask for a run by hand and start it here and now; a run under way and the budget still stand in the way."""
    import uuid

    from finetune_assets.cli.chain import current_user, run_chain
    from finetune_assets.cli.views import Progress, print_outcome
    from finetune_assets.feedback.triggers.decision import ManualRequest
    from finetune_assets.lineage.comparing import open_here
    from finetune_assets.lineage.instance import sweep_dead_runs
    from finetune_assets.lineage.trigger_runs import decide_now, give_up_unstarted, settle_ended

    spec, home = find_task(task), home_folder()
    request = ManualRequest(reason=reason, requested_by=current_user(), request_id=uuid.uuid4().hex)
    opened = open_here(spec, home)
    with terminable(), dagster_instance() as instance:
        sweep_dead_runs(instance)
        settle_ended(instance, opened, by=_COMMAND)
        give_up_unstarted(instance, opened, datetime.now(UTC), by=_COMMAND)
        decided = decide_now(instance, opened, None, datetime.now(UTC), manual=request)
        if not decided.asks:
            raise FinetuneError("no run was started", where=task, found=decided.sentence, mend="see `finetune status`")
        try:
            with Progress(out, spec) as progress:
                outcome = run_chain(
                    spec, instance, home, limit=0, until="", overrides={}, on_event=progress.event,
                    tags=decided.decision.tags(),
                )  # fmt: skip
        finally:
            settle_ended(instance, opened, by=_COMMAND)
            give_up_unstarted(instance, opened, datetime.now(UTC), by=_COMMAND, only=decided.decision.key)
        print_outcome(out, spec, outcome, instance, home)
    leave(outcome.result)


def replay(
    task: TaskName,
    begin: Annotated[str, typer.Option("--from", help="First moment, such as 2026-10-01 (UTC).", show_default=False)],
    end: Annotated[str, typer.Option("--to", help="Last moment; the default is now.")] = "",
    policy: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads the annotation
        typer.Option(help="YAML with other rules: what a section `triggers:` may say.", show_default=False),
    ] = None,
    step_h: Annotated[
        float, typer.Option(min=0.01, help="Hours between two decisions; the sensor's own come besides.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Show which runs rules would have asked for in the past, when, why and at what cost; nothing is started.

    The rules in force are held against the runs that there were. Other rules are supposed to start their own runs, and
    are compared with what those in force would have done likewise.
    """
    from finetune_assets.feedback.triggers.replay import Supposed, compare_replays
    from finetune_assets.feedback.triggers.replay import replay as replayed
    from finetune_assets.lineage.comparing import open_here
    from finetune_assets.lineage.trigger_window import past_of, policy_of

    opened = open_here(find_task(task), home_folder())
    start, until, step = _moment(begin, "--from"), _moment(end, "--to"), timedelta(hours=step_h)

    # What held for a minute between two steps is seen at the moments when the sensor looked.
    looked = [one.at for one in _records(opened, start, until)]

    def decided(rules: "TriggerPolicy", *, supposed: bool) -> "Replay":
        happened = past_of(opened, rules, start, until, step)
        return replayed(
            happened,
            rules,
            start,
            until,
            step,
            task=task,
            runs=Supposed() if supposed else "recorded",
            also=looked,
        )

    found = decided(_rules(policy) if policy else policy_of(opened), supposed=policy is not None)
    facts: dict[str, Any] = {
        "task": task,
        "from": start.isoformat(),
        "to": until.isoformat(),
        "rules": str(policy) if policy else "in force",
        "decisions": len(found.decisions),
        "fired": found.rows(),
        "cost_usd": found.cost_usd,
        "unpriced": found.unpriced,
        "logged": _logged(opened, start, until),
    }
    if policy:
        compared = compare_replays(decided(policy_of(opened), supposed=True), found)
        facts["compared_with_rules_in_force"] = {
            "both": len(compared.both),
            "only_in_force": [one.decided_at.isoformat() for one in compared.only_first],
            "only_these": [one.decided_at.isoformat() for one in compared.only_second],
            "cost_difference_usd": compared.cost_difference_usd,
        }
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def _logged(task: "TaskRun", start: datetime, until: datetime) -> list[dict[str, Any]]:
    """Return the runs that triggers really asked for in that time."""
    return [
        {"at": one.at.isoformat(), "why": "; ".join(one.reasons), "by": one.by, "key": one.run_key}
        for one in _records(task, start, until)
        if one.kind == "fire"
    ]


def _records(task: "TaskRun", start: datetime, until: datetime) -> "list[TriggerRecord]":
    from finetune_assets.feedback.trigger_log import TriggerLog

    return TriggerLog(task.database).records(task.task, start, until + timedelta(microseconds=1))


def _moment(text: str, option: str) -> datetime:
    """Return a moment; a time without a zone is UTC, and no text is now."""
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FinetuneError(
            "not a moment", where=option, found=text, expected="a date or time such as 2026-10-01 or 2026-10-01T06:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rules(path: Path) -> "TriggerPolicy":
    import yaml
    from pydantic import ValidationError

    from finetune_assets.feedback.triggers.policy import TriggerPolicy

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FinetuneError("rules cannot be read", where=str(path), found=" ".join(str(error).split())) from None
    if isinstance(found, dict) and set(found) == {_SECTION}:
        found = found[_SECTION]
    try:
        return TriggerPolicy.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise FinetuneError("rules do not fit", where=f"{path}: {place}".rstrip(": "), found=said) from None


def _print(facts: dict[str, Any]) -> None:
    out.print(
        f"{facts['task']}, rules {facts['rules']}: {facts['decisions']:,} decisions from {facts['from']} to "
        f"{facts['to']}, {len(facts['fired'])} runs, about ${facts['cost_usd']:,.2f}"
        + (f" and {facts['unpriced']} of unknown cost" if facts["unpriced"] else ""),
        markup=False,
        soft_wrap=True,
    )
    for title, rows in (("these rules ask for", facts["fired"]), ("triggers asked for", facts["logged"])):
        table = Table("at", "why", title=title, title_justify="left")
        for row in rows:
            table.add_row(row["at"], escape(row["why"]))
        out.print(table if rows else f"{title}: no run")
    if compared := facts.get("compared_with_rules_in_force"):
        out.print(
            f"both: {compared['both']}, only the rules in force: {len(compared['only_in_force'])}, only these: "
            f"{len(compared['only_these'])}; these cost ${compared['cost_difference_usd']:,.2f} more",
            markup=False,
        )
