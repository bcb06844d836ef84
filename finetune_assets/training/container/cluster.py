"""Which machine of a job this one is, and the command that makes several machines or GPUs train together.

Here belongs the reading of Vertex AI's CLUSTER_SPEC
(https://cloud.google.com/vertex-ai/docs/training/distributed-training, read 2026-11) and nothing that starts a process.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from finetune_assets.training.container.errors import BadJobError
from finetune_assets.training.supervise import TRAINER_MODULE

CLUSTER_SPEC = "CLUSTER_SPEC"
_POOLS = ("workerpool0", "workerpool1")
_DEVICE = re.compile(r"nvidia\d+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines of a job.

    Attributes:
        machines: how many train together, 1 or more.
        rank: this one's number; 0 uploads and reports.
        host: the first machine's address, "" for one machine alone.
        port: its port, 0 for one machine alone.
    """

    machines: int = 1
    rank: int = 0
    host: str = ""
    port: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this machine uploads and reports."""
        return self.rank == 0


def read_cluster(environ: Mapping[str, str]) -> Cluster:
    """Return the machines that CLUSTER_SPEC tells of; without it, this one alone.

    Raises:
        BadJobError: when it is not of the documented form, or has pools besides 0 and 1.
    """
    text = environ.get(CLUSTER_SPEC, "")
    if not text:
        return Cluster()
    try:
        spec = json.loads(text)
        pools: dict[str, list[str]] = {name: list(members) for name, members in spec["cluster"].items() if members}
        kind, index = str(spec["task"]["type"]), int(spec["task"]["index"])
        host, _, port = pools[_POOLS[0]][0].rpartition(":")
        if set(pools) - set(_POOLS) or len(pools[_POOLS[0]]) != 1 or not host:
            raise ValueError("pool 0 with one machine and pool 1 with the others are known")
        if not 0 <= index < len(pools[kind]):
            raise ValueError(f"{kind} has no machine {index}")
        return Cluster(
            machines=sum(map(len, pools.values())),
            rank=index if kind == _POOLS[0] else 1 + index,
            host=host,
            port=int(port),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadJobError(
            "the job's machines cannot be told",
            where=CLUSTER_SPEC,
            found=f"{type(error).__name__}: {error}",
            expected="workerpool0 with one machine, workerpool1 with the others, host:port each",
            mend="submit the job with worker pools 0 and 1 only",
        ) from error


def count_gpus(devices: Path = Path("/dev")) -> int:
    """Return how many NVIDIA GPUs this machine lends to the container."""
    return sum(_DEVICE.fullmatch(entry.name) is not None for entry in devices.iterdir()) if devices.is_dir() else 0


def needs_launcher(cluster: Cluster, gpus: int) -> bool:
    """Whether more than one process trains, so that `accelerate launch` has to start them."""
    return cluster.machines > 1 or gpus > 1


def launch_command(cluster: Cluster, gpus: int, job_file: Path) -> list[str]:
    """Return the command that trains on several machines or GPUs, data-parallel: one process for each GPU.

    Args:
        cluster: the machines.
        gpus: GPUs of each machine; 0 takes one CPU process each, started by torch itself.
        job_file: JSON as `training/adapter.py` reads it.
    """
    if not gpus:
        return _torch_command(cluster, job_file)
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--num_machines", str(cluster.machines), "--machine_rank", str(cluster.rank)]
    command += ["--num_processes", str(gpus * cluster.machines), "--multi_gpu"]
    if cluster.machines > 1:
        command += ["--main_process_ip", cluster.host, "--main_process_port", str(cluster.port)]
        command += ["--rdzv_backend", "static"]
    # The trainer decides on precision itself; said here so that no configuration of the machine does.
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    return [*command, "-m", TRAINER_MODULE, str(job_file)]


def _torch_command(cluster: Cluster, job_file: Path) -> list[str]:
    """Return the command for machines without GPUs: there `accelerate launch` wants MPI, and else trains apart."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "1"]
    command += ["--nnodes", str(cluster.machines), "--node_rank", str(cluster.rank)]
    command += ["--master_addr", cluster.host, "--master_port", str(cluster.port)]
    return [*command, "-m", TRAINER_MODULE, str(job_file)]
