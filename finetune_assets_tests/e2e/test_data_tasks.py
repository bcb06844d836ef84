"""The data part of every shipped task, and of real sets, through the command line: rows conserved, nothing leaked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_assets.storage.files import read_json
from finetune_assets_tests.e2e.command import Said, finetune, materializations, result

SHIPPED = ("speech", "router", "environment", "java")
DATA_STAGES = {"raw_observations", "validated_splits", "uploaded_dataset"}
# The three tools of the router traces; what they are for does not matter to their rules.
ROUTER_TOOLS = [{"name": name, "description": name} for name in ("math", "code", "general-search")]


def conserved(home: Path, task: str) -> dict[str, Any]:
    """Return the summary of the splits after adding up its rows."""
    raw = read_json(result(home, "raw_observations", task).file("summary.json"))
    summary: dict[str, Any] = read_json(result(home, "validated_splits", task).file("summary.json"))
    assert raw["read"] == raw["accepted"] + raw["quarantined"]
    assert summary["read"] == raw["accepted"]
    placed = summary["accepted"] + summary["quarantined"] + summary["duplicates"] + summary["outside_limit"]
    assert summary["read"] + summary["expanded"] == placed
    certificate = read_json(result(home, "validated_splits", task).file("certificate.json"))
    assert certificate["cross_split_key_overlap"] == certificate["cross_split_group_overlap"] == 0
    return {**summary, "raw": raw}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Said]]:
    """A home in which the data part of every task but childcare has run."""
    home = tmp_path_factory.mktemp("data-tasks") / "home"
    return home, {task: finetune(home, "run", task, "--until", "uploaded_dataset") for task in SHIPPED}


@pytest.mark.parametrize("task", SHIPPED)
def test_a_shipped_task_runs_as_far_as_its_dataset(shipped: tuple[Path, dict[str, Said]], task: str) -> None:
    home, said = shipped
    assert said[task].code == 0, said[task].all
    assert "synthetic" in said[task].out
    summary = conserved(home, task)
    assert all(summary["splits"][name] > 0 for name in ("train", "validation", "test"))
    assert summary["quarantined"] + summary["raw"]["quarantined"] > 0, "the samples hold dirt, and it is found"
    state = finetune(home, "status", task, "--json").json()[0]
    assert state["live"] is None
    assert state["counts"]["train"] == summary["splits"]["train"]


def test_a_second_run_makes_nothing_anew(shipped: tuple[Path, dict[str, Said]]) -> None:
    home, _ = shipped
    assert finetune(home, "run", "speech", "--until", "uploaded_dataset").code == 0
    run_id = finetune(home, "status", "speech", "--json").json()[0]["last_run"]["run_id"]
    made = materializations(home, run_id)
    assert set(made) == DATA_STAGES
    assert all(metadata["reused"] for metadata in made.values())


def test_the_test_split_is_never_uploaded(shipped: tuple[Path, dict[str, Said]]) -> None:
    home, _ = shipped
    for task in SHIPPED:
        names = result(home, "uploaded_dataset", task).manifest["files"]
        assert names
        assert not [name for name in names if "test" in name]


def write_task(folder: Path, name: str, task_type: str, source: dict[str, Any], **attributes: Any) -> dict[str, str]:
    """Write a folder with a YAML and nothing else; the data stays where it is."""
    dataset = {"source": {**source, "max_quarantine_share": 1.0}, "min_train_rows": 1, **attributes.pop("dataset", {})}
    document = {
        "type": "finetune_assets.component.FineTuningTask",
        "attributes": {"task_type": task_type, "dataset": dataset, "evaluation": {"min_rows": 1}, **attributes},
    }
    (folder / name).mkdir(parents=True)
    (folder / name / "defs.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return {"FINETUNE_TASKS": str(folder)}


# The seven intents of the real set with the names of their slots.
SNIPS = {
    "AddToPlaylist": "artist entity_name music_item playlist playlist_owner",
    "BookRestaurant": "city country cuisine facility party_size_description party_size_number poi restaurant_name "
    "restaurant_type served_dish sort spatial_relation state timeRange",
    "GetWeather": "city condition_description condition_temperature country current_location geographic_poi "
    "spatial_relation state timeRange",
    "PlayMusic": "album artist genre music_item playlist service sort track year",
    "RateBook": "best_rating object_name object_part_of_series_type object_select object_type rating_unit rating_value",
    "SearchCreativeWork": "object_name object_type",
    "SearchScreeningEvent": "location_name movie_name movie_type object_location_type object_type spatial_relation "
    "timeRange",
}
SNIPS_TOOLS = [{"name": name, "arguments": slots.split()} for name, slots in SNIPS.items()]
LINES = ("appeals", "benefits", "claims", "eligibility", "infusion_therapy", "pharmacy", "prior_authorization")

# (name, task type, source below the real data, attributes, rows read)
REAL = [
    ("preschool", "transcription", "speech/preschool_whisper_pairs_filtered.jsonl", {}, 766),
    (
        "hard_routes",
        "routing",
        "router/coursegpt_router_hard.jsonl",
        {
            "routing": {"records": "traces", "rules": "completion", "tools": ROUTER_TOOLS},
            "dataset": {"max_tokens": 8192},
        },
        314,
    ),
    (
        "functions",
        "routing",
        "router/bfcl_simple_multiple.jsonl",
        {"routing": {"records": "calls"}, "dataset": {"max_tokens": 8192}},
        820,
    ),
    (
        "snips",
        "routing",
        "router/snips_train.jsonl",
        {"routing": {"records": "calls", "tools": SNIPS_TOOLS}},
        2100,
    ),
    (
        "healthcare",
        "routing",
        "router/semantic_router_healthcare_train.jsonl",
        {"routing": {"records": "route", "tools": [{"name": name} for name in LINES]}},
        55,
    ),
    ("faq", "question_answering", "environment/electricitymap_faq.jsonl", {"dataset": {"max_tokens": 2048}}, 156),
    ("chatbot", "question_answering", "environment/climate_chatbot_dataset.csv", {}, 46),
    ("sceptics", "question_answering", "environment/skeptics_se_other.jsonl", {"dataset": {"max_tokens": 16384}}, 784),
]


@pytest.mark.parametrize(("name", "task_type", "file", "attributes", "rows"), REAL, ids=[row[0] for row in REAL])
def test_a_real_set_runs_through_a_yaml_alone(
    real_data: Path, tmp_path: Path, name: str, task_type: str, file: str, attributes: dict[str, Any], rows: int
) -> None:
    env = write_task(tmp_path / "tasks", name, task_type, {"path": str(real_data / file)}, **dict(attributes))
    said = finetune(tmp_path / "home", "run", name, "--until", "validated_splits", env=env)
    # A gate may hold: real data is dirty. Then it says which, and nothing was lost on the way there.
    assert said.code in {0, 3}, said.all
    summary = conserved(tmp_path / "home", name)
    assert summary["raw"]["read"] == rows
    assert summary["accepted"] > rows / 2, said.all
    assert "Traceback" not in said.all


def test_real_source_code_runs_through_a_yaml_alone(real_data: Path, tmp_path: Path) -> None:
    source = {"path": str(real_data / "java" / "src"), "format": "code", "include": ["**/*.java"]}
    sections = {"source_code": {"languages": {"java": {"grammar": "tree_sitter_java"}}}}
    env = write_task(tmp_path / "tasks", "code", "source_code", source, dataset={"max_tokens": 32768}, **sections)
    said = finetune(tmp_path / "home", "run", "code", "--until", "validated_splits", env=env)
    assert said.code in {0, 3}, said.all
    summary = conserved(tmp_path / "home", "code")
    assert summary["raw"]["read"] == 290
    assert summary["accepted"] > 1_000
