"""What the stand-in's models say: a tuned model the nearest row it learned, an untuned one a fixed guess.

Deterministic: the same model gives the same answer to the same prompt, in every process.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Any

from finetune_assets_tests.fakes.vertex_app import App
from finetune_assets_tests.fakes.vertex_dataset import READERS, BadDatasetError
from finetune_assets_tests.fakes.vertex_gcs import GcsError
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import Json, dumps

AGENT = "service-123456789012@gcp-sa-aiplatform.iam.gserviceaccount.com"


def tokens_of(text: str) -> frozenset[str]:
    """Return a text's words in lower case."""
    return frozenset(re.findall(r"\w+", text.lower()))


class Memory:
    """What one model learned, ready to be asked."""

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self.rows = rows
        self.exact: dict[str, str] = {}
        self.words = [tokens_of(prompt) for prompt, _ in rows]
        self.index: dict[str, list[int]] = {}
        for number, (prompt, answer) in enumerate(rows):
            self.exact.setdefault(prompt.strip(), answer)
            for word in self.words[number]:
                self.index.setdefault(word, []).append(number)
        self.usual = Counter(answer for _, answer in rows).most_common(1)[0][0] if rows else ""

    def answer(self, prompt: str) -> str:
        """Return the answer of the equal row, else of the row with the greatest share of common words."""
        if prompt.strip() in self.exact:
            return self.exact[prompt.strip()]
        wanted = tokens_of(prompt)
        overlap: Counter[int] = Counter()
        for word in wanted:
            overlap.update(self.index.get(word, ()))
        if not overlap:
            return self.usual
        best = min(overlap, key=lambda number: (-overlap[number] / len(wanted | self.words[number]), number))
        return self.rows[best][1]


def guess(prompt: str) -> str:
    """Return an untuned model's answer: one word of the prompt, always the same."""
    words = re.findall(r"\w+", prompt) or ["unknown"]
    return words[int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % len(words)]


def reply(app: App, owners: list[str], prompt: str) -> str:
    """Return the answer of a model that learned the lessons of these owners, the first one first."""
    if not owners:
        return guess(prompt)
    key = ("memory", *owners)
    memory = app.cache.get(key)
    if memory is None:
        memory = app.cache[key] = Memory([row for owner in owners for row in app.store.lessons(owner)])
    return memory.answer(prompt)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_text(item.get("text", "") if isinstance(item, dict) else item) for item in value)
    return dumps(value)


def prompt_of(instance: Any) -> str:
    """Return the user turn of an instance or request: contents, messages, prompt, text, input, question, or itself."""
    if not isinstance(instance, dict):
        return _text(instance)
    for key in ("contents", "messages"):
        turns = [turn for turn in instance.get(key, []) if isinstance(turn, dict)]
        users = [turn for turn in turns if turn.get("role", "user") == "user"]
        if users or turns:
            last = (users or turns)[-1]
            return _text(last.get("parts", last.get("content", "")))
    for key in ("prompt", "text", "input", "question", "content"):
        if key in instance:
            return _text(instance[key])
    return dumps(instance)


# -- what a model of one's own has learned


def lessons_of(app: App, it: Resource, number: str) -> list[str]:
    """Return whose lessons a version of a registered model answers from; [] for an untaught one."""
    inner: Json = it.private["inner"].setdefault(number, {})
    if inner.get("lessons"):
        found: list[str] = inner["lessons"]
        return found
    body = it.private["versions"][number]
    found = lessons_of_folder(app, body.get("artifactUri", "")) or _from_texts(
        app, dumps(body.get("containerSpec", {}))
    )
    if found:
        inner["lessons"] = found
        app.store.save(it)
    return found


def lessons_of_folder(app: App, uri: str) -> list[str]:
    """Return whose lessons the weights below a gs:// folder hold: those of the tuning or custom job that wrote them."""
    if not uri:
        return []
    for job in reversed(app.store.of_kind("TuningJob")):
        output = job.body.get("outputUri", "").rstrip("/")
        if output and f"{uri}/".startswith(f"{output}/"):
            return [job.name, *job.private.get("lessons", [])]
    for job in reversed(app.store.of_kind("CustomJob")):
        spec = job.body["jobSpec"]
        output = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/")
        if output and f"{uri}/".startswith(f"{output}/"):
            return _from_texts(app, dumps(spec))
    return _from_manifest(app, uri)


def _from_manifest(app: App, uri: str) -> list[str]:
    """Look for a training file named in the JSON files beside the weights."""
    if not app.gcs.url:
        return []
    try:
        names = [name for name in app.gcs.names(f"{uri.rstrip('/')}/", AGENT) if name.endswith(".json")]
        texts = [app.gcs.read(name, AGENT).decode(errors="replace") for name in names[:20]]
    except GcsError:
        return []
    return _from_texts(app, "\n".join(texts))


def _from_texts(app: App, text: str, deeper: bool = True) -> list[str]:
    uris = sorted(set(re.findall(r"gs://[^\s\"'\\,}]+", text)), key=lambda uri: ("train" not in uri, uri))
    for uri in uris:
        if uri.endswith(".jsonl"):
            owner = _learn_file(app, uri)
            if owner:
                return [owner]
    for uri in uris if deeper else ():
        if uri.endswith(".json"):
            try:
                inner = app.gcs.read(uri, AGENT).decode(errors="replace")
            except GcsError:
                continue
            found = _from_texts(app, inner, deeper=False)
            if found:
                return found
    return []


def _learn_file(app: App, uri: str) -> str:
    try:
        lines = app.gcs.read(uri, AGENT).decode().splitlines()
        rows = [_any_row(json.loads(line)) for line in lines if line.strip()]
    except (GcsError, ValueError):
        return ""
    taught = [row for row in rows if row is not None]
    if not taught:
        return ""
    app.store.learn(uri, taught)
    app.cache.pop(("memory", uri), None)
    return uri


def _any_row(line: Any) -> tuple[str, str] | None:
    for form in ("open", "gemini", "preference"):
        try:
            row = READERS[form](line, "row")
        except (BadDatasetError, AttributeError, TypeError):
            continue
        return row.prompt, row.answer
    return None
