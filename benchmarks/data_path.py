"""CPU seconds, growth and peak memory of the data path, from a source file to checked splits.

    python benchmarks/data_path.py [--rows 1000000] [--engines]

What is measured, each stage in a process of its own, in CPU seconds of that process (`time.process_time`), imports
left out; the rows are the seeded ones of `ingest_throughput.py` (one text, one of 40 labels, a child as leak group;
2 % duplicates, 2 % rejections):

- `ingest`: JSON Lines read strictly, fields under canonical names, `records.jsonl` written.
- `path`: every record parsed, held against the taxonomy, hashed, rendered to `chat` and `gemini`, its lines written to
  the spool; then exact duplicates, label conflicts and shared ids settled over all rows. No split decision.
- `schema`: the written examples read again and checked by pandera in frames of 20,000 rows, ids included.
- `build`: all of `build_splits` without near-duplicates: `path`, split, files, certificate.
- `near`: the same with near-duplicates, whose figure is their own.

`path + schema` is the figure "parse + schema + taxonomy + hash + exact dedupe + render"; with `ingest` it is every step
of the way but the split. Growth is the CPU time at all rows over that at a tenth of them. With `--engines` the wall
time of `path` is compared for one and two workers of each engine, and the bytes of the build for all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest_throughput import LABELS, write_source

STAGES = ("ingest", "path", "build", "near", "schema")
TARGET_ROWS, TARGET_MB, TARGET_GROWTH = 80_000, 400, 11.0
ENGINES = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


def work_of(stage: str, home: Path, engine: str, workers: int) -> Callable[[], int]:
    """Return the work of one stage, its modules loaded; it returns the rows that went in."""
    from finetune_assets.datasets.build import build_splits
    from finetune_assets.datasets.config import DatasetConfig
    from finetune_assets.datasets.engines import prepared_batches
    from finetune_assets.datasets.reading.ingest import ingest
    from finetune_assets.datasets.row_table import RowTable
    from finetune_assets.datasets.schema import validate_examples
    from finetune_assets.task_types import build_task_type

    task = build_task_type("classification", {"taxonomy": "taxonomy.json"}, home)
    near = {"enabled": stage == "near"}
    split = {"train": 0.8, "validation": 0.1, "test": 0.1, "group_fields": ["childId"], "near_duplicates": near}
    config = DatasetConfig.model_validate(
        {"source": {"path": "source.jsonl"}, "split": split, "engine": engine, "workers": workers}
    )
    records = home / "ingest" / "records.jsonl"
    out = home / (stage if (engine, workers) == ("local", 1) else f"{stage}-{engine}-{workers}")
    out.mkdir(exist_ok=True)

    def path() -> int:
        read = 0
        with RowTable(out, config.render.formats) as rows:
            for batch in prepared_batches(records, task, config):
                rows.take(batch)
                read += batch.read
            rows.settle({}, keep_first=False)
        return read

    import numpy  # noqa: F401  (what modules load on first use says nothing about rows)
    import pyarrow.parquet  # noqa: F401

    if stage == "schema":
        import pandera.pandas  # noqa: F401
    return {
        "ingest": lambda: ingest(config.source, home, task.aliases, out).read,
        "path": path,
        "build": lambda: build_splits(records, out, task, config).read,
        "near": lambda: build_splits(records, out, task, config).read,
        "schema": lambda: validate_examples(home / "build", task).rows,
    }[stage]


def run_stage(stage: str, home: Path, engine: str, workers: int) -> dict[str, Any]:
    """Run one stage in this process."""
    work = work_of(stage, home, engine, workers)
    started, cpu = time.perf_counter(), time.process_time()
    rows = work()
    return {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        # Linux counts in KiB, macOS in bytes.
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20),
    }


def in_a_process(stage: str, home: Path, engine: str = "local", workers: int = 1) -> dict[str, Any]:
    command = [sys.executable, __file__, "--stage", stage, "--home", str(home)]
    command += ["--engine", engine, "--workers", str(workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(done.splitlines()[-1])
    return found


def measure(home: Path, rows: int) -> dict[str, dict[str, Any]]:
    """Run all stages on that many rows and print a line for each."""
    home.mkdir()
    write_source(home / "source.jsonl", rows, array=False)
    (home / "taxonomy.json").write_text(json.dumps({"labels": LABELS}))
    print(f"\n{rows:,} rows, {(home / 'source.jsonl').stat().st_size / (1 << 20):,.0f} MB of JSON Lines")
    print(f"{'stage':<10}{'rows/CPU-s':>12}{'us/row':>9}{'CPU s':>9}{'peak MB':>9}")
    found = {}
    for stage in STAGES:
        done = found[stage] = in_a_process(stage, home)
        rate = done["rows"] / done["cpu"]
        print(f"{stage:<10}{rate:>12,.0f}{1e6 / rate:>9.1f}{done['cpu']:>9.1f}{done['peak_mb']:>9.0f}", flush=True)
    for name, stages in (
        ("path + schema", ("path", "schema")),
        ("ingest + path + schema", ("ingest", "path", "schema")),
    ):
        print(f"{name}: {rows / sum(found[stage]['cpu'] for stage in stages):,.0f} rows/CPU-s")
    return found


def digest_of(folder: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return sha.hexdigest()


def compare_engines(home: Path) -> bool:
    """Print the wall time of `path` by engine and workers; return whether all builds have the same bytes."""
    print(f"\n{'engine':<8}{'workers':>8}{'rows/s':>10}{'speed-up':>10}")
    first = 0.0
    digests = set()
    for engine, workers in ENGINES:
        done = in_a_process("path", home, engine, workers)
        here = (engine, workers) == ("local", 1)
        if not here:
            in_a_process("build", home, engine, workers)
        digests.add(digest_of(home / ("build" if here else f"build-{engine}-{workers}")))
        rate = done["rows"] / done["seconds"]
        first = first or rate
        print(f"{engine:<8}{workers:>8}{rate:>10,.0f}{rate / first:>10.2f}", flush=True)
    print(f"every engine and number of workers gives the same bytes: {'yes' if len(digests) == 1 else 'NO'}")
    return len(digests) == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.home, options.engine, options.workers)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tenth = measure(Path(folder, "tenth"), options.rows // 10)
        whole = measure(Path(folder, "whole"), options.rows)
        growth = {stage: whole[stage]["cpu"] / tenth[stage]["cpu"] for stage in STAGES}
        print("growth for ten times the rows: " + ", ".join(f"{name} {times:.1f} x" for name, times in growth.items()))
        same = compare_engines(Path(folder, "whole")) if options.engines else True
    rate = options.rows / (whole["path"]["cpu"] + whole["schema"]["cpu"])
    judged = [stage for stage in STAGES if stage != "near"]
    peak = max(whole[stage]["peak_mb"] for stage in judged)
    steepest = max(growth[stage] for stage in judged)
    met = rate >= TARGET_ROWS and peak <= TARGET_MB and steepest <= TARGET_GROWTH
    print(
        f"targets: path + schema {TARGET_ROWS:,} rows/CPU-s, {TARGET_MB} MB at a million rows, "
        f"growth {TARGET_GROWTH:g} x: {'met' if met else 'missed'} "
        f"({rate:,.0f} rows/CPU-s, {peak:,.0f} MB, {steepest:.1f} x)"
    )
    return 0 if met and same else 1


if __name__ == "__main__":
    sys.exit(main())
