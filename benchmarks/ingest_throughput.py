"""Rows per second and peak memory of ingest and build, each stage in a process of its own.

    python benchmarks/ingest_throughput.py [--rows 1000000]

Targets on two cores: ingest at least 15,000 rows/s, build at least 8,000 rows/s. The reader's peak does not grow with
the file; the build's grows by some hundred bytes a row (hashes and positions, never texts).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STAGES = ("ingest_jsonl", "ingest_json", "build", "rebuild")
TARGETS = {"ingest_jsonl": 15_000, "ingest_json": 15_000, "build": 8_000, "rebuild": 8_000}
LABELS = [f"label_{number}" for number in range(40)]
WORDS = ("ana", "ben", "mia", "tom", "red", "blue", "big", "small", "blocks", "water", "sand", "song", "ran", "built")
_MEGABYTE = 1 << 20


def write_source(path: Path, rows: int, *, array: bool) -> None:
    """Write seeded observations: about 2 % duplicates and 2 % rows that some stage rejects."""
    chosen = random.Random(0)
    with path.open("w") as out:
        out.write("[" if array else "")
        for number in range(rows):
            text = " ".join(chosen.choices(WORDS, k=14)) + f" {number if chosen.random() > 0.02 else number // 100}."
            row = {
                "id": f"o{number}",
                "notes": text,
                "label": chosen.choice(LABELS) if chosen.random() > 0.02 else "unheard of",
                "childId": chosen.randrange(max(1, rows // 5)),
                "observationDate": "2024-05-01",
            }
            out.write((",\n" if array and number else "") + json.dumps(row) + ("" if array else "\n"))
        out.write("]" if array else "")


def run_stage(stage: str, home: Path) -> dict[str, float]:
    """Run one stage and return its seconds, CPU seconds, rows and peak memory."""
    from finetune_assets.datasets.build import build_splits
    from finetune_assets.datasets.config import DatasetConfig
    from finetune_assets.datasets.reading.ingest import ingest
    from finetune_assets.task_types import build_task_type

    form = "json" if stage == "ingest_json" else "jsonl"
    (home / "taxonomy.json").write_text(json.dumps({"labels": LABELS}))
    task = build_task_type("classification", {"taxonomy": "taxonomy.json"}, home)
    config = DatasetConfig.model_validate(
        {"source": {"path": f"source.{form}"}, "split": {"group_fields": ["childId"], "seed": 0}}
    )
    out = home / stage
    out.mkdir()
    records = home / "ingest_jsonl" / "records.jsonl"
    previous = home / "build" / "assignments.jsonl" if stage == "rebuild" else None
    work: Callable[[], int] = (
        (lambda: ingest(config.source, home, task.aliases, out).read)
        if stage.startswith("ingest")
        else (lambda: build_splits(records, out, task, config, previous=previous).read)
    )
    started, cpu = time.perf_counter(), time.process_time()
    rows = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        # Linux counts in KiB, macOS in bytes.
        "peak_mb": peak / (1024 if sys.platform == "linux" else _MEGABYTE),
    }


def measure(rows: int) -> bool:
    """Run all stages, print the table and return whether all targets are met."""
    met = True
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for form in ("jsonl", "json"):
            write_source(home / f"source.{form}", rows, array=form == "json")
        size = (home / "source.jsonl").stat().st_size / _MEGABYTE
        print(f"{rows:,} rows, {size:,.0f} MB of JSON Lines")
        print(f"{'stage':<14}{'rows/s':>10}{'rows/CPU-s':>12}{'target':>9}{'seconds':>9}{'peak MB':>9}")
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--home", folder]
            done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rate, cpu_rate = done["rows"] / done["seconds"], done["rows"] / done["cpu"]
            met = met and rate >= TARGETS[stage]
            print(
                f"{stage:<14}{rate:>10,.0f}{cpu_rate:>12,.0f}{TARGETS[stage]:>9,}"
                f"{done['seconds']:>9.1f}{done['peak_mb']:>9.0f}",
                flush=True,
            )
        same = (home / "build/examples.jsonl").read_bytes() == (home / "rebuild/examples.jsonl").read_bytes()
        print(f"rebuild on its own assignments gives the same bytes: {'yes' if same else 'NO'}")
    return met and same


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.home)))
        return 0
    return 0 if measure(options.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
