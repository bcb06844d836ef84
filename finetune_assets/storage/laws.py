"""What must hold between the rows of the database beyond what its constraints say, each as a query that finds breaches.

A query gives names of what breaks the law, at most a task with a number or a digest: never a text of a person. It runs
on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Law:
    """One law.

    Attributes:
        name: a short name.
        told: what is wrong where it is broken.
        query: returns one text for each breach.
    """

    name: str
    told: str
    query: str


def _numbered(table: str, number: str, *keys: str) -> str:
    """Rows that are counted 1, 2, … without a gap."""
    named = " || '/' || ".join(keys)
    return (
        f"SELECT {named} FROM {table} GROUP BY {', '.join(keys)} "  # noqa: S608 - names of this module
        f"HAVING COUNT(*) <> MAX({number}) OR MIN({number}) <> 1"
    )


def _last_event(table: str, key: str, events: str, reference: str) -> str:
    """Rows whose state is not the one that their last event led to; rows that were written before events were kept."""
    return (
        f"SELECT CAST({table}.{key} AS TEXT) FROM {table} "  # noqa: S608 - names of this module
        f"JOIN (SELECT {reference} AS owner, MAX(id) AS last FROM {events} GROUP BY {reference}) AS newest "
        f"ON newest.owner = {table}.{key} "
        f"JOIN {events} ON {events}.id = newest.last WHERE {events}.to_state <> {table}.state"
    )


LAWS = (
    Law(
        "moves of the live pointer",
        "the moves of a task's pointer are not counted without a gap",
        _numbered("pointer_history", "seq", "task"),
    ),
    Law(
        "what is live",
        "the pointer and the releases do not name the same as live",
        "SELECT releases.task || ' version ' || releases.version FROM releases LEFT JOIN "
        "(SELECT task, MAX(seq) AS seq FROM pointer_history GROUP BY task) AS newest ON newest.task = releases.task "
        "LEFT JOIN pointer_history ON pointer_history.task = newest.task AND pointer_history.seq = newest.seq "
        "WHERE (releases.state = 'live') <> (COALESCE(pointer_history.release_id, 0) = releases.id)",
    ),
    Law("versions of releases", "versions are not counted without a gap", _numbered("releases", "version", "task")),
    Law(
        "states of releases",
        "a release is not in the state that its last event led to",
        _last_event("releases", "id", "release_events", "release_id"),
    ),
    Law(
        "versions of datasets",
        "versions are not counted without a gap",
        _numbered("dataset_versions", "number", "task", "namespace"),
    ),
    Law(
        "states of tuning jobs",
        "a job is not in the state that its last event led to",
        _last_event("tuning_intents", "request_key", "tuning_events", "request_key"),
    ),
    Law(
        "entries of the ledger",
        "a job's entries are not counted without a gap",
        _numbered("budget_ledger", "seq", "run_key"),
    ),
    Law(
        "sums of the ledger",
        "a job's sum is below zero",
        "SELECT run_key FROM budget_ledger GROUP BY run_key HAVING SUM(amount) < 0",
    ),
    Law(
        "reservations given back",
        "a job whose reservation was given back has a sum that is not zero",
        "SELECT run_key FROM budget_ledger GROUP BY run_key HAVING SUM(amount) <> 0 AND MAX(seq) = "
        "MAX(CASE WHEN kind = 'release' THEN seq ELSE 0 END)",
    ),
    Law(
        "what jobs cost",
        "a job's figure is not the sum that the ledger settled",
        "SELECT tuning_intents.request_key FROM tuning_intents JOIN (SELECT run_key, SUM(amount) AS total "
        "FROM budget_ledger GROUP BY run_key HAVING MAX(seq) = MAX(CASE WHEN kind = 'settle' THEN seq ELSE 0 END)"
        ") AS settled ON settled.run_key = tuning_intents.run_key "
        "WHERE tuning_intents.actual_cost IS NOT NULL AND tuning_intents.actual_cost <> settled.total",
    ),
    Law(
        "months of the ledger",
        "entries belong to a month that was never opened",
        "SELECT DISTINCT budget_ledger.task || ' ' || budget_ledger.month FROM budget_ledger LEFT JOIN budget_months "
        "ON budget_months.task = budget_ledger.task AND budget_months.month = budget_ledger.month "
        "WHERE budget_months.task IS NULL",
    ),
    Law(
        "states of error cases",
        "a case is not in the state that its last event led to",
        _last_event("error_cases", "id", "case_events", "case_id"),
    ),
    Law(
        "beginnings of error cases",
        "a case did not begin exactly once",
        "SELECT CAST(error_cases.id AS TEXT) FROM error_cases LEFT JOIN case_events "
        "ON case_events.case_id = error_cases.id AND case_events.from_state = '' "
        "GROUP BY error_cases.id HAVING COUNT(case_events.id) <> 1",
    ),
    Law(
        "corrections of error cases",
        "a case counts on a correction that is not its own",
        "SELECT CAST(error_cases.id AS TEXT) FROM error_cases LEFT JOIN case_corrections "
        "ON case_corrections.id = error_cases.correction_id AND case_corrections.case_id = error_cases.id "
        "WHERE error_cases.correction_id IS NOT NULL AND case_corrections.id IS NULL",
    ),
    Law(
        "ends of triggered runs",
        "a run ended that no trigger asked for",
        "SELECT ended.run_key FROM trigger_events AS ended LEFT JOIN trigger_events AS fired "
        "ON fired.run_key = ended.run_key AND fired.kind = 'fire' WHERE ended.kind = 'end' AND fired.id IS NULL",
    ),
)
