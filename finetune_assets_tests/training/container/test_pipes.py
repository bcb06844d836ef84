"""The line to Dagster: written by the container, read by dagster-gcp's own reader."""

import json
import os
import signal
import time
from contextlib import contextmanager

import dagster as dg
import pytest
from dagster_gcp.pipes import PipesGCSContextInjector, PipesGCSMessageReader

from finetune_assets.training.container import pipes
from finetune_assets.training.container.pipes import open_line
from finetune_assets.tuning.container_job import PipesPlace
from finetune_assets_tests.fakes.fixtures import wait_until
from finetune_assets_tests.training.container.conftest import job_of, place, put, run, start


class SamePlaceReader(PipesGCSMessageReader):
    """Reads what lies under the job's own prefix, so that a later run reads it as well."""

    def __init__(self, prefix, **options):
        super().__init__(**options)
        self._prefix = prefix

    @contextmanager
    def get_params(self):
        yield {"bucket": self.bucket, "key_prefix": self._prefix}


def lines(gcs, prefix="jobs/k1/pipes"):
    """Return all messages in the order in which a reader sees them."""
    client = gcs.client()
    names = [blob.name for blob in client.list_blobs("bkt", prefix=f"{prefix}/")]
    numbers = sorted(int(name.rsplit("/", 1)[1].removesuffix(".json")) for name in names)
    assert numbers == list(range(1, len(numbers) + 1))
    texts = [client.bucket("bkt").blob(f"{prefix}/{number}.json").download_as_text() for number in numbers]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def kinds(told):
    return [
        message["params"]["payload"]["kind"] if message["method"] == "report_custom_message" else message["method"]
        for message in told
    ]


@pytest.mark.slow
def test_dagster_reads_a_job_that_is_killed_and_starts_again(gcs, tiny_base, tmp_path):
    """One asset launches the container twice, as Vertex AI does after a preemption, and sees one run."""
    client = gcs.client()
    seen = {}

    @dg.asset
    def tuned(context: dg.AssetExecutionContext):
        with dg.open_pipes_session(
            context=context,
            context_injector=PipesGCSContextInjector(bucket="bkt", client=client),
            message_reader=SamePlaceReader("jobs/k1/pipes", bucket="bkt", client=client, interval=1),
        ) as session:
            variables = session.get_bootstrap_params()
            placed = job_of(
                gcs,
                tmp_path / "job",
                tiny_base,
                pipes=PipesPlace(
                    context=dict(variables["DAGSTER_PIPES_CONTEXT"]), messages=dict(variables["DAGSTER_PIPES_MESSAGES"])
                ),
            )
            process = start(placed, tmp_path / "first")
            wait_until(lambda: any(name.endswith("COMPLETE") for name in placed.names("jobs/k1/checkpoints")), 120)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
            seen["code"], _, seen["err"] = run(placed, tmp_path / "second")
        seen["messages"] = session.get_custom_messages()
        return dg.MaterializeResult()

    with dg.instance_for_test() as instance:
        result = dg.materialize([tuned], instance=instance)
        logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert result.success
    assert seen["code"] == 0, seen["err"]
    told = [message["kind"] for message in seen["messages"]]
    assert told[-1] == "finished"
    steps = [message["step"] for message in seen["messages"] if message.get("loss") is not None]
    assert steps[-1] == 60
    assert any(line.startswith("checkpoint of step") for line in logged)
    assert any(line.startswith("step 60/60 loss") for line in logged)


@pytest.mark.slow
def test_a_failure_and_a_notice_are_told(gcs, tiny_base, tmp_path):
    placed = job_of(gcs, tmp_path / "job", tiny_base, pipes=place(), max_length=16)
    code, _, _ = run(placed, tmp_path / "work")
    told = lines(gcs)
    assert code == 70
    assert kinds(told)[-2:] == ["failed", "closed"]
    assert "no rows to train on" in told[-2]["params"]["payload"]["line"]

    placed = job_of(gcs, tmp_path / "job2", tiny_base, key="k2", pipes=place("k2"))
    process = start(placed, tmp_path / "work2")
    wait_until(lambda: any(name.endswith("COMPLETE") for name in placed.names("jobs/k2/checkpoints")), 120)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    # Nothing closes the session: Dagster's reader would not look at what the next start says.
    assert kinds(lines(gcs, "jobs/k2/pipes"))[-1] == "stopped"


def tell(gcs, *texts, goes_on=False, place_=None, environ=None):
    with open_line(place_, environ or {}, gcs.client()) as line:
        for text in texts:
            line.reporter.message({"kind": text})
        if goes_on:
            line.will_start_again()


def test_a_second_start_numbers_on(gcs):
    tell(gcs, "a", goes_on=True, place_=place())
    tell(gcs, "b", place_=place())
    assert kinds(lines(gcs)) == ["opened", "a", "opened", "b", "closed"]


def test_what_could_not_be_written_goes_with_the_next(gcs, monkeypatch, capsys):
    monkeypatch.setattr(pipes, "INTERVAL_S", 0.0)
    with open_line(place(), {}, gcs.client()) as line:
        gcs.deny("storage.objects.create")
        line.reporter.message({"kind": "early"})
        end = time.monotonic() + 30
        said = ""
        while "messages wait" not in said and time.monotonic() < end:
            time.sleep(0.1)
            said += capsys.readouterr().err
        gcs.deny()
        line.reporter.message({"kind": "late"})
    assert "messages wait: Forbidden" in said
    assert kinds(lines(gcs)) == ["opened", "early", "late", "closed"]


def test_a_lost_answer_tells_nothing_twice(gcs):
    gcs.fault({"match": r"upload.*pipes|pipes.*upload|POST /upload", "cut": "after_commit", "times": 1})
    tell(gcs, "a", place_=place())
    assert kinds(lines(gcs)) == ["opened", "a", "closed"]


def test_a_number_that_somebody_else_took_is_passed_over(gcs):
    with open_line(place(), {}, gcs.client()) as line:
        put(gcs.client().bucket("bkt"), "jobs/k1/pipes/1.json", json.dumps({"method": "log", "params": {}}))
        line.reporter.message({"kind": "a"})
    assert kinds(lines(gcs)) == ["log", "opened", "a", "closed"]


def test_the_environment_names_the_line_too(gcs):
    from dagster_pipes import encode_param

    environ = {
        "DAGSTER_PIPES_CONTEXT": encode_param({"data": dict(pipes._NOBODY)}),
        "DAGSTER_PIPES_MESSAGES": encode_param({"bucket": "bkt", "key_prefix": "elsewhere"}),
    }
    tell(gcs, "a", environ=environ)
    assert kinds(lines(gcs, "elsewhere")) == ["opened", "a", "closed"]


@pytest.mark.parametrize("messages", [{"bucket": "nowhere"}, {"bucket": "bkt", "key_prefix": "x"}])
def test_without_a_line_the_container_goes_on_quietly(gcs, capsys, messages):
    if messages["bucket"] == "bkt":
        gcs.deny("storage.buckets.get", "storage.objects.list")
    tell(gcs, "a", place_=PipesPlace(context={"data": dict(pipes._NOBODY)}, messages=messages))
    told = capsys.readouterr()
    assert "going on quietly" in told.err
    assert json.loads(told.out) == {"kind": "a"}
