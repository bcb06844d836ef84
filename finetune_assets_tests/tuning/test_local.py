import sys
from pathlib import Path

from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.local import plan_adapter, plan_base_model

JOB = Path("/somewhere/job.json")
SECRETS = {"HF_TOKEN": "hf_secret", "WANDB_API_KEY": "wandb_secret", "AWS_SECRET_ACCESS_KEY": "aws_secret"}


def test_the_embedded_base_needs_neither_network_nor_secrets():
    plan = plan_adapter(JOB, TuningConfig(), SECRETS)
    assert plan.command == [sys.executable, "-m", "finetune_assets.training.supervise", str(JOB)]
    assert plan.env["HF_HUB_OFFLINE"] == "1"
    assert not set(SECRETS) & set(plan.env)


def test_a_hub_model_gets_its_token_and_nothing_else():
    plan = plan_adapter(JOB, TuningConfig(base_model="microsoft/Phi-3-mini-4k-instruct"), SECRETS)
    assert "HF_HUB_OFFLINE" not in plan.env
    assert {name: plan.env[name] for name in SECRETS if name in plan.env} == {"HF_TOKEN": "hf_secret"}


def test_a_tracker_gets_its_key_only_where_it_is_asked_for():
    plan = plan_adapter(JOB, TuningConfig(report_to=("wandb",)), SECRETS)
    assert plan.env["WANDB_API_KEY"] == "wandb_secret"
    assert "HF_TOKEN" not in plan.env


def test_a_local_folder_stays_offline(tmp_path):
    assert plan_adapter(JOB, TuningConfig(base_model=str(tmp_path)), SECRETS).env["HF_HUB_OFFLINE"] == "1"


def test_secrets_do_not_show_in_a_printed_plan():
    assert "hf_secret" not in repr(plan_adapter(JOB, TuningConfig(base_model="a/b"), SECRETS))


def test_threads_are_fixed_and_waiting_ones_sleep():
    env = plan_adapter(JOB, TuningConfig(threads=3)).env
    assert (env["OMP_NUM_THREADS"], env["MKL_NUM_THREADS"], env["OMP_WAIT_POLICY"]) == ("3", "3", "PASSIVE")
    assert plan_base_model(JOB, threads=2).env["OMP_NUM_THREADS"] == "2"


def test_nothing_is_reported_to_the_hub():
    assert plan_adapter(JOB, TuningConfig(base_model="a/b")).env["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_the_base_model_is_planned_offline():
    plan = plan_base_model(JOB)
    assert plan.command[1:] == ["-m", "finetune_assets.training.base_model", str(JOB)]
    assert plan.env["HF_HUB_OFFLINE"] == "1"
