"""The java sample: what its generator says, what it shows, and its way through ingest and build."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

import finetune_assets
from finetune_assets.datasets.build import build_splits, read_examples
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.quarantine import UNCOUNTED_REASONS
from finetune_assets.datasets.reading.ingest import IngestSummary, ingest
from finetune_assets.datasets.synthetic.java_code import FOLDER, main, sample_files
from finetune_assets.records.example import RawRecord, Rejection
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types import build_task_type
from finetune_assets_tests.datasets.code.oracle import read_java

TASK = Path(finetune_assets.__file__).parent / "defs" / "java"


def test_the_shipped_sample_is_what_the_generator_writes(tmp_path: Path) -> None:
    shipped = {path.relative_to(TASK).as_posix(): path.read_bytes() for path in sorted((TASK / FOLDER).rglob("*.*"))}
    assert shipped == sample_files()
    assert main(["--out", str(tmp_path)]) == 0
    assert {name: (tmp_path / name).read_bytes() for name in shipped} == shipped
    assert len(shipped) >= 130
    assert sample_files(1) != sample_files()


def test_the_generator_depends_on_no_hash_seed() -> None:
    code = (
        "import hashlib; from finetune_assets.datasets.synthetic.java_code import sample_files;"
        "print(hashlib.sha256(repr(sample_files()).encode()).hexdigest())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_the_sample_shows_modern_java_and_its_dirt() -> None:
    files = {name: content.decode("utf-8", "replace") for name, content in sample_files().items()}
    broken = [name for name, text in files.items() if read_java(text).faults]
    assert broken == ["data/src/sample/odd/Staircase.java"]
    found = [read_java(text) for text in files.values()]
    kinds = Counter(item.kind for file in found for item in file.types)
    assert min(kinds[name] for name in ("class", "interface", "enum", "record", "annotation_type")) >= 8
    assert any(item.permits for file in found for item in file.types)
    assert any(item.type_params for file in found for item in file.types)
    methods = [item for file in found for item in file.methods]
    assert 0.3 < sum(item.doc is not None for item in methods) / len(methods) < 0.9
    undecodable = [name for name, content in sample_files().items() if b"\xfc" in content]
    assert undecodable == ["data/src/sample/odd/Empfang.java"]


def test_every_name_that_a_file_uses_is_imported() -> None:
    for name, content in sample_files().items():
        text = content.decode("utf-8", "replace")
        imported = set(re.findall(r"import [\w.]+\.(\w+);", text))
        body = text.split(";", 1)[1]
        assert all(re.search(rf"\b{word}\b", body.replace(f"{word};", "", 1)) for word in imported), name


def test_the_sample_becomes_a_dataset(tmp_path: Path) -> None:
    attributes = yaml.safe_load((TASK / "defs.yaml").read_text(encoding="utf-8"))["attributes"]
    config = DatasetConfig.model_validate(attributes["dataset"])
    task = build_task_type("source_code", attributes["source_code"], TASK)
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    out.mkdir()
    read = ingest(config.source, TASK, task.aliases, raw)
    assert (read.read, read.accepted, read.reasons) == (138, 137, {"bad_encoding": 1})
    made = build_splits(raw / "records.jsonl", out, task, config)
    assert made.reasons["secret"] == 2
    assert made.reasons["syntax_error"] == 1
    assert made.reasons["no_declaration"] == 1
    whole = sum(made.splits.values()) + made.quarantined + made.duplicates
    assert read.accepted + made.expanded == whole
    assert made.splits["train"] >= config.min_train_rows
    assert made.splits["test"] >= attributes["evaluation"]["min_rows"]
    # Fewer than forty rows say nothing of a model, and hardly anything of a learning curve.
    assert min(made.splits["validation"], made.splits["test"]) >= 40

    examples = list(read_examples(out))
    split_of: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for example in read_examples(out, split):
            for group in example.groups:
                split_of.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in split_of.values()), "a file, a class or equal code is in two splits"
    assert {example.label_path[0] for example in examples} == {"explanation", "generation", "review", "template"}
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    for path in (*out.rglob("*.jsonl"), raw / "quarantine.jsonl"):
        assert secret not in path.read_text(encoding="utf-8"), path.name
    for line in (out / "chat" / "train.jsonl").read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["messages"][-1]["role"] == "assistant"


def read_folder(path: Path, out: Path, **source: object) -> tuple[IngestSummary, DatasetConfig, TaskType]:
    config = DatasetConfig.model_validate({"source": {"path": str(path), "format": "code", **source}})
    task = build_task_type("source_code", {}, TASK)
    out.mkdir()
    return ingest(config.source, TASK, task.aliases, out), config, task


def test_the_nasty_folder_goes_on_after_each_bad_file(real_data: Path, tmp_path: Path) -> None:
    read, _, task = read_folder(real_data / "nasty" / "java", tmp_path / "raw", include=["*.java"])
    rejected = [json.loads(line) for line in (tmp_path / "raw" / "quarantine.jsonl").read_text().splitlines()]
    reasons = {row["file"]: row["reason"] for row in rejected}
    assert reasons.pop("05_utf16.java") == "bad_encoding"
    assert reasons.pop("06_nul.java") == "nul_character"
    assert reasons.pop("50_classfile.java") == "binary_file"
    assert read.read == 33
    for line in (tmp_path / "raw" / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = RawRecord.from_json(json.loads(line))
        for item in task.examples(record):
            name = record.fields["path"]
            if isinstance(item, Rejection):
                reasons.setdefault(name, item.reason)
            assert "AKIA" not in json.dumps(item.to_json())
            assert "bob@example.com" not in json.dumps(item.to_json())
    assert reasons["40_empty.java"] == "missing_field"
    assert reasons["41_only_comment.java"] == "no_declaration"
    assert reasons["45_homoglyph_ident.java"] == "look_alike_name"
    assert reasons["46_bidi.java"] == "bidi_control"
    assert reasons["47_secrets.java"] == "secret"
    assert reasons["51_kotlin.java"] == reasons["52_template.java"] == "syntax_error"


def test_real_sources_become_a_dataset(real_data: Path, tmp_path: Path) -> None:
    read, config, task = read_folder(real_data / "java" / "src", tmp_path / "raw", include=["*.java"])
    assert (read.read, read.accepted) == (290, 290)
    out = tmp_path / "out"
    out.mkdir()
    made = build_splits(tmp_path / "raw" / "records.jsonl", out, task, config)
    assert read.accepted + made.expanded == sum(made.splits.values()) + made.quarantined + made.duplicates
    assert sum(made.splits.values()) > 2_500
    assert set(made.reasons) - UNCOUNTED_REASONS <= {"label_conflict"}
    # The peer's split had 376 of 377 validation rows in a class that training had seen.
    classes: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for example in read_examples(out, split):
            for group in example.groups:
                classes.setdefault(group, set()).add(split)
    assert sum(len(splits) > 1 for splits in classes.values()) == 0
    assert min(made.splits.values()) > 50
