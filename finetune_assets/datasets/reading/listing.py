"""Listing: which files a source has, in an order that is the same on every machine.

Rules: `dataset.source.path` names one file, a folder (read with all folders within) or a glob. Files come in the sorted
order of their path within the source. Names that begin with a dot are passed over, and so are files whose ending no
reader knows unless `include` or a glob names them; how many is counted. Within a folder no symbolic link is followed
silently: one that leads to another place of the folder is passed over, since that place is read anyway; one that leads
outside is a quarantined row, or is read when `follow_links` says so.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import Fault
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.gcs.calls import is_gcs_uri
from finetune_assets.storage.globs import MAGIC, translate

JSON_ENDINGS = frozenset({".json"})
LINE_ENDINGS = frozenset({".jsonl", ".ndjson", ".jsonlines"})
CSV_ENDINGS = frozenset({".csv", ".tsv"})
PARQUET_ENDINGS = frozenset({".parquet"})
PACKED_ENDINGS = frozenset({".gz", ".zst"})

_ENDINGS = {"json": JSON_ENDINGS, "jsonl": LINE_ENDINGS, "csv": CSV_ENDINGS, "parquet": PARQUET_ENDINGS}
_ALL_ENDINGS = frozenset(ending for endings in _ENDINGS.values() for ending in endings)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source.

    Attributes:
        path: where it lies.
        name: its path relative to the source's root, with slashes; of a single file its name.
        fault: why it is not opened, or None.
        is_folder: True for a folder that is not entered; it then has a fault.
    """

    path: Path
    name: str
    fault: Fault | None = None
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class SourceListing:
    """The files of a source.

    Attributes:
        root: the file, or the folder that names are relative to.
        files: in sorted order of their names.
        single: True when the path names one file, which then must be usable.
        skipped: what was passed over, by note (`skipped_files`, `skipped_links`), counted.
    """

    root: Path
    files: tuple[SourceFile, ...]
    single: bool
    skipped: dict[str, int]


def source_path(config: SourceConfig, folder: Path) -> Path:
    """Return the source's absolute path, a glob included; a relative one starts at the task's folder.

    Raises:
        FinetuneError: when the source is in Cloud Storage and was not fetched.
    """
    if is_gcs_uri(config.path):
        raise FinetuneError(
            "this needs the source's files on this machine",
            where=config.path,
            found="a place in Cloud Storage",
            mend="copy the files with `gcloud storage cp -r`, and name the copy",
        )
    return (Path(folder) / Path(config.path).expanduser()).absolute()


def name_chooser(config: SourceConfig, *, any_ending: bool) -> Callable[[str], bool]:
    """Return the function that says of a file's name below the source's root whether it is read.

    Args:
        config: the source.
        any_ending: True where a glob has chosen the file already, whatever its ending.

    Raises:
        FinetuneError: when a pattern's brackets are broken.
    """
    wanted = _chooser(config, "/**" if any_ending else None)
    return lambda name: wanted(SourceFile(Path(name), name))


def list_source(config: SourceConfig, folder: Path) -> SourceListing:
    """Return the files of a source.

    Args:
        config: the source.
        folder: the task's folder.

    Raises:
        FinetuneError: when a folder is missing, holds nothing to read, or more than `max_files` files.
    """
    path = source_path(config, folder)
    if path.is_dir():
        return _listed(path, config, None)
    parts = Path(config.path).expanduser().parts
    if not path.exists() and any(MAGIC.search(part) for part in parts):
        fixed = next(number for number, part in enumerate(parts) if MAGIC.search(part))
        return _listed(Path(folder).absolute().joinpath(*parts[:fixed]), config, "/" + "/".join(parts[fixed:]))
    # A missing file is listed: whoever opens it says so.
    return SourceListing(path, (SourceFile(path, writable_name(path.name)),), single=True, skipped={})


def file_ending(name: str) -> str:
    """Return a file name's ending in lower case, without that of gzip or zstd (`rows.csv.gz` gives `.csv`)."""
    bare = PurePosixPath(name)
    if bare.suffix.lower() in PACKED_ENDINGS:
        bare = PurePosixPath(bare.stem)
    return bare.suffix.lower()


def code_language(name: str, config: SourceConfig) -> str | None:
    """Return the language of a source code file by its ending, or None."""
    return config.languages.get(PurePosixPath(name).suffix.lower())


def writable_name(name: str) -> str:
    """Return a file name as text; bytes that are no UTF-8 are shown as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def pattern_matcher(patterns: list[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a path (with slashes) matches one of the patterns.

    `*` and `?` stand for signs other than a slash, `**` for any folders, `[…]` for one of some signs. A pattern without
    a slash is matched against the last part of the path; a slash in front means the source's root.

    Raises:
        FinetuneError: when a pattern's brackets are broken.
    """
    whole = [_regex(pattern.removeprefix("/")) for pattern in patterns if "/" in pattern]
    last = [_regex(pattern) for pattern in patterns if "/" not in pattern]

    def matches(name: str) -> bool:
        tail = name.rsplit("/", 1)[-1]
        return any(known.fullmatch(name) for known in whole) or any(known.fullmatch(tail) for known in last)

    return matches


def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return translate(pattern)
    except re.error as error:
        raise FinetuneError(
            "a file pattern is broken",
            where="dataset.source",
            found=f"{pattern!r}: {error}",
            expected="a glob such as **/*.java",
            mend="correct the brackets",
        ) from error


def _listed(root: Path, config: SourceConfig, glob: str | None) -> SourceListing:
    """Walk a folder; a glob chooses among its files, whatever their ending."""
    wanted = _chooser(config, glob)
    skipped: Counter[str] = Counter()
    files = []
    for file in _walk(root, config, skipped):
        if not wanted(file):
            skipped["skipped_files"] += 1
            continue
        files.append(file)
        if len(files) > config.max_files:
            raise _too_many(root, config)
    if not files:
        raise _nothing(root, config, skipped)
    files.sort(key=lambda item: item.name)
    return SourceListing(root, tuple(files), single=False, skipped=dict(sorted(skipped.items())))


def _chooser(config: SourceConfig, glob: str | None) -> Callable[[SourceFile], bool]:
    """Return the function that says whether a file of a folder is read."""
    globbed = pattern_matcher([glob] if glob else [])
    included = pattern_matcher(config.include)
    excluded = pattern_matcher(config.exclude)
    known = _known_endings(config)
    any_ending = bool(glob or config.include)

    def wanted(file: SourceFile) -> bool:
        if (glob and not globbed(file.name)) or (config.include and not included(file.name)) or excluded(file.name):
            return False
        if config.format == "code" and not file.is_folder:
            return code_language(file.name, config) is not None
        return any_ending or file.is_folder or file_ending(file.name) in known

    return wanted


def _known_endings(config: SourceConfig) -> Collection[str]:
    if config.format == "code":
        return config.languages
    return _ALL_ENDINGS if config.format == "auto" else _ENDINGS[config.format]


def _walk(root: Path, config: SourceConfig, skipped: Counter[str]) -> Iterator[SourceFile]:
    """Yield each file of a folder, and each link or folder that is not entered, with its fault."""
    real_root = os.path.realpath(root)
    entered: set[str] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        name = _name(folder, root)
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise _unreadable_folder(folder, error) from error
            yield SourceFile(folder, name, _closed(error), is_folder=True)
            continue
        for entry in entries:
            path = Path(entry.path)
            note, fault = _standing(path, real_root, entered, config)
            if note:
                skipped[note] += 1
            elif fault is None and entry.is_dir():
                waiting.append(path)
            else:
                yield SourceFile(path, _name(path, root), fault, is_folder=entry.is_dir())


def _standing(path: Path, real_root: str, entered: set[str], config: SourceConfig) -> tuple[str, Fault | None]:
    """Return the note under which an entry is passed over, or "", and the fault for which it is not opened."""
    if path.name.startswith("."):
        return "skipped_files", None
    if not path.is_symlink() or not path.exists():
        return "", None
    real = os.path.realpath(path)
    if real in entered or Path(real).is_relative_to(real_root) or Path(real_root).is_relative_to(real):
        return "skipped_links", None
    if config.follow_links:
        entered.add(real)
        return "", None
    return "", Fault(
        "link_outside",
        "a symbolic link that leads out of the source's folder",
        "files within the folder",
        "copy what it points to, or set dataset.source.follow_links: true",
    )


def _name(path: Path, root: Path) -> str:
    return writable_name(path.relative_to(root).as_posix())


def _closed(error: OSError) -> Fault:
    found = f"a folder that cannot be read: {error.strerror or error}"
    return Fault("unreadable_file", found, "a readable folder", "check its permissions")


def _too_many(root: Path, config: SourceConfig) -> FinetuneError:
    return FinetuneError(
        "source folder holds too many files",
        where=str(root),
        found=f"more than {config.max_files}",
        expected=f"at most {config.max_files} (dataset.source.max_files)",
        mend="name a smaller folder, use include and exclude, or raise max_files",
    )


def _nothing(root: Path, config: SourceConfig, skipped: Counter[str]) -> FinetuneError:
    return FinetuneError(
        "source holds no file to read",
        where=str(root),
        found=f"{skipped.total()} files that are left out" if skipped else "no file",
        expected=f"files for {config.path!r}, by default with endings {', '.join(sorted(_known_endings(config)))}",
        mend="correct dataset.source.path, format, include or exclude",
    )


def _unreadable_folder(folder: Path, error: OSError) -> FinetuneError:
    missing = isinstance(error, FileNotFoundError)
    return FinetuneError(
        "source folder is missing" if missing else "source folder cannot be read",
        where=str(folder),
        found=error.strerror or str(error),
        mend="correct dataset.source.path" if missing else "check its permissions",
    )
