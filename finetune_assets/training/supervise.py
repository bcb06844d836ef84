"""Starts the adapter trainer, and starts it anew with smaller forward passes when memory runs out.

`python -m finetune_assets.training.supervise JOB.json`. A process that the kernel kills for its memory cannot help
itself, so this one stands beside it. It imports nothing heavy and holds no state: a killed run is continued from its
checkpoints by the next one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from finetune_assets.training.batches import OUT_OF_MEMORY_EXIT, split_batch
from finetune_assets.training.parent import end_with_parent

TRAINER_MODULE = "finetune_assets.training.adapter"
# How often the batch was halved, beside the checkpoints: a later run goes on where memory suffices, and so from the
# checkpoints that were made there.
HALVINGS_FILE = "halvings"
_KILL_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def kernel_kills(counters: Sequence[Path] = _KILL_COUNTERS) -> int:
    """Return how many processes the kernel has killed for memory so far; 0 where it does not say."""
    total = 0
    for path in counters:
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return total


def ran_out_of_memory(code: int, kills_before: int, kills_after: int) -> bool:
    """Decide whether a trainer's end was for want of memory.

    Args:
        code: its exit code as `subprocess` gives it (negative: the signal that ended it).
        kills_before: `kernel_kills()` when it started.
        kills_after: `kernel_kills()` when it had ended.

    Returns:
        True when it said so itself, or was killed while the kernel killed something for memory. A SIGKILL from
        elsewhere is no reason for a smaller batch.
    """
    killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL)
    return code == OUT_OF_MEMORY_EXIT or (killed and kills_after > kills_before)


def supervise(
    command: Callable[[int], Sequence[str]],
    batch_size: int,
    *,
    say: Callable[[str], None],
    memory: Path | None = None,
) -> int:
    """Run the trainer until it ends for any other reason than memory.

    Args:
        command: gives the command line for a number of halvings.
        batch_size: the configured rows in one forward pass.
        say: takes a line for people.
        memory: file that keeps the number of halvings for the next run; None keeps none.

    Returns:
        The last trainer's exit code; 128 + signal where a signal ended it.
    """
    halvings = _remembered(memory)
    while True:
        before = kernel_kills()
        code = _run(command(halvings))
        if not ran_out_of_memory(code, before, kernel_kills()):
            return code if code >= 0 else 128 - code
        rows, _ = split_batch(batch_size, 1, halvings)
        if rows == 1:
            say(
                "memory ran out with one row in a forward pass. Mend: lower tuning.max_length or tuning.lora.rank, "
                "set tuning.quantisation to nf4, or choose a smaller base model"
            )
            return code if code >= 0 else 128 - code
        halvings += 1
        if memory is not None:
            memory.parent.mkdir(parents=True, exist_ok=True)
            memory.write_text(str(halvings), encoding="ascii")
        say(f"memory ran out; starting again with {split_batch(batch_size, 1, halvings)[0]} rows in a forward pass")


def _remembered(memory: Path | None) -> int:
    if memory is None or not memory.is_file():
        return 0
    text = memory.read_text(encoding="ascii").strip()
    return int(text) if text.isdigit() else 0


def _run(command: Sequence[str]) -> int:
    """Run a process, passing on the signals that ask this one to stop; return its exit code."""
    process = subprocess.Popen(list(command))

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise the job file named on the command line; return the trainer's exit code."""
    parser = argparse.ArgumentParser(description="Train a LoRA adapter; halve the batch when memory runs out.")
    parser.add_argument("job", type=Path, help="JSON file as the trainer reads it")
    path = parser.parse_args(arguments).job
    try:
        job = json.loads(path.read_bytes())
        parent, batch_size = job.get("expected_parent"), int(job["request"]["config"].get("batch_size", 8))
        memory = Path(job["work"]) / HALVINGS_FILE if "work" in job else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _say(f"job file cannot be read at {path}; found {error!r}")
        return 1
    end_with_parent(parent)

    def command(halvings: int) -> list[str]:
        start = [sys.executable, "-m", TRAINER_MODULE, str(path)]
        return [*start, "--parent", str(os.getpid()), "--halvings", str(halvings)]

    return supervise(command, batch_size, say=_say, memory=memory)


if __name__ == "__main__":
    raise SystemExit(main())
