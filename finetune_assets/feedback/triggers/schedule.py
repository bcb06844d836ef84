"""When a schedule was last due and when it is next: cron by croniter, or every so many days; all in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from finetune_assets.feedback.triggers.policy import Schedule


def due_since(schedule: Schedule, anchor: datetime, now: datetime) -> datetime | None:
    """Return the latest moment at which the schedule was due after `anchor` and not after `now`; None for none.

    Moments missed while nothing ran count as one.
    """
    if schedule.every_days is not None:
        due = anchor + timedelta(days=schedule.every_days)
        return due if due <= now else None
    from croniter import croniter

    # The iterator steps strictly before its start; a cron moment falls on a whole minute.
    start = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    latest: datetime = croniter(schedule.cron, start).get_prev(datetime)
    return latest if latest > anchor else None


def next_due(schedule: Schedule, anchor: datetime, now: datetime) -> datetime:
    """Return when the schedule is next due after `now`."""
    if schedule.every_days is not None:
        return max(now, anchor + timedelta(days=schedule.every_days))
    from croniter import croniter

    upcoming: datetime = croniter(schedule.cron, now.astimezone(UTC)).get_next(datetime)
    return upcoming
