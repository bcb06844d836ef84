"""What it costs to witness predictions durably, and how fast a window of them is read.

Run: `python benchmarks/witness.py [--seconds 10] [--rate 500] [--window 100000]`. The file lies in a folder of its own
on the disk of `--folder`. Figures:

* durable records a second: 256 callers on one event loop, each waiting for its record before the next.
* added milliseconds (p50, p99) at a steady rate: from the call to the record on the disk, arrivals not held up by slow
  answers (an open loop), beside the same number of bare syncs of the same disk: what no recorder could do without.
* milliseconds to read the facts of a window, best of five, and to count its errors.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.predictions import Prediction, Witness
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.recorder import PredictionRecorder

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NOTE = "Today Alex built a tower of nine blocks, called for a friend and laughed when it fell over. "


def prediction(witness: Witness, number: int, at: datetime) -> Prediction:
    """Make a prediction of the size that the childcare task has."""
    return witness.prediction(
        request_id=f"request-{number:012d}",
        task="childcare",
        version=3,
        candidate="c" * 64,
        at=at,
        prompt=NOTE * 4,
        fields={"observation_text": f"{NOTE}{NOTE}It was visit {number}.", "child_id": str(number % 500)},
        answer='{"attribute_name": "Balance", "progression_title": "Emerging"}',
        label_path=("physical_development", f"attribute {number % 40}", "Emerging"),
        valid=True,
        latency_ms=12.5,
    )


async def flood(recorder: PredictionRecorder, witness: Witness, seconds: float, callers: int, first: int) -> int:
    """Return how many records were durable within the time."""
    done, end = 0, time.perf_counter() + seconds

    async def caller(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await recorder.recorded(prediction(witness, number, BEGAN))
            done += 1
            number += callers

    await asyncio.gather(*(caller(first + index) for index in range(callers)))
    return done


async def steady(recorder: PredictionRecorder, witness: Witness, seconds: float, rate: int, first: int) -> list[float]:
    """Return the milliseconds that each record took at a steady rate of arrivals."""
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        await recorder.recorded(prediction(witness, number, BEGAN))
        took.append((time.perf_counter() - due) * 1000)

    began = time.perf_counter()
    tasks = []
    for number in range(int(seconds * rate)):
        due = began + number / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(one(first + number, max(due, time.perf_counter() - 0.001))))
    await asyncio.gather(*tasks)
    return took


def bare_syncs(folder: Path, count: int) -> list[float]:
    """Return the milliseconds of writing 4 KiB and syncing them, one after another."""
    took = []
    with (folder / "bare").open("wb") as stream:
        for _ in range(count):
            began = time.perf_counter()
            stream.write(b"x" * 4096)
            stream.flush()
            os.fdatasync(stream.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return took


def shares(took: list[float]) -> str:
    cut = statistics.quantiles(took, n=100)
    return f"p50 {cut[49]:.2f}  p90 {cut[89]:.2f}  p99 {cut[98]:.2f}  worst {max(took):.2f}"


def window(store: PredictionStore, witness: Witness, rows: int) -> tuple[float, float]:
    """Fill a window and return the best of five times of reading it, in ms, and of counting it."""
    for first in range(0, rows, 5_000):
        numbers = range(first, min(first + 5_000, rows))
        store.append([prediction(witness, 10**10 + n, BEGAN + timedelta(days=9, seconds=n)) for n in numbers])
    read, counted = [], []
    for _ in range(5):
        began = time.perf_counter()
        facts = store.facts("childcare", BEGAN + timedelta(days=9), BEGAN + timedelta(days=99))
        read.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        count = store.count("childcare", BEGAN + timedelta(days=9), BEGAN + timedelta(days=99))
        counted.append((time.perf_counter() - began) * 1000)
        if not facts.predictions == count == rows:
            raise SystemExit(f"{facts.predictions} and {count} of {rows} rows were read")
    return min(read), min(counted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--window", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--max-wait-ms", type=float, default=0.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="witness", dir=options.folder))
    witness = Witness(FeedbackConfig(subject_field="child_id"), Pseudonyms(bytes(32)))
    store = PredictionStore(folder / "predictions.db")
    try:
        with PredictionRecorder(store, max_wait_ms=options.max_wait_ms) as recorder:
            done = asyncio.run(flood(recorder, witness, options.seconds, 256, 0))
            print(f"durable records a second, 256 callers: {done / options.seconds:,.0f}")
            took = asyncio.run(steady(recorder, witness, options.seconds, options.rate, 10**9))
            print(f"added ms at {options.rate}/s: {shares(took)}")
        print(f"bare syncs, ms: {shares(bare_syncs(folder, 500))}")
        read, counted = window(store, witness, options.window)
        print(f"window of {options.window:,} predictions: facts {read:.1f} ms, count {counted:.1f} ms")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
