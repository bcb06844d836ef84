"""Checkpoints in Cloud Storage, without a trainer."""

import pytest

from finetune_assets.storage.gcs.calls import Patience
from finetune_assets.training.checkpoints import SEAL, newest_complete, seal
from finetune_assets.training.container.errors import StorageFailedError
from finetune_assets.training.container.mirror import Mirror
from finetune_assets.training.container.remote import Remote
from finetune_assets.training.supervise import HALVINGS_FILE

FOLDER = "gs://bkt/jobs/k/checkpoints"


@pytest.fixture
def remote(gcs):
    return Remote(gcs.client(), patience=Patience(deadline_s=2.0, initial_s=0.1))


def checkpoint(work, step, identity="me", content="weights"):
    folder = work / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(f"{content} {step}")
    (folder / "deep" / "optimizer.pt").write_text("state")
    seal(folder, identity)
    return folder


def mirror(remote, work):
    lines = []
    return Mirror(remote, FOLDER, work, lines.append), lines


def test_what_is_stored_comes_back_on_another_machine(remote, tmp_path):
    checkpoint(tmp_path / "a", 5)
    checkpoint(tmp_path / "a", 10)
    first, _ = mirror(remote, tmp_path / "a")
    assert (first.store(), first.store()) == (2, 0)

    second, _ = mirror(remote, tmp_path / "b")
    assert second.restore() == [10]
    found, removed = newest_complete(tmp_path / "b", "me")
    assert (found.name, removed) == ("checkpoint-10", [])
    # What was restored is not uploaded again.
    assert second.store() == 0


def test_an_unsealed_checkpoint_stays_here(remote, gcs, tmp_path):
    folder = checkpoint(tmp_path, 5)
    (folder / SEAL).unlink()
    assert mirror(remote, tmp_path)[0].store() == 0
    assert list(gcs.client().list_blobs("bkt")) == []


def test_a_checkpoint_that_is_being_removed_gets_no_seal_there(remote, gcs, tmp_path):
    """The trainer keeps the newest ones and removes file by file: what is left of one must not pass for a whole."""
    (checkpoint(tmp_path / "a", 5) / "deep" / "optimizer.pt").unlink()
    checkpoint(tmp_path / "a", 10)
    assert mirror(remote, tmp_path / "a")[0].store() == 1
    sealed = [blob.name for blob in gcs.client().list_blobs("bkt") if blob.name.endswith(SEAL)]
    assert len(sealed) == 1
    assert "checkpoint-10" in sealed[0]


def test_without_its_seal_a_checkpoint_there_does_not_count(remote, gcs, tmp_path):
    checkpoint(tmp_path / "a", 5)
    checkpoint(tmp_path / "a", 10)
    mirror(remote, tmp_path / "a")[0].store()
    newest = next(blob for blob in gcs.client().list_blobs("bkt") if "checkpoint-10" in blob.name and SEAL in blob.name)
    newest.delete()
    assert mirror(remote, tmp_path / "b")[0].restore() == [5]


def test_an_outage_is_said_once_and_made_up_for(remote, gcs, tmp_path):
    checkpoint(tmp_path, 5)
    keeper, lines = mirror(remote, tmp_path)
    gcs.deny("storage.objects.create")
    with pytest.raises(StorageFailedError):
        keeper.store()
    gcs.deny()
    assert keeper.store() == 1
    assert lines == ["checkpoint-5 is in Cloud Storage"]


def test_smaller_batches_are_remembered_with_their_checkpoints(remote, tmp_path):
    """After memory ran out a run has another identity; both ways to train are brought back."""
    checkpoint(tmp_path / "a", 10, "whole")
    checkpoint(tmp_path / "a", 5, "halved")
    (tmp_path / "a" / HALVINGS_FILE).write_text("1")
    mirror(remote, tmp_path / "a")[0].store()
    assert mirror(remote, tmp_path / "b")[0].restore() == [10, 5]
    assert (tmp_path / "b" / HALVINGS_FILE).read_text() == "1"


def test_the_same_checkpoint_of_two_starts_is_stored_once(remote, gcs, tmp_path):
    checkpoint(tmp_path / "a", 5)
    checkpoint(tmp_path / "b", 5)
    for machine in ("a", "b"):
        mirror(remote, tmp_path / machine)[0].store()
    assert len(list(gcs.client().list_blobs("bkt"))) == 3
