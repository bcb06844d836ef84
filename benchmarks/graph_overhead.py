"""What the graph itself costs: all seven assets and all checks with trivial work, through the CLI (target: 4 s).

The command line, Dagster, the database, the artifact store and every check are real. Only the work is made trivial:
a training process writes ready-made files, the model looks its answers up, and the gateway is this process's own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
TARGET_SECONDS = 4.0
PROJECT = Path(__file__).resolve().parents[1]
DEFS = """
type: finetune_assets.component.FineTuningTask
attributes:
  task_type: classification
  dataset: {source: {path: rows.jsonl}}
  classification: {taxonomy: taxonomy.json}
  evaluation: {min_rows: 30, beat: []}
  release: {approval: automatic}
"""


def write_task(folder: Path) -> None:
    """Write a task of 400 rows and four labels."""
    folder.mkdir(parents=True)
    labels = ["north", "south", "east", "west"]
    (folder / "defs.yaml").write_text(DEFS)
    (folder / "taxonomy.json").write_text(json.dumps({"domains": [{"id": 1, "name": "winds", "labels": labels}]}))
    rows = [
        {
            "id": str(number),
            "text": f"{labels[number % 4]} wind {number}",
            "domain": "winds",
            "label": labels[number % 4],
        }
        for number in range(400)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def trivial_cli() -> None:
    """Replace the work by something trivial, then be the command line."""
    import gc

    # As the command line does first of all; what is replaced below imports Dagster before that.
    gc.set_threshold(100_000, 20, 20)
    from contextlib import contextmanager
    from types import SimpleNamespace

    from finetune_assets.evaluation.engine import Completion
    from finetune_assets.lineage import deployed_endpoint, judging
    from finetune_assets.resources.gateways import Gateways
    from finetune_assets.resources.trainer import Trainer
    from finetune_assets.serving.probe import ProbeEvidence, ProbeResult

    class LookUp:
        def __init__(self, base, adapter, choices, chat_template, **_):
            self.identity = {"engine": "look-up", "tuned": adapter is not None}
            self._choices, self._tuned = choices, adapter is not None

        def complete(self, batch):
            def answer(text):
                right = next(choice for choice in self._choices if text.split()[0] in choice)
                return right if self._tuned else self._choices[0]

            return [Completion(answer(messages[-1]["content"])) for messages in batch]

    def write_ready_made(self, context, plan, *, what, log):
        job = json.loads(Path(plan.command[3]).read_text())
        out = Path(job["out"])
        _write_base(out) if "corpus" in job else _write_adapter(out)
        (out / "training.json").write_text(json.dumps(_RECORD))

    @contextmanager
    def here(self, home, release):
        yield SimpleNamespace(url="")

    def all_right(url, manifest, **_):
        results = [
            ProbeResult(position, True, probe.label_path, probe.label_path, manifest.candidate, "", 0.0)
            for position, probe in enumerate(manifest.probes)
        ]
        return ProbeEvidence(manifest.task, manifest.candidate, tuple(results))

    import finetune_assets.serving.engines.local as local

    local.LocalEngine = LookUp
    Trainer.run, Gateways.serving = write_ready_made, here
    deployed_endpoint.probe_release = all_right
    judging.tfidf_logreg_answers = judging.majority_answers
    from finetune_assets.cli import main

    main()


_RECORD = {
    "loss": [[1, 2.0], [2, 1.0]],
    "weights": 1,
    "corpus_tokens": 1,
    "corpus_documents": 1,
    "duration_s": 0.0,
    "cpu_s": 0.0,
}


def _write_base(out: Path) -> None:
    from tokenizers import Tokenizer, models

    (out / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    (out / "config.json").write_text("{}")
    Tokenizer(models.BPE()).save(str(out / "tokenizer.json"))


def _write_adapter(out: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    (out / "adapter_config.json").write_text(json.dumps({"r": 1}))
    save_file({"a": np.ones((1, 2), dtype=np.float32)}, str(out / "adapter_model.safetensors"))


def main() -> int:
    """Print the table; return 1 when the target is missed."""
    seconds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            write_task(Path(name) / "tasks" / "winds")
            environ = {**os.environ, "FINETUNE_HOME": f"{name}/home", "FINETUNE_TASKS": f"{name}/tasks"}
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, __file__, "run", "winds"], env=environ, cwd=PROJECT, capture_output=True, text=True
            )
            seconds.append(time.monotonic() - began)
            if done.returncode:
                print(done.stdout[-3000:], done.stderr[-3000:])
                return 1
    median = statistics.median(seconds)
    print(f"whole graph, trivial work, through the CLI: {median:.1f} s (median of {ROUNDS}, target {TARGET_SECONDS} s)")
    return 0 if median <= TARGET_SECONDS else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trivial_cli()
    else:
        sys.exit(main())
