"""CPU seconds of one trigger decision over a million predictions: reading the window, counting, drift and the rules.

    python benchmarks/trigger_decision.py [--predictions 1000000] [--cases 20000] [--folder .]

Target: less than 1 CPU-s from the databases to the decision, best of five; the first also imports SciPy. Beside it: the
tick alone (cursor, decision), and a replay of the whole window by hours. The databases lie in a folder of their own;
making them is not timed. Every rule takes part.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from finetune_assets.feedback.happened import happened
from finetune_assets.feedback.prediction_rows import COLUMNS, micros
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers.cursor import tick
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.triggers.replay import Supposed, replay
from finetune_assets.feedback.windows import Surroundings, read_window
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseEventRow, ErrorCaseRow, ErrorClusterRow

TARGET, ROUNDS, TASK = 1.0, 5, "childcare"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LENGTH = timedelta(days=7)
LABELS = [f"area {number // 8} / attribute {number}" for number in range(40)]
ALL_RULES = {"any": ["error_cases", "corrected_cases", "correction_rate", "error_rate", "label_drift", "input_drift"]}


def fill_predictions(store: PredictionStore, count: int) -> None:
    """Write predictions spread over the window in one transaction; the columns are those that a gateway writes."""
    chance = random.Random(1)
    blank = dict.fromkeys(COLUMNS, "")
    span, begun = int(LENGTH.total_seconds() * 1e6), micros(BEGAN)

    def row(number: int) -> tuple[Any, ...]:
        text = chance.gauss(200, 60)
        values = blank | {
            "request_id": f"request-{number:012d}",
            "task": TASK,
            "at": begun + number * span // count,
            "version": 3,
            "label": chance.choice(LABELS),
            "label_path": "[]",
            "valid": 1,
            "latency_ms": 12.5,
            "signals": "[]",
            "score": 0.0,
            "outcome": "complete",
            "characters": float(int(text)),
            "words": float(int(text / 6)),
            "place": chance.getrandbits(31),
        }
        return tuple(values[name] for name in COLUMNS)

    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA synchronous=OFF")
    with connection:
        names = ", ".join(COLUMNS)
        places = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO predictions ({names}) VALUES ({places})", (row(n) for n in range(count)))
    connection.close()


def fill_cases(db: Database, count: int) -> None:
    """Write open error cases, two of one cluster each."""
    with db.session() as session:
        clusters = [
            ErrorClusterRow(task=TASK, cluster_key=f"k{number}", sketch="", created_at=BEGAN)
            for number in range(max(1, count // 2))
        ]
        session.add_all(clusters)
        session.flush()
        for number in range(count):
            at = BEGAN + LENGTH * number / count
            case = ErrorCaseRow(
                task=TASK,
                case_key=f"case {number}",
                cluster_id=clusters[number % len(clusters)].id,
                state="new",
                source="feedback",
                prediction_id=f"request-{number:012d}",
                predicted_at=at,
                input_digest="",
                answer_digest="",
                label="",
                signals=[],
                score=1.0,
                groups=[],
                dataset_version="",
                dismissed_for="",
                reported_at=at,
                updated_at=at,
            )
            session.add(case)
            session.flush()
            session.add(
                CaseEventRow(case_id=case.id, from_state="", to_state="new", source="feedback", detail="", by="", at=at)
            )


def best(work: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float, Any]:
    """Return seconds of the first and of the best round, and what the last gave."""
    spent, given = [], None
    for _ in range(rounds):
        started = time.process_time()
        given = work()
        spent.append(time.process_time() - started)
    return spent[0], min(spent), given


def measure(folder: Path, predictions: int, cases: int) -> bool:
    db, store = Database.open(f"sqlite:///{folder / 'finetune.db'}"), PredictionStore(folder / "predictions.db")
    fill_predictions(store, predictions)
    fill_cases(db, cases)
    policy = TriggerPolicy.model_validate({"fire_when": ALL_RULES, "min_eligible_cases": 0})
    chance, until = random.Random(2), BEGAN + LENGTH
    around = Surroundings(
        reference_labels=dict.fromkeys(LABELS, 50),
        reference_inputs={
            "characters": [float(int(chance.gauss(200, 60))) for _ in range(2000)],
            "words": [float(int(chance.gauss(33, 10))) for _ in range(2000)],
        },
        live_since=BEGAN,
        estimated_cost_usd=2.0,
        budget_usd=100.0,
    )

    def look() -> Any:
        return read_window(db, store, TASK, BEGAN, until, around)

    def whole() -> Any:
        return tick(None, look(), policy, TriggerLog(db).asked(TASK, set()))[1]

    first, decided, decision = best(whole)
    seen = look()
    _, read, _ = best(look)
    _, alone, _ = best(lambda: tick(None, seen, policy, []))
    plain = TriggerPolicy()
    started = time.process_time()
    events = happened(db, store, TASK, plain, BEGAN, until, timedelta(hours=1))
    replayed = replay(events, plain, BEGAN, until, timedelta(hours=1), task=TASK, runs=Supposed())
    replay_s = time.process_time() - started
    print(f"{seen.predictions:,} predictions, {seen.errors:,} errors in {cases:,} cases, {len(seen.labels)} labels")
    print(f"decision   {decision.verdict}: {decision.sentence[:90]}")
    print(f"databases to decision  {1e3 * decided:>8.0f} CPU-ms, the first {1e3 * first:.0f} ms")
    print(f"  reading the window   {1e3 * read:>8.0f} CPU-ms")
    print(f"  tick of all rules    {1e3 * alone:>8.1f} CPU-ms, cursor {len(tick(None, seen, policy, [])[0]):,} bytes")
    print(f"evidence               {len(json.dumps(decision.to_json())):>8,} bytes")
    print(f"replay, {len(replayed.decisions)} decisions  {replay_s:>8.2f} CPU-s")
    db.close()
    print(f"target {TARGET:.0f} CPU-s: {'met' if decided < TARGET else 'MISSED'}")
    return decided < TARGET


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trigger-decision-", dir=options.folder))
    try:
        return 0 if measure(folder, options.predictions, options.cases) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
