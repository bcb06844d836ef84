"""Rewrites a sample: `python -m finetune_assets.datasets.synthetic --task speech --out finetune_assets/defs/speech`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from finetune_assets.datasets.synthetic import childcare, environment, router, speech


class Sample(NamedTuple):
    """A task's sample: the files by their name within the task's folder, from a seed, and the shipped seed."""

    files: Callable[[int], Mapping[str, bytes]]
    seed: int


def _childcare(seed: int) -> dict[str, bytes]:
    return {"taxonomy.json": childcare.taxonomy_bytes(), "data/observations.jsonl": childcare.sample_bytes(seed)}


def _router(seed: int) -> dict[str, bytes]:
    return {"data/traces.jsonl": router.sample_bytes(seed)}


def _speech(seed: int) -> dict[str, bytes]:
    return {"data/cases.jsonl": speech.sample_bytes(seed)}


SAMPLES: Mapping[str, Sample] = {
    "childcare": Sample(_childcare, childcare.SAMPLE_SEED),
    "environment": Sample(environment.sample_files, environment.SAMPLE_SEED),
    "router": Sample(_router, router.SAMPLE_SEED),
    "speech": Sample(_speech, speech.SAMPLE_SEED),
}
"""The sample of each task that ships one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a sample's files into the folder given by `--out`; return the exit status.

    Args:
        arguments: the command line without the program's name; None reads the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m finetune_assets.datasets.synthetic", description=__doc__)
    parser.add_argument(
        "--task", choices=sorted(SAMPLES), default="childcare", help="whose sample (default: childcare)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the task's folder, made when absent")
    parser.add_argument("--seed", type=int, default=None, help="the sample's seed (default: the shipped one)")
    options = parser.parse_args(arguments)
    sample = SAMPLES[options.task]
    for name, content in sample.files(sample.seed if options.seed is None else options.seed).items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sys.stdout.write(f"{path}: {len(content)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
