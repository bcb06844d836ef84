"""One question to a live release, without a gateway: what `finetune ask` does."""

from __future__ import annotations

import time
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.release import PointerReleases
from finetune_assets.storage.home import Home


def ask_live(home: Home, task: str, text: str) -> dict[str, Any]:
    """Ask a task's live release one question.

    Args:
        home: the platform's home.
        task: the task.
        text: the text to judge.

    Returns:
        The answer in the shape of the gateway's `/v1/tasks/{task}/predict`.

    Raises:
        FinetuneError: when nothing is live, or the release cannot answer.
    """
    releases = PointerReleases(home)
    reference = releases.current().get(task)
    if reference is None:
        raise FinetuneError("nothing is live", where=task, mend=f"make a release first: `finetune run {task}`")
    release = releases.load(reference)
    question = release.task_type.input_messages(release.fields_of_text(text))
    began = time.perf_counter()
    completion = release.engine.complete([question])[0]
    took = (time.perf_counter() - began) * 1000
    if not completion.ok:
        raise FinetuneError("the release gave no answer", where=task, found=completion.problem, mend="shorten the text")
    answer = release.task_type.parse(completion.text)
    return {
        "task": task,
        "release": {"version": reference.version, "candidate": reference.candidate},
        "answer": answer.value if answer.valid else {"text": completion.text},
        "label_path": list(answer.label_path),
        "valid": answer.valid,
        "latency_ms": round(took, 1),
    }
