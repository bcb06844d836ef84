"""The local backend: which command, environment and folder carry out a request on this machine.

Here belong launch plans. `lineage` starts them through Dagster Pipes; this module starts nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finetune_assets.tuning.config import TuningConfig

BASE_MODEL_MODULE = "finetune_assets.training.base_model"
ADAPTER_MODULE = "finetune_assets.training.supervise"
# The only secrets that a trainer may see, and who needs them.
HUB_SECRET = "HF_TOKEN"  # noqa: S105 - the name of a variable, not its value
TRACKER_SECRETS = {"wandb": "WANDB_API_KEY"}


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """A process to start.

    Attributes:
        command: program and arguments.
        env: variables to set on top of the launcher's environment.
        cwd: working folder, None for the launcher's own.
    """

    command: list[str]
    # Holds secrets by value: a plan that is printed or logged must not show them.
    env: dict[str, str] = field(repr=False)
    cwd: Path | None = None


def _environment(threads: int, *, offline: bool) -> dict[str, str]:
    env = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # Idle worker threads sleep instead of spinning: the two cores are shared with Dagster.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        # trl reports each run's model and device to the hub otherwise.
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if offline:
        env["HF_HUB_OFFLINE"] = "1"
    return env


def plan_base_model(job_file: Path, *, threads: int = 2) -> LaunchPlan:
    """Plan the training of the embedded base.

    Args:
        job_file: JSON as `training/base_model.py` reads it.
        threads: CPU threads; the request's `model.threads`.

    Returns:
        The process to start. It needs no network.
    """
    command = [sys.executable, "-m", BASE_MODEL_MODULE, str(job_file)]
    return LaunchPlan(command=command, env=_environment(threads, offline=True))


def plan_adapter(job_file: Path, config: TuningConfig, environ: Mapping[str, str] | None = None) -> LaunchPlan:
    """Plan the training of an adapter.

    Args:
        job_file: JSON as `training/adapter.py` reads it.
        config: the request's settings.
        environ: where secrets are looked up by name; None passes none.

    Returns:
        The process to start: a supervisor that starts the trainer and starts it anew with half the batch when
        memory runs out. Offline unless the base is a hub id.
    """
    on_hub = not config.is_embedded and not Path(config.base_model).is_dir()
    env = _environment(config.threads, offline=not on_hub)
    wanted = [HUB_SECRET] if on_hub else []
    wanted += [TRACKER_SECRETS[name] for name in config.report_to if name in TRACKER_SECRETS]
    for name in wanted:
        if environ is not None and environ.get(name):
            env[name] = environ[name]
    command = [sys.executable, "-m", ADAPTER_MODULE, str(job_file)]
    return LaunchPlan(command=command, env=env)
