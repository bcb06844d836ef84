from __future__ import annotations

import errno
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.records.digests import digest_of, digest_of_text
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.errors import StorageError
from finetune_assets_tests.storage.processes import finish, running, says, spawn


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def put(store: ArtifactStore, key: str, files: dict[str, str], **options: Any) -> Artifact:
    with store.create("kind", key) as staging:
        for name, text in files.items():
            path = staging.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return staging.commit(options.pop("manifest", {}), **options)


def staged(store: ArtifactStore) -> list[str]:
    area = store.root / ".staging"
    return [entry.name for entry in area.iterdir()] if area.exists() else []


def test_round_trip(store: ArtifactStore) -> None:
    made = put(store, "one", {"a.txt": "A", "deep/b.txt": "BB"}, manifest={"rows": 2, "made_at": "now"})
    found = store.open("kind", "one")
    assert found == made
    assert found.path == store.root / "kind" / "one"
    assert found.manifest["rows"] == 2
    assert found.manifest["files"] == {
        "a.txt": {"sha256": digest_of_text("A"), "bytes": 1},
        "deep/b.txt": {"sha256": digest_of_text("BB"), "bytes": 2},
    }
    assert found.file("deep/b.txt").read_text() == "BB"
    assert found.verify() == []
    assert staged(store) == []


def test_digest_is_over_canonical_json_of_files_and_identity(store: ArtifactStore) -> None:
    files = {"a.txt": "A"}
    hashes = {"a.txt": digest_of_text("A")}
    assert put(store, "plain", files).digest == digest_of({"files": hashes})
    assert put(store, "named", files, identity={"ü": 1}).digest == digest_of({"files": hashes, "identity": {"ü": 1}})


def test_digest_leaves_out_key_manifest_and_measurements(store: ArtifactStore) -> None:
    first = put(store, "one", {"w": "W", "log": "12 s"}, manifest={"at": 1}, outside_digest=["log"])
    second = put(store, "two", {"w": "W", "log": "15 s"}, manifest={"at": 2}, outside_digest=["log"])
    other = put(store, "three", {"w": "V", "log": "15 s"}, outside_digest=["log"])
    assert first.digest == second.digest != other.digest
    assert first.verify() == second.verify() == []
    (second.path / "log").write_text("16 s")
    assert second.verify() != []


@settings(max_examples=20)
@given(
    files=st.dictionaries(st.text("abc", min_size=1, max_size=5), st.text(), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_digest_ignores_the_order_of_writing(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str], order: random.Random
) -> None:
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    shuffled = list(files.items())
    order.shuffle(shuffled)
    assert put(store, "one", files).digest == put(store, "two", dict(shuffled)).digest


def test_absent_is_none_or_one_line(store: ArtifactStore) -> None:
    assert store.find("kind", "one") is None
    with pytest.raises(StorageError, match="kind/one is missing"):
        store.open("kind", "one")


@pytest.mark.parametrize("name", ["", ".staging", "..", "a/b", "A", "ä", "x" * 101, "a.b", "a\n"])
def test_names_are_restricted(store: ArtifactStore, name: str) -> None:
    for kind, key in ((name, "key"), ("kind", name)):
        with pytest.raises(StorageError, match="not allowed"):
            store.find(kind, key)
        with pytest.raises(StorageError, match="not allowed"), store.create(kind, key):
            pytest.fail("a staging folder for an illegal name")


def test_leaving_without_commit_leaves_nothing(store: ArtifactStore) -> None:
    with store.create("kind", "one") as staging:
        (staging.path / "a").write_text("A")
        assert len(staged(store)) == 1
    assert staged(store) == []
    assert store.find("kind", "one") is None


def test_an_interrupt_leaves_nothing(store: ArtifactStore) -> None:
    def interrupted() -> None:
        with store.create("kind", "one") as staging:
            (staging.path / "a").write_text("A")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert staged(store) == []
    assert store.find("kind", "one") is None


def test_the_first_complete_one_wins(store: ArtifactStore) -> None:
    first = put(store, "one", {"a": "first"})
    second = put(store, "one", {"a": "second"})
    assert second == first
    assert first.file("a").read_text() == "first"
    assert staged(store) == []


def test_a_folder_without_manifest_is_no_artifact_and_gives_way(store: ArtifactStore) -> None:
    broken = put(store, "one", {"a": "A"})
    (broken.path / "manifest.json").unlink()
    assert store.find("kind", "one") is None
    again = put(store, "one", {"a": "B"})
    assert again.file("a").read_text() == "B"
    assert again.verify() == []
    assert staged(store) == []


@pytest.mark.parametrize("text", ["[]", "{}", "{"])
def test_a_damaged_manifest_is_one_line(store: ArtifactStore, text: str) -> None:
    made = put(store, "one", {"a": "A"})
    (made.path / "manifest.json").write_text(text)
    with pytest.raises(StorageError, match=r"manifest\.json"):
        store.find("kind", "one")


def test_verify_names_every_kind_of_damage(store: ArtifactStore) -> None:
    made = put(store, "one", {"gone": "1", "grown": "2", "changed": "3", "link": "4", "whole": "5"})
    (made.path / "gone").unlink()
    (made.path / "grown").write_text("22")
    (made.path / "changed").write_text("x")
    (made.path / "link").unlink()
    (made.path / "link").symlink_to(made.path / "whole")
    (made.path / "extra").write_text("e")
    problems = made.verify()
    assert [line.split(":")[0] for line in problems] == ["gone", "extra", "changed", "grown", "link"]
    assert "missing" in problems[0]
    assert "not in the manifest" in problems[1]
    assert "sha256" in problems[2]
    assert "2 bytes" in problems[3]


def test_verify_sees_a_forged_digest(store: ArtifactStore) -> None:
    made = put(store, "one", {"a": "A"}, identity={"seed": 0})
    manifest = made.path / "manifest.json"
    manifest.write_text(json.dumps({**made.manifest, "identity": {"seed": 1}}))
    assert store.open("kind", "one").verify() == ["manifest.json: digest does not follow from the files"]


def test_file_gives_listed_files_only(store: ArtifactStore) -> None:
    made = put(store, "one", {"a": "A"})
    for name in ("b", "manifest.json", "../two/a"):
        with pytest.raises(StorageError, match="no such file"):
            made.file(name)


def test_links_and_the_stores_own_names_are_refused(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    for target in (tmp_path / "secret", tmp_path):
        with store.create("kind", "one") as staging:
            (staging.path / "link").symlink_to(target)
            with pytest.raises(StorageError, match="plain files"):
                staging.commit({})
    with pytest.raises(StorageError, match="store's own"):
        put(store, "one", {"manifest.json": "{}"})
    with pytest.raises(ValueError, match="digest"):
        put(store, "one", {"a": "A"}, manifest={"digest": "mine"})
    with pytest.raises(ValueError, match="outside_digest"):
        put(store, "one", {"a": "A"}, outside_digest=["b"])
    assert store.find("kind", "one") is None
    assert staged(store) == []


def test_remove(store: ArtifactStore) -> None:
    put(store, "one", {"a": "A"})
    assert store.remove("kind", "one")
    assert not store.remove("kind", "one")
    assert store.find("kind", "one") is None
    assert staged(store) == []


def test_a_full_disk_at_any_sync_leaves_nothing_visible(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    put(store, "earlier", {"a": "A"})
    for fails_at in range(1, 6):  # two files, the manifest, its folder, the staging folder
        calls = 0

        def full(descriptor: int, fails_at: int = fails_at) -> None:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StorageError, match="the disk is full") as caught:
                put(store, "one", {"a": "A", "b": "B"})
        assert "\n" not in str(caught.value)
        assert store.find("kind", "one") is None
        assert staged(store) == []
    assert store.open("kind", "earlier").verify() == []
    assert put(store, "one", {"a": "A", "b": "B"}).verify() == []


def test_a_full_disk_while_the_caller_writes_is_one_line(store: ArtifactStore) -> None:
    with pytest.raises(StorageError, match="the disk is full"), store.create("kind", "one"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), store.create("kind", "one"):
        raise PermissionError(errno.EACCES, "somewhere else")
    assert staged(store) == []


STAGES = """
    import sys, time
    from pathlib import Path
    from finetune_assets.storage.artifacts import ArtifactStore
    with ArtifactStore(Path(sys.argv[1])).create("kind", "left") as staging:
        (staging.path / "half").write_text("h" * 1000)
        print("staged", flush=True)
        time.sleep(600)
    """


def test_staging_of_killed_processes_is_swept_and_that_of_living_ones_is_not(store: ArtifactStore) -> None:
    with running(STAGES, store.root) as dead, running(STAGES, store.root) as alive:
        says(dead, "staged")
        says(alive, "staged")
        dead.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # a zombie counts as dead
        assert len(staged(store)) == 2
        put(store, "one", {"a": "A"})
        (left,) = staged(store)
        assert f"-{alive.pid}-" in left


def test_staging_of_unknown_processes_is_swept_after_a_week(store: ArtifactStore) -> None:
    put(store, "one", {"a": "A"})
    names = ["kind.key.0123456789ab-7-99.cafe", "removed.key.0123456789ab-7-99.cafe", "odd"]
    for name in names:
        (store.root / ".staging" / name).mkdir()
    put(store, "two", {"a": "A"})
    assert sorted(staged(store)) == sorted(names)
    week_ago = time.time() - 8 * 24 * 3600
    for name in names[:2]:
        os.utime(store.root / ".staging" / name, (week_ago, week_ago))
    put(store, "three", {"a": "A"})
    assert staged(store) == ["odd"]


def test_two_stagings_of_one_process_live_side_by_side(store: ArtifactStore) -> None:
    with store.create("kind", "one") as first, store.create("kind", "one") as second:
        (first.path / "a").write_text("first")
        (second.path / "a").write_text("second")
        assert second.commit({}).file("a").read_text() == "second"
        assert first.commit({}).file("a").read_text() == "second"
    assert staged(store) == []


MAKES = """
    import sys
    from pathlib import Path
    from finetune_assets.storage.artifacts import ArtifactStore
    store = ArtifactStore(Path(sys.argv[1]))
    print("go", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        with store.create("kind", f"key-{number}") as staging:
            for name in "abc":
                (staging.path / name).write_text(f"{name}{number}" * 2000)
            print(staging.commit({"who": sys.argv[3]}).manifest["who"], flush=True)
    """


def test_of_two_processes_making_the_same_artifacts_both_see_one_winner(store: ArtifactStore) -> None:
    processes = [spawn(MAKES, store.root, 20, who) for who in ("first", "second")]
    for process in processes:
        says(process, "go")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    seen = [finish(process).split() for process in processes]
    assert seen[0] == seen[1]
    assert len(seen[0]) == 20
    for number in range(20):
        assert store.open("kind", f"key-{number}").verify() == []


def test_sigkill_at_any_moment_leaves_whole_artifacts_only(store: ArtifactStore) -> None:
    moments = random.Random(0)
    visible = 0
    for _ in range(6):
        with running(MAKES, store.root, 10**9, "x") as process:
            says(process, "go")
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            says(process, "x")
            time.sleep(moments.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.wait()
        keys = [entry.name for entry in (store.root / "kind").iterdir()]
        for key in keys:
            assert store.open("kind", key).verify() == []
        visible += len(keys)
        for key in keys:
            store.remove("kind", key)
    assert visible >= 6
    put(store, "last", {"a": "A"})
    assert staged(store) == []
