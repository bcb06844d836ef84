"""The demo after the install: wall time and peak memory, then a second run with nothing changed.

Targets: first run at most 4 minutes on 2 cores, peak memory of all its processes together at most 2 GB, second run at
most 6 s with everything reused. Memory is the proportional set size, which counts shared pages once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.5
POLL_SECONDS = 0.02
FIRST_SECONDS, SECOND_SECONDS, PEAK_BYTES = 240.0, 6.0, 2 << 30


def memory_of(process: psutil.Process) -> int:
    """Return the memory in bytes of a process and its descendants."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            full = one.memory_full_info()
            total += getattr(full, "pss", full.rss)
        except psutil.Error:
            continue  # it ended between listing and looking
    return total


def run(home: str, *, watch_memory: bool) -> tuple[float, int, str]:
    """Run the childcare task; return wall seconds, peak bytes and what it printed.

    Watching the memory costs a fifth of a short run, since the kernel adds up every page of every process.
    """
    command = [sys.executable, "-m", "finetune_assets.cli", "run", "childcare"]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = psutil.Popen(
            command, cwd=PROJECT, env={**os.environ, "FINETUNE_HOME": home}, stdout=said, stderr=said, text=True
        )
        peak = 0
        while process.poll() is None:
            if watch_memory:
                peak = max(peak, memory_of(process))
                time.sleep(SAMPLE_SECONDS)
            else:
                time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - began
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(f"the run failed with {process.returncode}:\n{text[-3000:]}")
    return seconds, peak, text


def main() -> int:
    """Print the table; return 1 when a target is missed."""
    with tempfile.TemporaryDirectory() as home:
        first, peak, _ = run(home, watch_memory=True)
        runs = sorted((run(home, watch_memory=False) for _ in range(3)), key=lambda result: result[0])
        second, _, said = runs[1]
        reused = said.count("reused")
        done = subprocess.run(
            [sys.executable, "-m", "finetune_assets.cli", "status", "childcare", "--json"],
            cwd=PROJECT,
            env={**os.environ, "FINETUNE_HOME": home},
            capture_output=True,
            text=True,
            check=True,
        )
    state = json.loads(done.stdout)[0]
    print(f"first run, records to live endpoint   {first:8.1f} s    (target {FIRST_SECONDS:.0f} s)")
    print(f"peak memory of all its processes      {peak / 2**20:8.0f} MB   (target {PEAK_BYTES / 2**20:.0f} MB)")
    print(
        f"second run, {reused} assets reused          {second:8.1f} s    (median of 3, target {SECOND_SECONDS:.0f} s)"
    )
    print(f"live: version {state['live']['version']}, exact {state['live']['scores']['exact']:.3f}")
    return 0 if first <= FIRST_SECONDS and second <= SECOND_SECONDS and peak <= PEAK_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
