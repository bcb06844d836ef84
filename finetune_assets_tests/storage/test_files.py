from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import hash_file, read_json, write_atomic, write_json_atomic
from finetune_assets_tests.storage.processes import running, says

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_writes_bytes_and_text_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_atomic(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@settings(max_examples=50)
@given(value=JSON)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json_atomic(path, value)
    assert read_json(path) == value


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(tmp_path / "x.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "what"), [(None, "missing"), (b"{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"", "not JSON")]
)
def test_read_json_names_the_file(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=what) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_json_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        read_json(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_old_file_and_says_which_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError) as caught:
            write_atomic(path, "new")
    line = str(caught.value)
    assert "\n" not in line
    assert "the disk is full" in line
    assert str(path) in line
    assert "mounted at /" in line
    assert "bytes free" in line
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_other_errors_of_the_system_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="I/O error"):
        write_atomic(tmp_path / "file", "new")
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_are_synced_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    seen: list[tuple[str, bool]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomic(path, "x")
    assert seen == [("file", False), ("folder", True)]


def test_hash_file(tmp_path: Path) -> None:
    path = tmp_path / "big"
    content = bytes(range(256)) * 9000  # more than two blocks
    path.write_bytes(content)
    assert hash_file(path) == (hashlib.sha256(content).hexdigest(), len(content))


def test_sigkill_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    script = """
        import sys
        from pathlib import Path
        from finetune_assets.storage.files import write_atomic
        print("go", flush=True)
        for number in range(10**9):
            write_atomic(Path(sys.argv[1]), str(number % 10) * 300_000)
        """
    for delay in (0.01, 0.03, 0.05):
        with running(script, path) as process:
            says(process, "go")
            while not path.exists():
                time.sleep(0.001)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
        text = path.read_text()
        assert len(text) == 300_000
        assert len(set(text)) == 1
    write_atomic(path, "last")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]  # what the killed ones left is swept


def test_both_errors_have_one_shape() -> None:
    parts = {"where": "here", "found": "x" * 300, "expected": "y", "mend": "do\n this"}
    assert str(StorageError("what", **parts)) == str(FinetuneError("what", **parts))
    assert vars(StorageError("what", **parts)) == vars(FinetuneError("what", **parts))
    assert str(StorageError("only this")) == "only this"
