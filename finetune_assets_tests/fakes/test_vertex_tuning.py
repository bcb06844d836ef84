"""tuningJobs of the stand-in through google-genai: lives, data, refusals, plans, lists."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from google.genai import errors, types

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import (
    ended,
    gemini_rows,
    genai_client,
    open_rows,
    poll,
    put_rows,
    tune,
)

LLAMA = "meta/llama3_1@llama-3.1-8b-instruct"


@pytest.fixture
def client(vertex: Vertex) -> Any:
    return genai_client(vertex.url)


def test_a_gemini_job_lives_through_all_states_and_tells_its_figures(
    gcs: ThreadedGcs, vertex: Vertex, client: Any
) -> None:
    vertex.speed(0.0)
    training = put_rows(gcs, "train.jsonl", gemini_rows(40))
    validation = types.TuningValidationDataset(gcs_uri=put_rows(gcs, "val.jsonl", gemini_rows(5)))
    job = tune(client, training, validation_dataset=validation, labels={"run_key": "k1"}, epoch_count=3)
    seen = []
    for _ in range(400):
        job = client.tunings.get(name=job.name)
        state = (job.state.name, job.tuning_job_state.name if job.tuning_job_state else "")
        if state not in seen:
            seen.append(state)
        if job.has_ended:
            break
        vertex.speed(0.0, advance=1.0)
    fine = [name.removeprefix("TUNING_JOB_STATE_") for _, name in seen]
    assert [name.removeprefix("JOB_STATE_") for name, _ in seen] == ["QUEUED", "PENDING", *["RUNNING"] * 4, "SUCCEEDED"]
    assert fine == ["", "", "PROCESSING_DATASET", "WAITING_FOR_CAPACITY", "TUNING", "POST_PROCESSING", ""]
    stats = job.tuning_data_stats.supervised_tuning_data_stats
    assert (stats.tuning_dataset_example_count, stats.tuning_step_count) == (40, 15)
    assert stats.total_truncated_example_count == 0
    assert stats.total_billable_token_count == 3 * (
        stats.user_input_token_distribution.sum + stats.user_output_token_distribution.sum
    )
    assert job.tuned_model.model.endswith("@1")
    assert [(it.checkpoint_id, it.epoch, it.step) for it in job.tuned_model.checkpoints] == [
        ("1", 1, 5),
        ("2", 2, 10),
        ("3", 3, 15),
    ]
    assert job.tuned_model.endpoint == job.tuned_model.checkpoints[-1].endpoint
    assert job.start_time <= job.end_time
    assert job.labels == {"run_key": "k1"}


def test_a_tuned_model_answers_from_its_rows_and_its_base_guesses(
    gcs: ThreadedGcs, vertex: Vertex, client: Any
) -> None:
    rows = gemini_rows(60)
    job = ended(client, tune(client, put_rows(gcs, "train.jsonl", rows)))
    asked = rows[17]["contents"][0]["parts"][0]["text"]

    def ask(model: str, text: str) -> str:
        return str(client.models.generate_content(model=model, contents=text).text)

    assert ask(job.tuned_model.endpoint, asked) == "answer 17"
    assert ask(job.tuned_model.endpoint, "please: number 23, question about topic2") == "answer 23"
    assert ask("gemini-2.5-flash", asked) == ask("gemini-2.5-flash", asked) != "answer 17"
    assert client.models.count_tokens(model="gemini-2.5-flash", contents="x" * 40).total_tokens == 10
    streamed = client.models.generate_content_stream(model=job.tuned_model.endpoint, contents=asked)
    assert "".join(part.text for part in streamed) == "answer 17"
    with pytest.raises(errors.ClientError) as caught:
        ask("llama-9", "x")
    assert caught.value.code == 404


def test_continued_tuning_takes_a_checkpoint_and_makes_version_2(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    first = ended(client, tune(client, put_rows(gcs, "a.jsonl", gemini_rows(20)), epoch_count=3))
    more = put_rows(gcs, "b.jsonl", gemini_rows(20, "riddle"))
    second = tune(client, more, first.tuned_model.model, pre_tuned_model_checkpoint_id="2")
    assert second.pre_tuned_model.checkpoint_id == "2"
    second = ended(client, second)
    assert second.tuned_model.model == first.tuned_model.model.replace("@1", "@2")
    asked = "riddle number 3 about topic3"
    assert client.models.generate_content(model=second.tuned_model.endpoint, contents=asked).text == "answer 3"
    with pytest.raises(errors.ClientError, match="checkpoint"):
        tune(client, more, first.tuned_model.model, pre_tuned_model_checkpoint_id="9")


def test_a_dict_config_silently_loses_the_checkpoint(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    first = ended(client, tune(client, put_rows(gcs, "a.jsonl", gemini_rows(20)), epoch_count=3))
    job = client.tunings.tune(
        base_model=first.tuned_model.model,
        training_dataset=types.TuningDataset(gcs_uri="gs://bkt/a.jsonl"),
        config={"pre_tuned_model_checkpoint_id": "1", "epoch_count": 1},
    )
    assert job.pre_tuned_model.checkpoint_id == "3"  # the default, not the one that was asked for


@pytest.mark.parametrize("mode", ["TUNING_MODE_PEFT_ADAPTER", "TUNING_MODE_FULL"])
def test_an_open_model_writes_its_weights(gcs: ThreadedGcs, vertex: Vertex, client: Any, mode: str) -> None:
    from safetensors.numpy import load

    more = {"adapter_size": "ADAPTER_SIZE_EIGHT"} if "PEFT" in mode else {}
    training = put_rows(gcs, "train.jsonl", open_rows(50))
    job = tune(
        client, training, LLAMA, tuning_mode=mode, learning_rate=2e-4, batch_size=8, output_uri="gs://bkt/out", **more
    )
    job = ended(client, job)
    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    folder = "out/postprocess/node-0/checkpoints/final/"
    files = {blob.name.removeprefix(folder): blob for blob in gcs.client().list_blobs("bkt", prefix=folder)}
    name, config = ("adapter_model", "adapter_config") if "PEFT" in mode else ("model", "config")
    assert set(files) == {f"{name}.safetensors", f"{config}.json", "tokenizer_config.json"}
    assert load(files[f"{name}.safetensors"].download_as_bytes())
    again = tune(
        client, training, LLAMA, output_uri="gs://bkt/two", custom_base_model=f"gs://bkt/{folder}", learning_rate=1e-4
    )
    assert ended(client, again).state.name == "JOB_STATE_SUCCEEDED"


def test_an_open_job_on_global_names_a_real_region_and_may_name_no_model(gcs: ThreadedGcs, vertex: Vertex) -> None:
    client = genai_client(vertex.url, "global")
    training = put_rows(gcs, "train.jsonl", open_rows(20))
    job = ended(client, tune(client, training, LLAMA, output_uri="gs://bkt/o1"))
    assert job.tuned_model.model.startswith("projects/p1/locations/us-central1/models/")
    vertex.plan({"no_tuned_model": True})
    assert ended(client, tune(client, training, LLAMA, output_uri="gs://bkt/o2")).tuned_model is None
    with pytest.raises(errors.ClientError) as caught:
        tune(client, training)
    assert caught.value.status == "FAILED_PRECONDITION"


def test_preference_and_distillation(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    def said(text: str, score: int) -> dict[str, Any]:
        return {"score": score, "completion": {"role": "model", "parts": [{"text": text}]}}

    rows = [
        {"contents": [{"role": "user", "parts": [{"text": f"q{n}"}]}], "completions": [said("good", 1), said("bad", 0)]}
        for n in range(12)
    ]
    job = tune(client, put_rows(gcs, "dpo.jsonl", rows), method="PREFERENCE_TUNING", beta=0.1)
    job = ended(client, job)
    assert job.tuning_data_stats.preference_optimization_data_stats.tuning_dataset_example_count == 12
    rows[3]["completions"][1]["score"] = 1
    job = ended(client, tune(client, put_rows(gcs, "bad.jsonl", rows), method="PREFERENCE_TUNING"))
    assert "Row 4" in job.error.message
    with pytest.raises(errors.ClientError, match="not supported"):
        tune(client, "gs://bkt/dpo.jsonl", "gemini-2.5-pro", method="PREFERENCE_TUNING")
    prompts = [{"prompt": f"q{n}"} for n in range(20)]
    teacher = {"method": "DISTILLATION", "base_teacher_model": "qwen/qwen3-next-80b-a3b-thinking-maas"}
    student = tune(
        client, put_rows(gcs, "p.jsonl", prompts), "qwen/qwen3@qwen3-32b", output_uri="gs://bkt/d", **teacher
    )
    assert ended(client, student).state.name == "JOB_STATE_SUCCEEDED"


def _line(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": [{"text": text}]} for role, text in turns]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_line(("user", "x")), "last turn"),
        (_line(("user", "x"), ("assistant", "y")), "role"),
        (_line(("user", "x"), ("model", "")), "empty"),
        (_line(("user", "x" * 600_000), ("model", "y")), "tokens"),
        ({"contents": []}, "contents"),
        ("no object", "object"),
    ],
)
def test_a_bad_row_fails_the_job_and_is_named(
    gcs: ThreadedGcs, vertex: Vertex, client: Any, row: Any, said: str
) -> None:
    job = ended(client, tune(client, put_rows(gcs, "bad.jsonl", [*gemini_rows(9), row])))
    assert job.state.name == "JOB_STATE_FAILED"
    assert job.error.code == 3
    assert "Row 10" in job.error.message
    assert said in job.error.message
    assert job.tuned_model is None


def test_a_validation_file_over_a_quarter_of_the_bytes_fails_an_open_job(
    gcs: ThreadedGcs, vertex: Vertex, client: Any
) -> None:
    training = put_rows(gcs, "train.jsonl", open_rows(80))
    validation = types.TuningValidationDataset(gcs_uri=put_rows(gcs, "val.jsonl", open_rows(80)[-20:]))
    job = tune(client, training, LLAMA, output_uri="gs://bkt/o", validation_dataset=validation)
    job = ended(client, job)
    assert job.state.name == "JOB_STATE_FAILED"
    assert "25%" in job.error.message


@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [("gs://nobody/t.jsonl", 7, "gcp-sa-vertex-tune"), ("gs://bkt/none.jsonl", 5, "not found")],
)
def test_a_file_that_the_service_agent_cannot_read_fails_the_job(
    vertex: Vertex, client: Any, uri: str, code: int, said: str
) -> None:
    job = ended(client, tune(client, uri))
    assert job.error.code == code
    assert said in job.error.message
    vertex.settings(check_dataset_at_create=True)
    with pytest.raises(errors.ClientError, match=said):
        tune(client, uri)
    assert len(vertex.jobs()) == 1


@pytest.mark.parametrize(
    ("model", "config", "code"),
    [
        ("qwen/qwen3@qwen3-30b-a3b-instruct-2507", {"output_uri": "gs://bkt/o"}, 400),
        ("google/gemma4@gemma-4-31b-it", {"output_uri": "gs://bkt/o", "tuning_mode": "TUNING_MODE_FULL"}, 400),
        ("google/gemma3@gemma-3-4b-it", {"output_uri": "gs://bkt/o", "tuning_mode": "TUNING_MODE_PEFT_ADAPTER"}, 400),
        (LLAMA, {}, 400),
        (LLAMA, {"output_uri": "gs://bkt/o", "learning_rate_multiplier": 1.0}, 400),
        ("gemini-2.5-flash", {"learning_rate": 1e-4}, 400),
        ("gemini-2.5-pro", {"adapter_size": "ADAPTER_SIZE_SIXTEEN"}, 400),
        ("gemini-1.5-flash-002", {}, 400),
        ("gemini-2.5-flash-lite", {}, 403),
    ],
)
def test_what_the_service_refuses_at_create(vertex: Vertex, client: Any, model: str, config: Any, code: int) -> None:
    vertex.settings(denied_models=["gemini-2.5-flash-lite"])
    with pytest.raises(errors.ClientError) as caught:
        tune(client, "gs://bkt/t.jsonl", model, **config)
    assert caught.value.code == code
    assert vertex.jobs() == []


@pytest.mark.parametrize(
    ("problem", "said"),
    [("SERVICE_DISABLED", "has not been used"), ("BILLING_DISABLED", "billing"), ("PERMISSION", "tuningJobs")],
)
def test_a_project_may_lack_what_it_needs(vertex: Vertex, client: Any, problem: str, said: str) -> None:
    vertex.settings(projects={"p1": problem})
    with pytest.raises(errors.ClientError, match=said) as caught:
        tune(client, "gs://bkt/t.jsonl")
    assert caught.value.code == 403


def test_the_second_job_waits_for_quota_or_is_refused(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    vertex.speed(0.0)
    training = put_rows(gcs, "train.jsonl", gemini_rows(20))
    first, second = tune(client, training), tune(client, training)
    other = tune(client, put_rows(gcs, "o.jsonl", open_rows(9)), LLAMA, output_uri="gs://bkt/o")
    vertex.speed(0.0, advance=60.0)

    def fine(job: Any) -> str:
        return str(client.tunings.get(name=job.name).tuning_job_state.name).removeprefix("TUNING_JOB_STATE_")

    assert [fine(first), fine(second), fine(other)] == ["TUNING", "WAITING_FOR_QUOTA", "TUNING"]
    vertex.settings(tuning_quota_rejects=True)
    with pytest.raises(errors.ClientError) as caught:
        tune(client, training)
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    vertex.speed(0.0, advance=245.0)
    assert client.tunings.get(name=first.name).has_succeeded
    assert fine(second) == "PROCESSING_DATASET"
    vertex.settings(tuning_quota=0, tuning_quota_rejects=False)
    third, fourth = tune(client, training), tune(client, training)
    vertex.speed(0.0, advance=60.0)
    assert [fine(third), fine(fourth)] == ["TUNING", "TUNING"]


def test_cancel_takes_its_time_and_refuses_ended_jobs(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    vertex.speed(0.0)
    training = put_rows(gcs, "train.jsonl", gemini_rows(20))
    job = tune(client, training)
    vertex.speed(0.0, advance=100.0)
    client.tunings.cancel(name=job.name)
    client.tunings.cancel(name=job.name)
    assert client.tunings.get(name=job.name).state.name == "JOB_STATE_CANCELLING"
    vertex.speed(0.0, advance=6.0)
    job = client.tunings.get(name=job.name)
    assert job.state.name == "JOB_STATE_CANCELLED"
    assert job.tuned_model is None
    with pytest.raises(errors.ClientError) as caught:
        client.tunings.cancel(name=job.name)
    assert (caught.value.code, caught.value.status) == (400, "FAILED_PRECONDITION")
    vertex.plan({"succeed_despite_cancel": True})
    job = tune(client, training)
    vertex.speed(0.0, advance=290.0)
    client.tunings.cancel(name=job.name)
    vertex.speed(0.0, advance=60.0)
    assert client.tunings.get(name=job.name).has_succeeded


def test_plans(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(20))
    vertex.plan({"kind": "tuning", "fail": {"code": 13, "message": "Internal error encountered."}})
    job = ended(client, tune(client, training))
    assert (job.state.name, job.error.code, job.error.message) == (
        "JOB_STATE_FAILED",
        13,
        "Internal error encountered.",
    )
    vertex.plan({"expire": True})
    assert ended(client, tune(client, training)).state.name == "JOB_STATE_EXPIRED"
    vertex.plan({"truncated": [3, 5], "dropped": {"7": "Prompt is too long."}})
    stats = ended(client, tune(client, training)).tuning_data_stats.supervised_tuning_data_stats
    assert (stats.total_truncated_example_count, stats.truncated_example_indices) == (2, [3, 5])
    assert stats.dropped_example_reasons == ["Prompt is too long."]
    vertex.speed(0.0)
    vertex.plan({"unknown_state": "JOB_STATE_REBALANCING", "waiting_for_quota_s": 50, "waiting_for_capacity_s": 70})
    job = tune(client, training)
    seen = []
    for _ in range(12):
        vertex.speed(0.0, advance=20.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            job = client.tunings.get(name=job.name)
        seen.append(str(getattr(job.state, "value", job.state)))
    assert "JOB_STATE_REBALANCING" in seen
    assert not job.has_ended


def test_list_filters_pages_refuses_and_lags(gcs: ThreadedGcs, vertex: Vertex, client: Any) -> None:
    training = put_rows(gcs, "train.jsonl", gemini_rows(9))
    names = [tune(client, training, labels={"run_key": f"k{n % 3}"}).name for n in range(9)]

    def listed(text: str | None) -> list[str]:
        config = types.ListTuningJobsConfig(filter=text, page_size=2)
        return [job.name for job in client.tunings.list(config=config)]

    assert listed(None) == names[::-1]
    assert listed('labels.run_key="k1"') == names[7::-3]
    vertex.settings(list_filter=False)
    with pytest.raises(errors.ClientError):
        listed('labels.run_key="k1"')
    vertex.settings(list_filter=True, list_visibility_delay_s=0.5)
    new = tune(client, training, labels={"run_key": "late"}).name
    assert listed('labels.run_key="late"') == []
    assert client.tunings.get(name=new).name == new
    assert poll(lambda: listed('labels.run_key="late"'), bool) == [new]
