"""Windows for the tests: a quiet one, changed where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from finetune_assets.feedback.window import Window

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def window(**changes: Any) -> Window:
    """Return a window of a live task in which nothing asks for a run."""
    until = changes.pop("until", NOW)
    quiet: dict[str, Any] = {
        "task": "childcare",
        "since": until - 7 * DAY,
        "until": until,
        "predictions": 1000,
        "errors": 10,
        "open_cases": 10,
        "corrected_cases": 5,
        "labels": {"sleep": 500, "food": 500},
        "reference_labels": {"sleep": 250, "food": 250},
        "inputs": {},
        "reference_inputs": {},
        "last_fired": None,
        "last_finished": None,
        "in_flight": False,
        "live_since": until - 30 * DAY,
        "spent_usd": 0.0,
        "budget_usd": None,
        "estimated_cost_usd": None,
        "history": (),
    }
    return Window(**(quiet | changes))
