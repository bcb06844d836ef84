"""Real training runs on a tiny base, each in a process of its own as in production."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from finetune_assets.training.batches import OUT_OF_MEMORY_EXIT, STOPPED_EXIT
from finetune_assets.training.checkpoints import SEAL
from finetune_assets.training.digest import adapter_digest
from finetune_assets.tuning.config import EarlyStopping
from finetune_assets.tuning.local import plan_adapter
from finetune_assets_tests.training.conftest import adapter_job

pytestmark = pytest.mark.slow


def start(path, config, **options):
    plan = plan_adapter(path, config)
    return subprocess.Popen(
        plan.command, env={**os.environ, **plan.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def train(folder, base, **settings):
    """Run a job to its end; return exit code, folder, stdout messages and stderr."""
    path, _, config = adapter_job(folder, base, **settings)
    process = start(path, config)
    out, err = process.communicate(timeout=300)
    return process.returncode, messages(out), err.decode()


def messages(out):
    return [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]


def record_of(folder):
    return json.loads((folder / "out" / "training.json").read_text())


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_base):
    folder = tmp_path_factory.mktemp("undisturbed")
    code, told, err = train(folder, tiny_base)
    assert code == 0, err
    return folder, told


def test_the_result_is_an_adapter_with_its_record(undisturbed):
    folder, told = undisturbed
    record = record_of(folder)
    assert {path.name for path in (folder / "out").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
    }
    assert record["adapter_digest"] == adapter_digest(folder / "out") == told[-1]["adapter_digest"]
    assert (record["rows"], record["steps"], record["epochs"]) == (48, 18, 3.0)
    assert (record["truncated_rows"], record["dropped_rows"], record["resumed_from"]) == (0, 0, None)
    assert record["tokens"] > record["answer_tokens"] > 0
    assert record["loss"][0][0] == 1
    assert record["loss"][-1][1] < record["loss"][0][1]
    assert record["eval_rows"] == 9
    assert record["perplexity"] == pytest.approx(2.718281828 ** record["eval_loss"])


def test_loss_and_progress_are_told_as_they_come(undisturbed):
    _, told = undisturbed
    progress = [message for message in told if message["kind"] == "progress" and message["loss"] is not None]
    assert [message["step"] for message in progress] == list(range(1, 19))
    assert {message["total"] for message in progress} == {18}


def test_no_place_is_written_into_the_adapter(undisturbed, tiny_base):
    text = (undisturbed[0] / "out" / "adapter_config.json").read_text()
    assert str(tiny_base) not in text
    assert json.loads(text)["base_model_name_or_path"] == "embedded"


def test_the_adapter_loads_with_peft_and_changes_answers(undisturbed, tiny_base):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = base(ids).logits
        after = PeftModel.from_pretrained(base, str(undisturbed[0] / "out"))(ids).logits
    assert not torch.allclose(before, after)


def test_sigkill_and_resume_give_the_same_bits(undisturbed, tiny_base, tmp_path):
    path, _, config = adapter_job(tmp_path, tiny_base)
    process = start(path, config, start_new_session=True)
    wait_for((tmp_path / "work" / "checkpoint-5" / SEAL).exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "out" / "training.json").exists()

    process = start(path, config)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    record = record_of(tmp_path)
    assert record["resumed_from"] >= 5
    assert adapter_digest(tmp_path / "out") == adapter_digest(undisturbed[0] / "out")
    weights = "adapter_model.safetensors"
    assert (tmp_path / "out" / weights).read_bytes() == (undisturbed[0] / "out" / weights).read_bytes()
    # The loss curve is whole: the part before the kill comes from the checkpoint.
    assert record["loss"] == record_of(undisturbed[0])["loss"]


def test_a_request_to_stop_leaves_a_checkpoint_that_ends_in_the_same_bits(undisturbed, tiny_base, tmp_path):
    path, _, config = adapter_job(tmp_path, tiny_base, checkpoint_every=1000)
    process = start(path, config)
    for line in process.stdout:
        if json.loads(line).get("kind") == "progress":
            break
    process.terminate()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == STOPPED_EXIT
    assert [message["kind"] for message in messages(out)][-1] == "stopped"
    assert not (tmp_path / "out" / "training.json").exists()

    process = start(path, config)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert record_of(tmp_path)["resumed_from"] >= 1
    assert adapter_digest(tmp_path / "out") == adapter_digest(undisturbed[0] / "out")


def test_a_torn_checkpoint_is_passed_over(undisturbed, tiny_base, tmp_path):
    path, _, config = adapter_job(tmp_path, tiny_base)
    process = start(path, config)
    process.communicate(timeout=300)
    names = sorted(item.name for item in (tmp_path / "work").glob("checkpoint-*"))
    assert names == ["checkpoint-15", "checkpoint-18"]
    optimizer = tmp_path / "work" / "checkpoint-18" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:100])

    process = start(path, config)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    lines = [message.get("line", "") for message in messages(out)]
    assert "not continued from checkpoint-18: optimizer.pt has another checksum" in lines
    assert record_of(tmp_path)["resumed_from"] == 15
    assert adapter_digest(tmp_path / "out") == adapter_digest(undisturbed[0] / "out")


def test_the_trainer_dies_with_the_run_that_started_it(tiny_base, tmp_path):
    path, _, config = adapter_job(tmp_path, tiny_base, epochs=1000)
    plan = plan_adapter(path, config)
    launcher_code = (
        "import json, os, pathlib, subprocess, sys\n"
        f"path = pathlib.Path({str(path)!r}); job = json.loads(path.read_text())\n"
        "path.write_text(json.dumps({**job, 'expected_parent': os.getpid()}))\n"
        f"subprocess.run({plan.command!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", launcher_code], env={**os.environ, **plan.env})
    try:
        wait_for((tmp_path / "work" / "checkpoint-5" / SEAL).exists)
        family = psutil.Process(launcher.pid).children(recursive=True)
        assert len(family) == 2
        launcher.kill()
        launcher.wait(10)
        _, alive = psutil.wait_procs(family, timeout=15)
        assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        launcher.kill()


def test_early_stopping_stops_and_keeps_the_best(tiny_base, tmp_path):
    settings = {"epochs": 40, "learning_rate": 0.5, "early_stopping": EarlyStopping(patience=2, evaluate_every=4)}
    code, _, err = train(tmp_path, tiny_base, **settings)
    assert code == 0, err
    record = record_of(tmp_path)
    assert record["steps"] < 240
    best = min(loss for _, loss in record["validation_loss"])
    assert record["eval_loss"] == pytest.approx(best, abs=1e-4)


def test_rows_that_are_too_long_are_counted(tiny_base, tmp_path):
    code, _, err = train(tmp_path, tiny_base, max_length=56, epochs=1)
    assert code == 0, err
    record = record_of(tmp_path)
    assert record["truncated_rows"] > 0
    assert record["longest_row"] == 56


def test_accumulated_steps_learn_the_same(tiny_base, tmp_path, undisturbed):
    code, _, err = train(tmp_path, tiny_base, batch_size=4, gradient_accumulation=2)
    assert code == 0, err
    record = record_of(tmp_path)
    assert (record["steps"], record["batch_size"], record["gradient_accumulation"]) == (18, 4, 2)
    assert record["eval_loss"] == pytest.approx(record_of(undisturbed[0])["eval_loss"], rel=0.25)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"base": "/nowhere/at/all"}, "base model cannot be loaded at /nowhere/at/all"),
        ({"request": {"train_digest": "0" * 64}}, "rows are not the requested ones"),
        ({"request": {"config": {"profile": "gpu"}}}, "no GPU at tuning.profile"),
        ({"request": {"config": {"report_to": ["wandb"]}}}, "experiment tracker is not installed at tuning.report_to"),
        ({"request": {"config": {"max_length": 16}}}, "no rows to train on at training rows; found 48 rows, 48 too"),
        ({"trian": "x"}, "job file is not valid"),
    ],
)
def test_what_the_user_can_mend_is_one_line(tiny_base, tmp_path, capsys, monkeypatch, change, line):
    from finetune_assets.training import adapter, recipe

    monkeypatch.setattr(recipe, "find_spec", lambda name: None)
    monkeypatch.setattr(recipe.torch.cuda, "is_available", lambda: False)
    path, job, _ = adapter_job(tmp_path, tiny_base)
    path.write_text(json.dumps(merged(job, change)))
    assert adapter.main([str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(line)
    assert json.loads(printed.out.splitlines()[-1])["kind"] == "failed"


def merged(old, new):
    both = dict(old)
    for key, value in new.items():
        both[key] = merged(old[key], value) if isinstance(value, dict) else value
    return both


def test_pickled_weights_are_never_read(tiny_base, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file

    pickled = tmp_path / "pickled"
    shutil.copytree(tiny_base, pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    code, told, _ = train(tmp_path / "job", pickled)
    assert code == 1
    assert told[-1]["kind"] == "failed"
    assert told[-1]["line"].startswith(f"base model cannot be loaded at {pickled}")


def test_code_that_comes_with_a_model_is_never_run(tiny_base, tmp_path):
    import shutil

    evil = tmp_path / "evil"
    shutil.copytree(tiny_base, evil)
    ran = tmp_path / "ran"
    (evil / "modeling_evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = json.loads((evil / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}}
    (evil / "config.json").write_text(json.dumps(config))
    code, told, _ = train(tmp_path / "job", evil)
    assert code == 1
    assert told[-1]["line"].startswith("base model cannot be loaded")
    assert not ran.exists()


@pytest.mark.parametrize(("halvings", "expected"), [(0, OUT_OF_MEMORY_EXIT), (3, 1)])
def test_want_of_memory_ends_the_trainer_with_its_own_code_until_one_row_is_too_many(
    tiny_base, tmp_path, halvings, expected
):
    path, _, _ = adapter_job(tmp_path, tiny_base)
    code = (
        "import sys, torch\nfrom finetune_assets.training import adapter\n"
        "adapter.AdapterTrainer.train = lambda self, **kwargs: torch.empty(1 << 60, dtype=torch.uint8)\n"
        f"sys.exit(adapter.main([{str(path)!r}, '--halvings', '{halvings}']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == expected
    if expected == 1:
        assert "memory ran out with one row in a forward pass at tuning.batch_size" in done.stderr.decode()
