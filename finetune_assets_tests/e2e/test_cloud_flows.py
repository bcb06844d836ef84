"""The cloud tasks of `examples/cloud` run through, each by `finetune run` against stand-ins on this machine.

Gemini and a job in our own container are part of every test run; the others are proven by `make soak`, and the router
by `make twin` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.storage.files import read_json
from finetune_assets_tests.e2e.cloud import GEMINI, SMALL, SPOT_PRICE, Cloud, cloud_at
from finetune_assets_tests.e2e.command import MadeHome, Said, instance_of, live_release, result
from finetune_assets_tests.twin.world import NO_BENCHMARK, SIDE_BY_SIDE


def report_of(cloud: Cloud, task: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(result(cloud.home, "validation_report", task).file("report.json"))
    return found


def one_job(cloud: Cloud, task: str, kind: str) -> dict[str, Any]:
    """Return the task's only job, which must be the one that the home knows."""
    (job,) = cloud.jobs(kind)
    (intent,) = cloud.intents(task)
    assert job["name"] == intent.handle
    assert job["labels"]["run_key"] == intent.run_key
    assert intent.state == "SUCCEEDED"
    assert intent.estimate_mid is not None
    return job


@pytest.fixture(scope="module")
def made(uploaded_home: MadeHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Said]]:
    with cloud_at(tmp_path_factory.mktemp("gemini"), uploaded_home) as cloud:
        yield cloud, cloud.run()


class TestGemini:
    """Upload, managed tuning, judging online, the service's own endpoint as the release."""

    def test_it_becomes_live(self, made: tuple[Cloud, Said]) -> None:
        cloud, said = made
        assert said.code == 0, said.all
        live = live_release(cloud.home, GEMINI)
        assert live is not None
        assert (live.version, live.base_model) == (1, "gemini-2.5-flash")
        one_job(cloud, GEMINI, "TuningJob")

    def test_estimate_link_and_states_are_told_before_the_end(self, made: tuple[Cloud, Said]) -> None:
        _, said = made
        before, _, _ = said.out.partition(f"made {GEMINI}/tuned_adapter")
        assert "list prices of" in before
        assert "console.cloud.google.com/vertex-ai" in before
        assert "JOB_STATE_SUCCEEDED" in before

    def test_what_was_billed_stands_beside_what_was_estimated(self, made: tuple[Cloud, Said]) -> None:
        (intent,) = made[0].intents()
        assert intent.billable_tokens
        assert intent.actual_cost
        low, high = intent.estimate_low or 0, intent.estimate_high or 0
        assert low / 2 < intent.actual_cost < high * 2

    def test_the_dataset_lies_in_the_bucket_under_a_readable_name(self, made: tuple[Cloud, Said]) -> None:
        cloud, _ = made
        names = [blob.name for blob in cloud.world.gcs.client().bucket("twin-bucket").list_blobs()]
        digest = result(cloud.home, "uploaded_dataset", GEMINI).digest
        assert any(f"{GEMINI}/{digest[:12]}" in name for name in names), names
        assert not any("test" in name.rsplit("/", 1)[-1] for name in names)

    def test_the_live_model_answers_a_question(self, made: tuple[Cloud, Said]) -> None:
        cloud, _ = made
        answer = cloud.say("ask", GEMINI, "Mia balanced along the beam without holding on.", "--json").json()
        assert answer["valid"] is True
        assert answer["release"]["version"] == 1

    def test_a_second_run_asks_for_nothing_new(self, made: tuple[Cloud, Said]) -> None:
        cloud, _ = made
        again = cloud.run()
        assert again.code == 0, again.all
        assert f"reused {GEMINI}/tuned_adapter" in again.out
        one_job(cloud, GEMINI, "TuningJob")


def container_flow(fresh_home: Any, root: Path, task: str, **settings: str) -> tuple[Cloud, Said, dict[str, Any]]:
    """Run a task whose trainer is a container; return the cloud as it was left, what was said, and the job."""
    fresh_home(root / "home")
    with cloud_at(root, run_containers=True) as cloud:
        said = cloud.run(task, **{**SMALL, **settings})
        job = one_job(cloud, task, "CustomJob")
        assert job["state"] == "JOB_STATE_SUCCEEDED", said.all
        return cloud, said, job


def assert_trained_there(cloud: Cloud, task: str) -> None:
    """The adapter is the container's, verified on its way here, and was judged."""
    adapter = result(cloud.home, "tuned_adapter", task)
    assert adapter.verify() == []
    assert adapter.manifest["trained_by"]["backend"] == "custom_job"
    (intent,) = cloud.intents(task)
    assert adapter.manifest["trained_by"]["job"] == intent.handle
    assert read_json(adapter.file("training.json"))["loss"]
    assert report_of(cloud, task)["scores"]["candidate"]["coverage"] == 1.0


def test_a_container_on_a_rented_gpu_trains_the_transcripts_model(fresh_home: Any, tmp_path: Path) -> None:
    cloud, said, _ = container_flow(fresh_home, tmp_path, "speech_gpu")
    # Tuned this briefly it passes no gate, and must not.
    assert said.code == 3, said.all
    assert_trained_there(cloud, "speech_gpu")
    assert live_release(cloud.home, "speech_gpu") is None


@pytest.mark.soak
def test_a_container_on_a_spot_machine_trains_the_notes_model(fresh_home: Any, tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(SPOT_PRICE, encoding="utf-8")
    cloud, said, _ = container_flow(
        fresh_home, tmp_path, "childcare_phi", CLOUD__BUDGET__PRICES=str(own), TUNING__EPOCHS="1"
    )
    assert said.code in (0, 3), said.all
    assert_trained_there(cloud, "childcare_phi")
    assert "spot" in said.out


@pytest.mark.soak
def test_a_spot_machine_needs_a_price_of_ones_own(fresh_home: Any, tmp_path: Path) -> None:
    fresh_home(tmp_path / "home")
    with cloud_at(tmp_path, run_containers=True) as cloud:
        line = cloud.run("childcare_phi", **SMALL).one_error()
        assert "the price is not known" in line
        assert "machine spot of g2-standard-12" in line
        assert cloud.jobs("CustomJob") == []


@pytest.mark.soak
def test_java_is_tuned_as_gemini_to_its_report(tmp_path: Path) -> None:
    with cloud_at(tmp_path) as cloud:
        said = cloud.run("java_gemini")
        # The stand-in repeats the nearest row: the gates see through it.
        assert said.code == 3, said.all
        one_job(cloud, "java_gemini", "TuningJob")
        report = report_of(cloud, "java_gemini")
        assert report["verdict"]["verdict"] in {"FAIL", "INCONCLUSIVE"}
        assert {"candidate", "baseline", "majority", "nearest"} <= set(report["scores"])


@pytest.mark.soak
def test_the_router_is_tuned_three_times_side_by_side_and_deployed(tmp_path: Path) -> None:
    with cloud_at(tmp_path, tuning_quota=3) as cloud:
        settings = {**NO_BENCHMARK, **SIDE_BY_SIDE}
        said = cloud.run("router_open", **settings)
        assert said.code == 0, said.all
        assert len(cloud.jobs()) == 3
        intents = cloud.intents("router_open")
        assert sorted(intent.variant for intent in intents) == ["gemma", "llama", "qwen"]
        ended = [event.at for intent in intents for event in cloud.events(intent) if event.to_state == "SUCCEEDED"]
        assert all(intent.submitted_at and intent.submitted_at < min(ended) for intent in intents)
        (endpoint,) = cloud.say("endpoints", "list", "router_open", "--json", task="router_open").json()
        assert list(endpoint["traffic"].values()) == [100]
        assert_endpoint_commands(cloud, endpoint)


def assert_endpoint_commands(cloud: Cloud, endpoint: dict[str, Any]) -> None:
    """What is live is taken down when a person insists, and not before."""
    name = endpoint["name"].rsplit("/", 1)[-1]
    (deployed,) = endpoint["deployed"]
    say = lambda *words: cloud.say("endpoints", *words, task="router_open")  # noqa: E731
    assert say("show", "router_open", name, "--json").json()["deployed"] == [deployed]
    for verb in ("undeploy", "delete"):
        assert "the live release answers there" in say(verb, "router_open", name).one_error()
    assert f"undeployed {deployed['id']}" in say("undeploy", "router_open", name, "--yes").out
    assert say("show", "router_open", name, "--json").json()["costs"] is False
    assert "deleted" in say("delete", "router_open", name).out
    assert "has no endpoint" in say("list", "router_open").out
    assert "is not there" in say("delete", "router_open", name).out


def test_no_run_is_left_open(uploaded_home: MadeHome) -> None:
    with instance_of(uploaded_home.path) as instance:
        assert {record.dagster_run.status.value for record in instance.get_run_records()} == {"SUCCESS"}
