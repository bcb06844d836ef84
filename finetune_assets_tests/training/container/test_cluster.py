import json
from itertools import pairwise
from pathlib import Path

import pytest

from finetune_assets.training.container.cluster import (
    Cluster,
    count_gpus,
    launch_command,
    needs_launcher,
    read_cluster,
)
from finetune_assets.training.container.errors import BadJobError

POOLS = {
    "workerpool0": ["cmle-training-workerpool0-ab-0:2222"],
    "workerpool1": ["cmle-training-workerpool1-ab-0:2222", "cmle-training-workerpool1-ab-1:2222"],
}


def spec(kind, index, pools=POOLS):
    text = json.dumps({"cluster": pools, "environment": "cloud", "task": {"type": kind, "index": index}})
    return {"CLUSTER_SPEC": text}


@pytest.mark.parametrize(
    ("kind", "index", "rank"), [("workerpool0", 0, 0), ("workerpool1", 0, 1), ("workerpool1", 1, 2)]
)
def test_every_machine_knows_its_rank(kind, index, rank):
    cluster = read_cluster(spec(kind, index))
    assert cluster == Cluster(machines=3, rank=rank, host="cmle-training-workerpool0-ab-0", port=2222)
    assert cluster.is_first == (rank == 0)


def test_one_machine_needs_no_launcher():
    assert read_cluster({}) == Cluster()
    alone = read_cluster(spec("workerpool0", 0, {"workerpool0": ["a:2222"], "workerpool1": []}))
    assert alone.machines == 1
    assert not needs_launcher(alone, 1)
    assert needs_launcher(alone, 2)
    assert needs_launcher(Cluster(machines=2), 0)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"cluster": POOLS}),
        spec("workerpool1", 5)["CLUSTER_SPEC"],
        spec("workerpool2", 0, {**POOLS, "workerpool2": ["p:1"]})["CLUSTER_SPEC"],
        spec("workerpool0", 0, {"workerpool0": ["a:1", "b:1"]})["CLUSTER_SPEC"],
        spec("workerpool0", 0, {"workerpool0": ["nohost"]})["CLUSTER_SPEC"],
    ],
)
def test_another_form_is_refused(text):
    with pytest.raises(BadJobError, match="the job's machines cannot be told at CLUSTER_SPEC"):
        read_cluster({"CLUSTER_SPEC": text})


def options(command):
    return {name: value for name, value in pairwise(command) if name.startswith("--")}


def test_the_launcher_is_told_of_all_machines():
    command = launch_command(read_cluster(spec("workerpool1", 1)), 4, Path("/w/job.json"))
    given = options(command)
    assert given["--num_machines"] == "3"
    assert given["--machine_rank"] == "2"
    assert given["--num_processes"] == "12"
    assert given["--main_process_ip"] == "cmle-training-workerpool0-ab-0"
    assert given["--main_process_port"] == "2222"
    assert "--multi_gpu" in command
    assert command[-3:] == ["-m", "finetune_assets.training.adapter", "/w/job.json"]


def test_one_machine_with_two_gpus_needs_no_address():
    command = launch_command(Cluster(), 2, Path("/w/job.json"))
    assert options(command)["--num_processes"] == "2"
    assert "--main_process_ip" not in command


def test_the_launcher_takes_the_arguments():
    """accelerate's own parser, so that an option that it renames is noticed."""
    from accelerate.commands.launch import launch_command_parser

    command = launch_command(read_cluster(spec("workerpool0", 0)), 2, Path("/w/job.json"))
    parsed = launch_command_parser().parse_args(command[3:])
    assert (parsed.num_machines, parsed.machine_rank, parsed.num_processes) == (3, 0, 6)
    assert (parsed.main_process_ip, parsed.main_process_port) == ("cmle-training-workerpool0-ab-0", 2222)
    assert parsed.module is True
    assert (parsed.training_script, parsed.training_script_args) == (
        "finetune_assets.training.adapter",
        ["/w/job.json"],
    )


def test_machines_without_gpus_are_started_by_torch():
    command = launch_command(read_cluster(spec("workerpool1", 0)), 0, Path("/w/job.json"))
    given = options(command)
    assert command[1:3] == ["-m", "torch.distributed.run"]
    assert (given["--nnodes"], given["--node_rank"], given["--master_port"]) == ("3", "1", "2222")


def test_gpus_are_counted_by_their_devices(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert count_gpus(tmp_path) == 2
    assert count_gpus(tmp_path / "missing") == 0
