from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.listing import SourceListing, list_source, pattern_matcher
from finetune_assets.records.errors import FinetuneError


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"id": 1}\n')


def listed(folder: Path, path: str, **values: Any) -> SourceListing:
    return list_source(SourceConfig(path=path, **values), folder)


def names(folder: Path, path: str, **values: Any) -> list[str]:
    return [file.name for file in listed(folder, path, **values).files]


def test_one_file_has_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, "data/a.jsonl")
    found = listed(tmp_path, "data/a.jsonl")
    assert (found.single, [file.name for file in found.files]) == (True, ["a.jsonl"])
    assert listed(tmp_path / "elsewhere", str(tmp_path / "data/a.jsonl")).files == found.files
    assert listed(tmp_path, "data/missing.jsonl").single


def test_a_folder_is_read_in_the_order_of_relative_paths(tmp_path: Path) -> None:
    write(
        tmp_path, "d/b.jsonl", "d/a/z.csv.gz", "d/a.json", "d/Z.parquet", "d/a-b/x.NDJSON", "d/README.md", "d/.x.json"
    )
    write(tmp_path, "d/.git/y.json")
    found = listed(tmp_path, "d")
    assert [file.name for file in found.files] == ["Z.parquet", "a-b/x.NDJSON", "a.json", "a/z.csv.gz", "b.jsonl"]
    assert (found.single, found.skipped) == (False, {"skipped_files": 3})
    assert names(tmp_path, "d", format="csv") == ["a/z.csv.gz"]
    assert names(tmp_path, "d", include=["README.*", "a/**"]) == ["README.md", "a/z.csv.gz"]
    assert names(tmp_path, "d", exclude=["**/*.csv.gz", "Z.*", "a-b/"]) == ["a-b/x.NDJSON", "a.json", "b.jsonl"]


def test_a_glob_names_its_files(tmp_path: Path) -> None:
    write(tmp_path, "d[1]/x/a.jsonl", "d[1]/x/b.txt", "d[1]/y/a.jsonl", "d[1]/y/deep/a.jsonl")
    folder = tmp_path / "d[1]"
    assert names(folder, "x/*") == ["a.jsonl", "b.txt"]
    assert names(folder, "*/a.jsonl") == ["x/a.jsonl", "y/a.jsonl"]
    assert names(folder, "**/a.*") == ["x/a.jsonl", "y/a.jsonl", "y/deep/a.jsonl"]
    assert names(folder, "y/**", exclude=["deep/*"]) == ["a.jsonl"]
    assert names(folder, "[xz]/?.jsonl") == ["x/a.jsonl"]
    # A name that exists is that name.
    assert names(tmp_path, "d[1]/x/a.jsonl") == ["a.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.java", ["A.java", "x/y/B.java"], ["A.java.txt"]),
        ("/*.java", ["A.java"], ["x/A.java"]),
        ("**/test/**", ["test/a", "x/test/y/a"], ["test", "latest/a"]),
        ("src/**/[A-C]?.py", ["src/A1.py", "src/x/y/C2.py"], ["src/D1.py", "src/A1/x.py"]),
        ("a.[!b]", ["a.c"], ["a.b", "a./"]),
        ("a+(b).c", ["a+(b).c"], ["aab.c"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], other: list[str]) -> None:
    matches = pattern_matcher([pattern])
    assert all(matches(name) for name in matching)
    assert not any(matches(name) for name in other)


def test_a_broken_pattern_is_named() -> None:
    with pytest.raises(FinetuneError, match=r"pattern is broken.*z-a"):
        pattern_matcher(["[z-a].json"])


def test_links_are_not_followed_in_silence(tmp_path: Path) -> None:
    write(tmp_path, "d/a.jsonl", "outside/b.jsonl", "outside/more/c.jsonl")
    (tmp_path / "d/inner.jsonl").symlink_to(tmp_path / "d/a.jsonl")
    (tmp_path / "d/loop").symlink_to(tmp_path / "d")
    (tmp_path / "d/up").symlink_to(tmp_path)
    (tmp_path / "d/file.jsonl").symlink_to(tmp_path / "outside/b.jsonl")
    (tmp_path / "d/folder").symlink_to(tmp_path / "outside/more")
    (tmp_path / "d/gone.jsonl").symlink_to(tmp_path / "nowhere")
    found = listed(tmp_path, "d")
    faults = {file.name: file.fault.reason if file.fault else "" for file in found.files}
    assert faults == {"a.jsonl": "", "file.jsonl": "link_outside", "folder": "link_outside", "gone.jsonl": ""}
    assert found.skipped == {"skipped_links": 3}
    assert names(tmp_path, "d", follow_links=True) == ["a.jsonl", "file.jsonl", "folder/c.jsonl", "gone.jsonl"]
    # The path of the source itself may be a link: somebody named it.
    (tmp_path / "here").symlink_to(tmp_path / "outside")
    assert names(tmp_path, "here") == ["b.jsonl", "more/c.jsonl"]


def test_too_many_or_no_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "d/a.json", "d/b.json", "d/c.json", "e/x.txt")
    with pytest.raises(FinetuneError, match="more than 2; expected at most 2"):
        listed(tmp_path, "d", max_files=2)
    assert names(tmp_path, "d", max_files=3) == ["a.json", "b.json", "c.json"]
    with pytest.raises(FinetuneError, match=r"no file to read.*1 files that are left out.*jsonl"):
        listed(tmp_path, "e")
    with pytest.raises(FinetuneError, match="folder is missing"):
        listed(tmp_path, "nowhere/*.json")


def test_names_that_are_no_utf8_are_shown_with_escapes(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json")).write_text("[]")
    assert names(tmp_path, ".") == ["caf\\xe9.json"]


def test_code_is_chosen_by_language(tmp_path: Path) -> None:
    write(tmp_path, "s/A.java", "s/test/ATest.java", "s/b.py", "s/c.tsx", "s/d.kt", "s/x.java.gz", "s/notes.json")
    found = listed(tmp_path, "s", format="code")
    assert [file.name for file in found.files] == ["A.java", "b.py", "c.tsx", "test/ATest.java"]
    assert found.skipped == {"skipped_files": 3}
    assert names(tmp_path, "s", format="code", include=["**/*"], exclude=["**/test/**"]) == ["A.java", "b.py", "c.tsx"]
    assert names(tmp_path, "s", format="code", languages={".kt": "kotlin"}) == ["d.kt"]
    with pytest.raises(ValidationError, match="begins with its only dot"):
        SourceConfig(path="s", languages={"kt": "kotlin"})
