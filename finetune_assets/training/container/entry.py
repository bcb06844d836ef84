"""One start of the container, from job to result: fetch, go on from checkpoints, train, store.

Exit codes: 0 the result is stored; 65 the job or a file of it is wrong; 70 training failed; 74 Cloud Storage or the
disk failed; 143 the machine is taken away and a checkpoint is stored; 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets.training.container.cluster import Cluster, count_gpus, needs_launcher, read_cluster
from finetune_assets.training.container.errors import ContainerError, StorageFailedError, TrainingFailedError
from finetune_assets.training.container.inputs import fetch_job, hub_downloader, write_trainer_job
from finetune_assets.training.container.mirror import Mirror
from finetune_assets.training.container.pipes import Line, open_line
from finetune_assets.training.container.process import Stop, StoppedError, run_trainer, trainer_command
from finetune_assets.training.container.remote import Remote, make_client
from finetune_assets.training.container.result import find_result, store_result
from finetune_assets.training.container.secrets import fetch_secret, find_secrets
from finetune_assets.tuning.container_job import STOPPED_EXIT, ContainerJob, ContainerResult, HubBase
from finetune_assets.tuning.local import HUB_SECRET, TRACKER_SECRETS

# Vertex AI names these folders by `base_output_dir`.
MODEL_FOLDER, CHECKPOINT_FOLDER = "AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR"


@dataclass(frozen=True, slots=True)
class Start:
    """Everything that one start of the container works with.

    Attributes:
        job: what is to be done.
        remote: Cloud Storage.
        work: a folder of this machine.
        cluster: the job's machines.
        environ: the environment.
        stop: the notice that this machine is taken away.
        line: what is told.
    """

    job: ContainerJob
    remote: Remote
    work: Path
    cluster: Cluster
    environ: Mapping[str, str]
    stop: Stop
    line: Line

    @property
    def model_folder(self) -> str:
        """gs:// folder of the result."""
        return self.environ.get(MODEL_FOLDER) or f"{self.job.output.rstrip('/')}/model"

    @property
    def checkpoint_folder(self) -> str:
        """gs:// folder of the checkpoints."""
        return self.environ.get(CHECKPOINT_FOLDER) or f"{self.job.output.rstrip('/')}/checkpoints"


def carry_out(start: Start) -> ContainerResult | None:
    """Do the job, or take over the result that an earlier start left.

    Returns:
        The result; None when the machine is taken away first, or when another machine of the job stores it.

    Raises:
        ContainerError: when there will be no result.
    """
    done = find_result(start.remote, start.model_folder, start.job)
    if done is not None:
        start.line.reporter.info("an earlier start of this job finished; its result is complete")
        return done
    secrets = _secrets(start)
    gpus = count_gpus()
    launched = needs_launcher(start.cluster, gpus)
    job_file = write_trainer_job(
        start.remote, start.job, start.work, hub_downloader(secrets.get(HUB_SECRET)), None if launched else os.getpid()
    )
    mirror = Mirror(start.remote, start.checkpoint_folder, start.work / "checkpoints", start.line.reporter.info)
    steps = mirror.restore()
    start.line.reporter.info(f"checkpoint of step {steps[0]} is here" if steps else "no checkpoint yet")
    if start.cluster.is_first:
        mirror.start()
    command, env = trainer_command(start.job, job_file, start.cluster, gpus, secrets)
    try:
        code, reason = run_trainer(command, env, start.environ, start.stop, start.line.reporter)
    finally:
        mirror.stop()
    if code and not start.stop.asked:
        raise TrainingFailedError(
            "training failed", found=reason or f"exit code {code}", mend="see the job's log; a new attempt resumes"
        )
    if start.cluster.is_first:
        mirror.store()
    if code or not start.cluster.is_first:
        return None
    result = store_result(start.remote, start.work / "out", start.model_folder, start.job)
    start.line.reporter.info(f"the result is in {start.model_folder}")
    return result


def _secrets(start: Start) -> dict[str, str]:
    wanted = [HUB_SECRET] if isinstance(start.job.base, HubBase) else []
    wanted += [TRACKER_SECRETS[name] for name in start.job.request.config.report_to if name in TRACKER_SECRETS]
    references = {str(name): reference for name, reference in start.job.secrets.items()}
    return find_secrets({name: references.get(name) for name in wanted}, start.environ, fetch_secret)


def _finish(start: Start) -> int:
    """Carry out the job and tell how it ended; return the exit code."""
    try:
        result = carry_out(start)
    except StoppedError:
        result = None
    except ContainerError as error:
        return _fail(start.line, error)
    except StorageError as error:
        return _fail(start.line, StorageFailedError(error.what, where=error.where, found=error.found, mend=error.mend))
    if result is not None:
        start.line.reporter.message({"kind": "finished", "adapter_digest": result.adapter_digest})
        return 0
    if not start.stop.asked:
        return 0
    start.line.reporter.message({"kind": "stopped", "line": "the machine is taken away; the job goes on elsewhere"})
    start.line.will_start_again()
    return STOPPED_EXIT


def _fail(line: Line, error: ContainerError) -> int:
    line.reporter.message({"kind": "failed", "line": str(error), "exit_code": error.exit_code})
    _say(str(error))
    return error.exit_code


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Carry out the job that the command line names; return the exit code.

    Args:
        arguments: the command line; None takes the process's own.
        environ: the environment; None takes the process's own.
    """
    parser = argparse.ArgumentParser(
        prog="python -m finetune_assets.training.container", description="Train what a job in Cloud Storage asks for."
    )
    parser.add_argument("--job", required=True, metavar="URI", help="gs://bucket/jobs/KEY/job.json")
    parser.add_argument("--sha256", default="", help="SHA-256 that the job file must have; without it any is taken")
    parser.add_argument("--work", type=Path, help="folder for files of this start; a fresh temporary one by default")
    given = parser.parse_args(arguments)
    env = os.environ if environ is None else environ
    stop = Stop()
    restore = stop.install()
    try:
        with tempfile.TemporaryDirectory(prefix="finetune-container-") as fresh:
            work = given.work or Path(fresh)
            work.mkdir(parents=True, exist_ok=True)
            return _run(given.job, given.sha256, work, env, stop)
    except StoppedError:
        return STOPPED_EXIT
    except ContainerError as error:
        _say(str(error))
        return error.exit_code
    except FinetuneError as error:
        _say(str(error))
        return ContainerError.exit_code
    finally:
        restore()


def _run(uri: str, sha256: str, work: Path, environ: Mapping[str, str], stop: Stop) -> int:
    cluster = read_cluster(environ)
    client = make_client(environ)
    remote = Remote(client)
    job = fetch_job(remote, uri, sha256)
    first = cluster.is_first
    # One machine tells; the others' lines are in the job's log.
    with open_line(job.pipes if first else None, environ if first else {}, client) as line:
        return _finish(Start(job, remote, work, cluster, environ, stop, line))
