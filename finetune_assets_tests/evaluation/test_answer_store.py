"""The store of answers: whole parts only, one engine, and nothing that a later run could not go on from."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.evaluation.answer_store import PARTS, append_completions, finish_store, open_store
from finetune_assets.evaluation.engine import NOT_FINAL, Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets_tests.evaluation.rows import ScriptedEngine

ENGINE = ScriptedEngine({})
ODD = "line\nbreak \u2028 \ud800 ünï \x00"
ANSWERS = {
    "a": Completion("[1]", latency_s=0.25, prompt_tokens=7, completion_tokens=3, finish="stop"),
    "b": Completion.failed("timeout", latency_s=30.0),
    "c": Completion(ODD, finish="length"),
}


def parts(store: Path) -> list[Path]:
    return sorted(store.with_name(store.name + PARTS).glob("part-*"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "answers.parquet"
    assert open_store(path, ENGINE) == {}
    return path


def test_answers_come_back_as_they_were_in_parts_and_in_one_file(store: Path) -> None:
    for key, completion in ANSWERS.items():
        append_completions(store, {key: completion})
    assert open_store(store, ENGINE) == ANSWERS
    assert len(parts(store)) == 3
    assert finish_store(store, ENGINE)
    assert store.is_file()
    assert not store.with_name(store.name + PARTS).exists()
    assert open_store(store, ENGINE) == ANSWERS
    assert finish_store(store, ENGINE)
    with pytest.raises(FinetuneError, match="cannot be added"):
        append_completions(store, {"d": Completion("late")})


def test_the_file_is_a_table_that_others_read(store: Path) -> None:
    import pyarrow.parquet as pq

    append_completions(store, ANSWERS)
    finish_store(store, ENGINE)
    table = pq.read_table(store)
    assert table.column("example_id").to_pylist() == ["a", "b", "c"]
    assert len(set(table.column("engine").to_pylist())) == 1
    assert table.column("problem").to_pylist() == ["", "timeout", ""]


@settings(max_examples=40, deadline=None)
@given(texts=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text(st.characters(), max_size=9), max_size=4))
def test_any_text_is_kept(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    store = tmp_path_factory.mktemp("any") / "answers.parquet"
    open_store(store, ENGINE)
    given_ = {key: Completion(text) for key, text in texts.items()}
    append_completions(store, given_)
    assert open_store(store, ENGINE) == given_


def test_the_first_answer_stands(store: Path) -> None:
    append_completions(store, {"a": Completion("first")})
    append_completions(store, {"a": Completion("second")})
    assert open_store(store, ENGINE)["a"].text == "first"


@pytest.mark.parametrize("problem", sorted(NOT_FINAL))
def test_what_says_nothing_of_the_model_is_asked_again(store: Path, problem: str) -> None:
    append_completions(store, {"a": Completion.failed(problem)})
    assert parts(store) == []
    append_completions(store, {"a": Completion.failed(problem), "b": Completion.failed("provider_error")})
    assert list(open_store(store, ENGINE)) == ["b"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_torn_part_is_removed_and_the_others_stay(store: Path, share: float) -> None:
    for key, completion in ANSWERS.items():
        append_completions(store, {key: completion})
    torn = parts(store)[1]
    whole = torn.read_bytes()
    torn.write_bytes(whole[: int(len(whole) * share)])
    assert sorted(open_store(store, ENGINE)) == ["a", "c"]
    assert not torn.exists()
    append_completions(store, {"b": ANSWERS["b"]})
    assert open_store(store, ENGINE) == ANSWERS


def test_a_part_that_the_disk_spoilt_is_never_half_believed(store: Path) -> None:
    append_completions(store, ANSWERS)
    (part,) = parts(store)
    whole = bytearray(part.read_bytes())
    for place in range(0, len(whole), 37):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0xFF
        part.write_bytes(spoilt)
        try:
            found = open_store(store, ENGINE)
        except FinetuneError:  # the digest of the engine was hit
            continue
        assert set(found) <= set(ANSWERS) or not part.exists()


def test_another_models_store_is_refused(store: Path) -> None:
    append_completions(store, ANSWERS)
    other = ScriptedEngine({}, name="other")
    with pytest.raises(FinetuneError, match="another model's"):
        open_store(store, other)
    finish_store(store, ENGINE)
    with pytest.raises(FinetuneError, match="another model's") as caught:
        open_store(store, other)
    assert caught.value.where == str(store)


def test_a_finished_store_that_is_no_table_is_named(store: Path) -> None:
    store.write_bytes(b"PAR1 rubbish PAR1")
    with pytest.raises(FinetuneError, match="cannot be read"):
        open_store(store, ENGINE)


def test_an_empty_store_makes_no_file(store: Path) -> None:
    assert not finish_store(store, ENGINE)
    assert not store.exists()


def test_a_full_disk_is_named_and_what_was_there_stays(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_completions(store, {"a": ANSWERS["a"]})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("finetune_assets.storage.files.os.fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            append_completions(store, {"b": ANSWERS["b"]})
    assert list(open_store(store, ENGINE)) == ["a"]

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("finetune_assets.storage.files.os.fsync", broken)
    with pytest.raises(OSError, match="input/output"):
        append_completions(store, {"b": ANSWERS["b"]})


_WRITER = """
import sys
from pathlib import Path
from finetune_assets.evaluation.answer_store import append_completions, open_store
from finetune_assets.evaluation.engine import Completion
from finetune_assets_tests.evaluation.rows import ScriptedEngine
store = Path(sys.argv[1])
start = len(open_store(store, ScriptedEngine({})))
for number in range(start, start + 10_000):
    append_completions(store, {f"id{number}": Completion(f"answer {number}")})
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_told(tmp_path: Path) -> None:
    store = tmp_path / "answers.parquet"
    told = -1
    for _ in range(3):
        writer: Any = subprocess.Popen([sys.executable, "-c", _WRITER, str(store)], stdout=subprocess.PIPE, text=True)
        for _line in range(4):
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = open_store(store, ENGINE)
        assert len(found) in (told + 1, told + 2)
        assert all(found[f"id{number}"].text == f"answer {number}" for number in range(told + 1))
    assert not list(store.with_name(store.name + PARTS).glob(".tmp*"))
