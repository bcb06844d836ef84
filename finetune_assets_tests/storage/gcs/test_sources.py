from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.errors import BucketMissingError, UnavailableError
from finetune_assets.storage.gcs.sources import FetchedSource, fetch_sources
from finetune_assets_tests.fakes.fixtures import StandIn
from finetune_assets_tests.storage.gcs.conftest import HASTY, QUICK

NAMES = (
    "data/a.jsonl",
    "data/b.jsonl",
    "data/sub/c.jsonl",
    "data/notes.txt",
    "data/.hidden/x.jsonl",
    "data/",
    "else/d.jsonl",
)


@pytest.fixture
def filled(gcs: StandIn) -> StandIn:
    for name in NAMES:
        gcs.client().bucket("bkt").blob(name).upload_from_string(name.encode())
    gcs.forget_log()
    return gcs


def fetch(gcs: StandIn, tmp_path: Path, pattern: str, **more: object) -> FetchedSource:
    return fetch_sources(gcs.client(), pattern, tmp_path / "cache", **{"patience": QUICK, **more})


@pytest.mark.parametrize(
    ("pattern", "names", "single"),
    [
        ("gs://bkt/data/a.jsonl", ["a.jsonl"], True),
        ("gs://bkt/data", ["a.jsonl", "b.jsonl", "notes.txt", "sub/c.jsonl"], False),
        ("gs://bkt/data/", ["a.jsonl", "b.jsonl", "notes.txt", "sub/c.jsonl"], False),
        ("gs://bkt/data/*.jsonl", ["a.jsonl", "b.jsonl"], False),
        ("gs://bkt/data/**/*.jsonl", ["a.jsonl", "b.jsonl", "sub/c.jsonl"], False),
        ("gs://bkt/data/**", ["a.jsonl", "b.jsonl", "notes.txt", "sub/c.jsonl"], False),
        ("gs://bkt/data/[!a].json?", ["b.jsonl"], False),
        ("gs://bkt/*/[a-d].jsonl", ["data/a.jsonl", "data/b.jsonl", "else/d.jsonl"], False),
    ],
)
def test_patterns_name_objects(filled: StandIn, tmp_path: Path, pattern: str, names: list[str], single: bool) -> None:
    found = fetch(filled, tmp_path, pattern)
    assert [item.name for item in found.objects] == names
    assert found.single is single
    for item in found.objects:
        assert item.path.read_bytes() == item.uri.removeprefix("gs://bkt/").encode()
        assert filled.client().bucket("bkt").get_blob(item.uri.removeprefix("gs://bkt/")).generation == item.generation
    here = found.root.parent if single else found.root
    assert sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()) == names


def test_the_same_generations_are_fetched_once(filled: StandIn, tmp_path: Path) -> None:
    first = fetch(filled, tmp_path, "gs://bkt/data/*.jsonl")
    filled.forget_log()
    assert fetch(filled, tmp_path, "gs://bkt/data/*.jsonl") == first
    assert not [entry for entry in filled.log() if "download" in entry["path"]]
    filled.client().bucket("bkt").blob("data/b.jsonl").upload_from_string(b"changed")
    filled.forget_log()
    second = fetch(filled, tmp_path, "gs://bkt/data/*.jsonl")
    assert second.root != first.root
    assert len([entry for entry in filled.log() if "download" in entry["path"]]) == 1
    assert (second.root / "b.jsonl").read_bytes() == b"changed"
    assert (first.root / "b.jsonl").read_bytes() == b"data/b.jsonl"


def test_only_what_is_wanted_is_fetched(filled: StandIn, tmp_path: Path) -> None:
    found = fetch(filled, tmp_path, "gs://bkt/data", wanted=lambda name: name.endswith(".txt"))
    assert [item.name for item in found.objects] == ["notes.txt"]
    assert len([entry for entry in filled.log() if "download" in entry["path"]]) == 1


def test_a_fetch_that_broke_off_goes_on(filled: StandIn, tmp_path: Path) -> None:
    filled.fault({"match": "download.*b.jsonl", "status": 503})
    with pytest.raises(UnavailableError):
        fetch(filled, tmp_path, "gs://bkt/data/*.jsonl", patience=HASTY)
    assert not (tmp_path / "cache" / "listings").exists()
    filled.clear_faults()
    filled.forget_log()
    fetch(filled, tmp_path, "gs://bkt/data/*.jsonl")
    assert len([entry for entry in filled.log() if "download" in entry["path"]]) == 1


def test_what_cannot_be_read_is_told(filled: StandIn, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="a file pattern is broken"):
        fetch(filled, tmp_path, "gs://bkt/data/[z-a].jsonl")
    with pytest.raises(StorageError, match="source holds no object to read at gs://bkt/nothing"):
        fetch(filled, tmp_path, "gs://bkt/nothing/*.jsonl")
    with pytest.raises(StorageError, match="2; expected at most 1"):
        fetch(filled, tmp_path, "gs://bkt/data/*.jsonl", max_files=1)
    with pytest.raises(BucketMissingError):
        fetch(filled, tmp_path, "gs://nobody/data/*.jsonl")
    filled.client().bucket("bkt").blob("bad/../../x.jsonl").upload_from_string(b"x")
    filled.client().bucket("bkt").blob("bad/c:\\x.jsonl").upload_from_string(b"x")
    with pytest.raises(StorageError, match="leaves its folder"):
        fetch(filled, tmp_path, "gs://bkt/bad/c*")
    assert not list(tmp_path.rglob("x.jsonl"))
