"""Rows per CPU second and peak memory of the readers, each format in a process of its own.

    python benchmarks/reading.py [--rows 1000000]

`read` is the reader alone, `ingest` adds canonical names, `records.jsonl` and quarantine. Target: a peak of at most
400 MB at 1,000,000 rows. The whole data path needs 80,000 records/s a core, so reading must cost a small part of that.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

STAGES = {
    "read jsonl": "source.jsonl",
    "read jsonl.gz": "source.jsonl.gz",
    "read json": "source.json",
    "read csv": "source.csv",
    "read csv.zst": "source.csv.zst",
    "read parquet": "source.parquet",
    "ingest jsonl": "source.jsonl",
    "ingest csv": "source.csv",
}
TARGET_MEGABYTES = 400
WORDS = ("ana", "ben", "mia", "tom", "red", "blue", "big", "small", "blocks", "water", "sand", "song", "ran", "built")
NAMES = ("id", "notes", "label", "childId", "observationDate")


def rows_of(rows: int) -> Iterator[dict[str, str]]:
    """Yield seeded observations; one in ten has a text that CSV must put between quotes."""
    chosen = random.Random(0)
    for number in range(rows):
        text = " ".join(chosen.choices(WORDS, k=14)) + (', "again"' if number % 10 == 0 else ".")
        values = (f"o{number}", text, f"label_{chosen.randrange(40)}", str(chosen.randrange(rows)), "2024-05-01")
        yield dict(zip(NAMES, values, strict=True))


def write_sources(home: Path, rows: int) -> None:
    """Write the same rows in every format."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    with (home / "source.jsonl").open("w") as lines, (home / "source.json").open("w") as document:
        with (home / "source.csv").open("w", newline="") as table:
            writer = csv.DictWriter(table, NAMES)
            writer.writeheader()
            parquet = None
            batch = []
            for number, row in enumerate(rows_of(rows)):
                text = json.dumps(row)
                lines.write(text + "\n")
                document.write((",\n" if number else "[") + text)
                writer.writerow(row)
                batch.append(row)
                if len(batch) == 100_000 or number == rows - 1:
                    made = pa.Table.from_pylist(batch)
                    parquet = parquet or pq.ParquetWriter(home / "source.parquet", made.schema)
                    parquet.write_table(made)
                    batch.clear()
            parquet.close()
        document.write("]")
    (home / "source.jsonl.gz").write_bytes(gzip.compress((home / "source.jsonl").read_bytes(), 6))
    (home / "source.csv.zst").write_bytes(zstandard.compress((home / "source.csv").read_bytes()))


def run_stage(stage: str, home: Path) -> dict[str, float]:
    """Run one stage and return its rows, CPU seconds and peak memory."""
    from finetune_assets.datasets.config import SourceConfig
    from finetune_assets.datasets.reading.ingest import ingest
    from finetune_assets.datasets.reading.readers import read_rows

    name = STAGES[stage]
    config = SourceConfig(path=name)
    out = home / stage.replace(" ", "_")
    out.mkdir()
    started = time.process_time()
    if stage.startswith("read"):
        rows = sum(1 for row in read_rows(home / name, config) if row.fault is None)
    else:
        rows = ingest(config, home, {"notes": ["text"], "observation_id": ["id"]}, out).accepted
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    scale = 1024 if sys.platform == "linux" else 1 << 20
    return {"rows": rows, "cpu": time.process_time() - started, "peak_mb": peak / scale}


def measure(rows: int) -> bool:
    """Run all stages, print the table and return whether memory stays within its target."""
    met = True
    with tempfile.TemporaryDirectory() as folder:
        # Not in this process: Linux gives a child its parent's peak.
        subprocess.run([sys.executable, __file__, "--write", "--rows", str(rows), "--home", folder], check=True)
        print(f"{rows:,} rows\n{'stage':<16}{'rows/CPU-s':>12}{'CPU s':>8}{'peak MB':>9}")
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--home", folder]
            done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            met = met and done["rows"] == rows and done["peak_mb"] <= TARGET_MEGABYTES
            print(
                f"{stage:<16}{done['rows'] / done['cpu']:>12,.0f}{done['cpu']:>8.1f}{done['peak_mb']:>9.0f}", flush=True
            )
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--stage", choices=STAGES)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    if options.write:
        write_sources(options.home, options.rows)
        return 0
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.home)))
        return 0
    return 0 if measure(options.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
