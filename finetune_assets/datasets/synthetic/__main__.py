"""Rewrites the sample: `python -m finetune_assets.datasets.synthetic --out finetune_assets/defs/childcare`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from finetune_assets.datasets.synthetic.childcare import SAMPLE_SEED, sample_bytes, taxonomy_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Write `taxonomy.json` and `data/observations.jsonl` into the folder given by `--out`; return the exit status.

    Args:
        arguments: the command line without the program's name; None reads the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m finetune_assets.datasets.synthetic", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the task's folder, made when absent")
    parser.add_argument("--seed", type=int, default=SAMPLE_SEED, help="the sample's seed (default: the shipped one)")
    options = parser.parse_args(arguments)
    files = {"taxonomy.json": taxonomy_bytes(), "data/observations.jsonl": sample_bytes(options.seed)}
    for name, content in files.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sys.stdout.write(f"{path}: {len(content)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
