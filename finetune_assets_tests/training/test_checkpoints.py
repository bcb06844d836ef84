import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.training.checkpoints import SEAL, newest_complete, problem_with, seal, step_of


def write_checkpoint(folder, step, *, identity="run", sealed=True):
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "nested").mkdir(parents=True)
    (checkpoint / "optimizer.pt").write_bytes(bytes(range(50)) * step)
    (checkpoint / "nested" / "weights").write_bytes(b"w" * step)
    if sealed:
        seal(checkpoint, identity)
    return checkpoint


def test_a_sealed_checkpoint_can_be_continued(tmp_path):
    assert problem_with(write_checkpoint(tmp_path, 3), "run") == ""


def test_the_newest_complete_one_is_found(tmp_path):
    for step in (9, 40, 100):
        write_checkpoint(tmp_path, step)
    found, removed = newest_complete(tmp_path, "run")
    assert found == tmp_path / "checkpoint-100"
    assert removed == []


def test_without_any_there_is_nothing_to_continue(tmp_path):
    assert newest_complete(tmp_path / "missing", "run") == (None, [])
    (tmp_path / "runs").mkdir()
    assert newest_complete(tmp_path, "run") == (None, [])


def test_a_torn_newest_one_gives_way_to_the_one_before(tmp_path):
    write_checkpoint(tmp_path, 10)
    torn = write_checkpoint(tmp_path, 20, sealed=False)
    found, removed = newest_complete(tmp_path, "run")
    assert found == tmp_path / "checkpoint-10"
    assert removed == ["checkpoint-20: no COMPLETE file"]
    assert not torn.exists()


@given(position=st.integers(0, 149), value=st.integers(1, 255))
def test_any_changed_byte_is_noticed(tmp_path_factory, position, value):
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("run"), 3)
    data = bytearray((checkpoint / "optimizer.pt").read_bytes())
    data[position] ^= value
    (checkpoint / "optimizer.pt").write_bytes(data)
    assert problem_with(checkpoint, "run") == "optimizer.pt has another checksum"


def test_a_missing_file_is_noticed(tmp_path):
    checkpoint = write_checkpoint(tmp_path, 3)
    (checkpoint / "nested" / "weights").unlink()
    assert problem_with(checkpoint, "run") == "nested/weights is missing"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": {}}', '{"run_identity": "run", "sha256": 3}'])
def test_an_unreadable_seal_is_no_seal(tmp_path, text):
    checkpoint = write_checkpoint(tmp_path, 3)
    (checkpoint / SEAL).write_text(text)
    assert problem_with(checkpoint, "run") == "COMPLETE is not readable"


def test_another_runs_checkpoint_is_not_continued(tmp_path):
    write_checkpoint(tmp_path, 5, identity="two threads")
    found, removed = newest_complete(tmp_path, "one thread")
    assert found is None
    assert removed == ["checkpoint-5: made by a run with other settings, data, threads or versions"]


def test_the_step_is_in_the_name(tmp_path):
    assert step_of(tmp_path / "checkpoint-12") == 12
    with pytest.raises(ValueError, match="no checkpoint's name"):
        step_of(tmp_path / "other")
