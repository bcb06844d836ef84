"""`finetune data synthesize`: rows that keep the task's rules, marked, and only ever trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.cli.synthesis import Synthesis
from finetune_assets.component import known_tasks
from finetune_assets.datasets.build import build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.split_files import read_examples
from finetune_assets.datasets.synthetic.router import valid_traces
from finetune_assets_tests.cli.conftest import Finetune, build, rows_of, write_rows
from finetune_assets_tests.datasets.generation.server import Reply, serving

KEY = "TEST_SYNTHESIS_KEY"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_template_traces_keep_the_rules_of_the_task(finetune: Finetune, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    report = finetune("data", "synthesize", "router", "--count", "30", "--template", "--out", path, "--json").json()
    assert (report["made"], report["given_up"]) == (30, [])
    rows = read(path)
    task = Synthesis(known_tasks({}, wanted="router")["router"], {}, None)
    assert all(task.check(row) == [] for row in rows)
    assert all(row["synthetic"] is True for row in rows)
    assert all(0 <= row["quality_score"] <= 100 for row in rows)
    first = path.read_bytes()
    again = finetune("data", "synthesize", "router", "--count", "30", "--template", "--out", path, "--json").json()
    assert (again["found"], again["made"]) == (30, 0)
    assert path.read_bytes() == first


def test_traces_from_an_endpoint_are_held_to_the_rules(
    finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = valid_traces(11, 4)
    monkeypatch.setenv(KEY, "very-secret")

    def answer(body: dict[str, Any], number: int) -> Reply:
        trace = dict(traces[number // 2])
        if len(body["messages"]) == 2:
            trace["todo_list"] = trace["todo_list"][:1]  # the first answer to each row breaks several rules
        return Reply(json.dumps({**trace, "quality_score": 1000, "id": "mine"}))

    with serving(answer) as server:
        said = finetune(
            *("data", "synthesize", "router", "--count", "4", "--out", tmp_path / "traces.jsonl", "--json"),
            *("--endpoint", server.url, "--model", "writer", "--api-key-variable", KEY),
        )
    report = said.json()
    assert (report["made"], report["answers"]) == (4, 8)
    assert report["reasons"]["todo_count"] == 4
    assert "4 of 4 rows" in said.error
    assert "todo_count" in server.asked[1]["messages"][-1]["content"]
    rows = read(tmp_path / "traces.jsonl")
    assert [row["user_query"] for row in rows] == [trace["user_query"] for trace in traces]
    assert {row["id"] for row in rows} == {f"synthetic_7_{number:05d}" for number in range(4)}
    assert all(row["quality_score"] <= 100 for row in rows)
    assert set(server.keys) == {"Bearer very-secret"}
    assert "very-secret" not in said.out + said.error + (tmp_path / "traces.jsonl").read_text()


def test_rows_that_never_fit_are_exit_code_3(finetune: Finetune, tmp_path: Path) -> None:
    with serving(lambda _body, _number: Reply("{}")) as server:
        said = finetune(
            *("data", "synthesize", "router", "--count", "1", "--out", tmp_path / "traces.jsonl"),
            *("--endpoint", server.url, "--model", "writer"),
        )
    assert said.code == 3
    assert "given up" in said.out
    assert len(server.asked) == 4


def test_questions_come_from_passages(finetune: Finetune, tmp_path: Path) -> None:
    command = ("data", "synthesize", "environment", "--count", "1", "--template", "--out", tmp_path / "rows.jsonl")
    assert "--passages" in finetune(*command).error
    (tmp_path / "passages.txt").write_text("A heat pump is a machine that moves heat. It runs on electric power.")
    report = finetune(*command, "--passages", tmp_path / "passages.txt", "--json").json()
    assert report["made"] == 1
    assert read(tmp_path / "rows.jsonl")[0]["answer"] == "A heat pump is a machine that moves heat."


def test_other_tasks_say_what_can_be_made(finetune: Finetune, tools: Path, tmp_path: Path) -> None:
    said = finetune("data", "synthesize", "tools", "--count", "1", "--template", "--out", tmp_path / "rows.jsonl")
    assert "question_answering" in said.error


def test_marked_rows_never_validate_or_test(finetune: Finetune, tools: Path, platform_home: Path) -> None:
    rows = rows_of(tools)
    for number in range(60):
        label = ["kettle", "oven"][number % 2]
        text = f"Machine-written sentence {number * 7919} about the {label}, unlike all others: {number**3}."
        rows.append({"id": f"made-{number}", "text": text, "domain": "kitchen", "label": label, "synthetic": True})
    write_rows(tools, rows)
    build("tools")
    (version,) = finetune("data", "versions", "tools", "--json").json()
    folder = platform_home / "artifacts" / "validated_splits" / version["artifact"]
    placed = {split: list(read_examples(folder, split)) for split in ("train", "validation", "test")}
    made = [example for example in placed["train"] if example.record_id.startswith("made-")]
    assert made
    assert {example.origin for example in made} == {"synthetic"}
    assert not [row for split in ("validation", "test") for row in placed[split] if row.record_id.startswith("made-")]
    assert {row.origin for row in placed["test"]} == {"observed"}
    (found,) = finetune("data", "show", "tools", made[0].record_id, "--json").json()
    assert (found["origin"], found["split"]) == ("synthetic", "train")


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("childcare", {"notes", "domain_id", "attribute_id", "progression_title"}),
        ("speech", {"original_transcript", "corrected_transcript", "error_types"}),
        ("java", {"path", "language", "text"}),
    ],
)
def test_templates_of_the_other_task_types_keep_the_tasks_rules(
    task: str, names: set[str], finetune: Finetune, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    asked = ("data", "synthesize", task, "--count", "25", "--template", "--out", path, "--json")
    report = finetune(*asked).json()
    assert (report["made"], report["given_up"]) == (25, [])
    rows = read(path)
    work = Synthesis(known_tasks({}, wanted=task)[task], {}, None)
    assert all(work.check(row) == [] for row in rows)
    assert all(row["synthetic"] is True and names <= set(row) for row in rows)
    assert len({json.dumps({name: row[name] for name in names}, sort_keys=True) for row in rows}) == 25
    asked = ("data", "synthesize", task, "--count", "30", "--template", "--out", tmp_path / "more.jsonl")
    finetune(*asked)
    assert read(tmp_path / "more.jsonl")[:25] == rows
    assert _splits(work, path, tmp_path) == {"train"}


def _splits(work: Synthesis, path: Path, folder: Path) -> set[str]:
    """Build a dataset of nothing but these rows; return the splits that hold any."""
    config = DatasetConfig.model_validate({"source": {"path": path.name}})
    for name in ("raw", "out"):
        (folder / name).mkdir()
    ingest(config.source, folder, work.kind.aliases, folder / "raw")
    build_splits(folder / "raw" / "records.jsonl", folder / "out", work.kind, config)
    found = {split: list(read_examples(folder / "out", split)) for split in ("train", "validation", "test")}
    assert {example.origin for examples in found.values() for example in examples} == {"synthetic"}
    return {split for split, examples in found.items() if examples}


def test_spoken_passages_are_misheard(finetune: Finetune, tmp_path: Path) -> None:
    passages = tmp_path / "passages.txt"
    passages.write_text(
        "The two children wrote their names there. They heard the knight ring a bell for no one else.\n"
    )
    path = tmp_path / "rows.jsonl"
    said = ("data", "synthesize", "speech", "--count", "2", "--template", "--passages", passages, "--out", path)
    assert finetune(*said, "--json").json()["made"] == 2
    assert [row["corrected_transcript"] for row in read(path)] == [
        "The two children wrote their names there.",
        "They heard the knight ring a bell for no one else.",
    ]
    assert all(row["original_transcript"] != row["corrected_transcript"] for row in read(path))
