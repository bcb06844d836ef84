"""`finetune compare`: any two models on the test rows, here two behind endpoints; names that are none are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from finetune_assets.datasets.build import read_examples
from finetune_assets.records.example import Example
from finetune_assets_tests.cli.conftest import Finetune, build
from finetune_assets_tests.datasets.generation.server import Reply, Server, serving


@contextmanager
def _two_models(folder: Path, replies: Callable[[str, Example], Reply]) -> Iterator[tuple[Server, list[Example]]]:
    """A task whose YAML names the models `bright` and `dim`, and the server that plays both."""
    known: dict[str, Example] = {}

    def answer(body: dict[str, Any], _number: int) -> Reply:
        return replies(body["model"], known[body["messages"][-1]["content"]])

    with serving(answer) as server:
        place = folder / "defs.yaml"
        document = yaml.safe_load(place.read_text(encoding="utf-8"))
        document["attributes"]["evaluation"] = {
            "contenders": {
                name: {"base_url": server.url, "model": name, "retries": 0, "backoff_s": 0}
                for name in ("bright", "dim")
            }
        }
        place.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        build("tools")
        splits = next((folder.parents[1] / "home" / "artifacts" / "validated_splits").iterdir())
        test = list(read_examples(splits, "test"))
        known |= {example.messages[-1]["content"]: example for example in test}
        yield server, test


def _half_right(model: str, example: Example) -> Reply:
    if model == "bright" or "kettle" in example.target:
        return Reply(example.target)
    return Reply("I would rather not say; write to ann@example.org [bold]")


def test_two_configured_models_stand_side_by_side(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right) as (_, test):
        found = finetune("compare", "tools", "bright", "dim", "--rows", "--json").json()
    right = sum("kettle" in example.target for example in test)
    assert 0 < right < len(test)
    assert found["rows"] == len(test)
    assert [model["name"] for model in found["models"]] == ["bright", "dim"]
    assert found["scores"]["first"]["measures"]["exact"]["value"] == 1.0
    assert found["scores"]["second"]["right"] == right
    comparison = found["comparison"]
    assert (comparison["wins"], comparison["losses"], comparison["shown"]) == (len(test) - right, 0, "better")
    assert comparison["difference"] == pytest.approx(1 - right / len(test))
    assert comparison["interval"][0] <= comparison["difference"] <= comparison["interval"][1]
    assert (found["won"], found["lost"], found["changed"]) == (len(test) - right, 0, len(test) - right)
    assert {row["fate"] for row in found["differing"]} == {"won"}
    assert all("ann@example.org" not in json.dumps(row) for row in found["differing"])


def test_the_other_way_round_the_gain_has_the_other_sign(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right):
        one = finetune("compare", "tools", "bright", "dim", "--json").json()
        other = finetune("compare", "tools", "dim", "bright", "--json").json()
    assert one["comparison"]["difference"] == -other["comparison"]["difference"]
    assert (one["won"], one["lost"]) == (other["lost"], other["won"])
    assert "differing" not in one


def test_a_model_is_asked_once_and_its_answers_are_kept(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right) as (server, test):
        finetune("compare", "tools", "bright", "dim")
        assert len(server.asked) == 2 * len(test)
        again = finetune("compare", "tools", "bright", "dim", "--rows")
        assert len(server.asked) == 2 * len(test)
    assert again.code == 0
    assert "bright is shown to be better than dim by whole label right" in again.out
    assert "[bold]" in again.out  # a text is no markup


def test_a_limit_asks_the_same_few_rows_of_both(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right) as (server, _):
        found = finetune("compare", "tools", "bright", "dim", "--limit", "5", "--json").json()
        asked = [body["messages"][-1]["content"] for body in server.asked]
    assert found["rows"] == 5
    assert sorted(asked[:5]) == sorted(asked[5:])
    assert len(set(asked)) == 5


def test_nothing_becomes_a_release_by_it(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right):
        finetune("compare", "tools", "bright", "dim")
    status = finetune("status", "tools", "--json").json()
    assert status[0]["live"] is None
    kinds = {place.name for place in (tools.parents[1] / "home" / "artifacts").iterdir()}
    assert "validation_report" not in kinds
    assert "release" not in kinds


def test_an_endpoint_that_is_gone_is_a_problem_and_no_wrong_model(tools: Path, finetune: Finetune) -> None:
    with _two_models(tools, _half_right) as (server, _):
        pass
    said = finetune("compare", "tools", "bright", "dim")
    assert said.code == 1
    assert "the questions were not asked to the end" in said.error
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nobody", "model is not known"),
        ("live", "nothing is live"),
        ("7", "version is not known"),
        ("candidate", "upstream has no result yet"),
    ],
)
def test_a_model_that_is_not_there_is_named(tools: Path, finetune: Finetune, name: str, problem: str) -> None:
    build("tools")
    said = finetune("compare", "tools", name, name)
    assert said.code == 1
    assert problem in said.error


@pytest.mark.parametrize("name", ["base", "live", "candidate", "3"])
def test_a_configured_model_cannot_take_a_name_that_means_another(tools: Path, finetune: Finetune, name: str) -> None:
    place = tools / "defs.yaml"
    document = yaml.safe_load(place.read_text(encoding="utf-8"))
    document["attributes"]["evaluation"] = {"contenders": {name: {"base_url": "http://localhost:1/v1", "model": "m"}}}
    place.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(Exception, match="contenders"):
        assert finetune("compare", "tools", "base", "base").error == ""
