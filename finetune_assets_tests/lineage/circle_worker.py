"""A process that makes a dataset version of corrected cases, and that ends itself by SIGKILL at a named point.

`python -m …circle_worker` is a warm parent: it reads orders as JSON lines, forks a worker for each and answers with its
exit code. The points are those of `finetune_assets_tests.feedback.worker.Fate`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import finetune_assets.definitions
from finetune_assets.feedback import consuming
from finetune_assets.lineage import case_consumption, corrected_cases, validated_splits
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets_tests.feedback.worker import Fate
from finetune_assets_tests.lineage.circle import open_circle, run

assert finetune_assets.definitions  # loaded once, before the forks


def make_version(folder: Path, home: Path, fate: Fate) -> None:
    """Run the data part of the task under a fate."""
    consuming.STEP_CASES = 2  # type: ignore[misc]
    parts: Any = (
        (corrected_cases, "remember"),
        (validated_splits, "advance_head"),
        (case_consumption, "consume"),
        (ArtifactStore, "_publish"),
    )
    for owner, name in parts:
        setattr(owner, name, fate.around(getattr(owner, name), name.removeprefix("_")))
    task = open_circle(folder, home)
    dialect: Any = task.database.engine.dialect
    dialect.do_commit = fate.around(dialect.do_commit, "commit")
    run(task)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                make_version(Path(order["folder"]), Path(order["home"]), Fate(order["point"]))
                code = 0
            except BaseException:  # noqa: BLE001 - a worker tells whatever ended it
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
