"""check_files: the rules of a model over its training and validation files, one row at a time.

    check_files(train, validation, entry, config, *, allowed_uris=(), count_tokens=None) -> PreflightReport

Memory holds one row and a digest of each validation row; 100,000 rows take a few seconds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.tuning.cloud.catalogue import ModelEntry
from finetune_assets.tuning.cloud.cost import Volume
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.preflight.attachments import attachment_problems
from finetune_assets.tuning.preflight.limits import limit_findings
from finetune_assets.tuning.preflight.report import Collector, FileFacts, PreflightReport
from finetune_assets.tuning.preflight.rows import GEMINI, OPEN, Dialect, Form, Problem, Row, form_of, read_row

CountTokens = Callable[[Sequence[str]], int]

LONGEST_LINE = 32 << 20
_SPREAD = 0.25
_DEFAULT_RATIO = 0.25


@dataclass(slots=True)
class _Pack:
    """The rules that hold for one model and one file."""

    entry: ModelEntry
    forms: tuple[Form, ...]
    dialect: Dialect
    ratio: float
    allowed_uris: tuple[str, ...]
    count_tokens: CountTokens | None
    special: re.Pattern[str] | None


@dataclass(slots=True)
class _Tally:
    """What has been counted of one file."""

    rows: int = 0
    questions: int = 0
    answers: int = 0
    files: int = 0
    rows_with_files: int = 0
    tokens: int = 0
    longest: int = 0
    form: Form | None = None
    digests: set[bytes] = field(default_factory=set)


def check_files(
    train: Path,
    validation: Path | None,
    entry: ModelEntry,
    config: TuningConfig,
    *,
    allowed_uris: Sequence[str] = (),
    count_tokens: CountTokens | None = None,
) -> PreflightReport:
    """Hold rendered files against a model's rules.

    Args:
        train: the training rows, JSONL.
        validation: the validation rows, None or an empty file for none.
        entry: the model.
        config: the variant's settings: method, mode.
        allowed_uris: gs:// buckets or prefixes that rows may name files from; none may be named by default.
        count_tokens: counts a row's texts exactly; None estimates from characters.

    Returns:
        The report. Findings hold rows, pointers, names and lengths, never a text.

    Raises:
        OSError: when a file cannot be read.
    """
    collector = Collector()
    has_validation = validation is not None and validation.stat().st_size > 0
    pack = _pack_of(entry, config, tuple(allowed_uris), count_tokens)
    checked: list[FileFacts] = []
    known: set[bytes] = set()
    if validation is not None and has_validation:
        strict = _pack_of(entry, config, tuple(allowed_uris), count_tokens, is_validation=True)
        tally = _check_file(validation, "validation", strict, collector, collect=True)
        known = tally.digests
        checked.append(_facts("validation", validation, tally, counted=count_tokens is not None))
    tally = _check_file(train, "train", pack, collector, known=known)
    checked.insert(0, _facts("train", train, tally, counted=count_tokens is not None))
    for finding in limit_findings(checked, entry):
        collector.add(finding)
    if tally.rows_with_files and tally.rows_with_files < tally.rows and not entry.mixed_rows:
        collector.add(_mixed(entry, tally))
    return PreflightReport(entry.id, tuple(checked), collector.result())


def _pack_of(
    entry: ModelEntry,
    config: TuningConfig,
    allowed_uris: tuple[str, ...],
    count_tokens: CountTokens | None,
    *,
    is_validation: bool = False,
) -> _Pack:
    settings = config.managed_settings
    dialect = GEMINI if entry.backend == "gemini" else OPEN
    if settings.method == "distillation" and not is_validation:
        dialect = Dialect(dialect.roles, needs_answer=False)
    forms: tuple[Form, ...] = ("contents",) if entry.backend == "gemini" else _OPEN_FORMS
    mode = entry.modes.get(settings.mode)
    tokens = "|".join(re.escape(token) for token in entry.special_tokens)
    return _Pack(
        entry=entry,
        forms=("preference",) if settings.method == "dpo" else forms,
        dialect=dialect,
        ratio=(mode.tokens_per_character if mode else None) or _DEFAULT_RATIO,
        allowed_uris=allowed_uris,
        count_tokens=count_tokens,
        special=re.compile(tokens) if tokens else None,
    )


_OPEN_FORMS: tuple[Form, ...] = ("prompt_completion", "messages", "contents")


def _check_file(
    path: Path,
    name: str,
    pack: _Pack,
    collector: Collector,
    *,
    collect: bool = False,
    known: set[bytes] | None = None,
) -> _Tally:
    tally = _Tally()
    for number, line in _lines(path):
        tally.rows = number
        for problem in _check_line(line, pack, tally, collect=collect, known=known):
            collector.add(_finding(problem, name, number, pack.entry))
    return tally


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield rows with their number; a line beyond the longest is cut there and is the last that is read."""
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(LONGEST_LINE + 1):
            number += 1
            yield number, line
            if len(line) > LONGEST_LINE:
                return


def _check_line(
    line: bytes, pack: _Pack, tally: _Tally, *, collect: bool, known: set[bytes] | None
) -> Iterator[Problem]:
    if len(line) > LONGEST_LINE:
        yield Problem("line_length", "", f"over {LONGEST_LINE:,} bytes", f"{LONGEST_LINE:,} bytes", "leave the row out")
        return
    data = _parsed(line)
    if isinstance(data, Problem):
        yield data
        return
    form = form_of(data)
    problem = _form_problem(form, pack, tally)
    if form is None or problem is not None:
        yield problem or Problem("form", "", "no known form")
        return
    row = read_row(data, form, pack.dialect)
    yield from row.problems
    yield from _text_problems(row, pack)
    yield from attachment_problems(row.files, pack.entry, pack.allowed_uris)
    yield from _counted(row, pack, tally)
    if collect or known:
        yield from _duplicate(row, tally, collect=collect, known=known)


def _parsed(line: bytes) -> dict[str, Any] | Problem:
    if not line.strip():
        return Problem("json", "", "an empty line", "a JSON object", "remove it")
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        # Its message says where, but may quote the row.
        return Problem("json", "", f"no JSON from character {error.pos + 1} on", "a JSON object", "mend the row")
    if not isinstance(data, dict):
        return Problem("json", "", f"a {type(data).__name__}", "a JSON object")
    return data


def _form_problem(form: Form | None, pack: _Pack, tally: _Tally) -> Problem | None:
    expected = " or ".join(pack.forms)
    if form not in pack.forms:
        return Problem(
            "form", "", form or "no known form", expected, "render the dataset in a form that the model takes"
        )
    if tally.form is None:
        tally.form = form
    if form != tally.form:
        return Problem("form", "", form, f"{tally.form}, as in the first row", "render one form in one file")
    return None


def _text_problems(row: Row, pack: _Pack) -> Iterator[Problem]:
    if pack.special is None:
        return
    for pointer, text in (*row.questions, *row.answers):
        found = pack.special.search(text)
        if found is not None:
            yield Problem(
                "special_tokens",
                pointer,
                f"{found.group()} at character {found.start() + 1}",
                "no control tokens of the model in texts",
                "remove it from the record; the service writes the template",
            )


def _counted(row: Row, pack: _Pack, tally: _Tally) -> Iterator[Problem]:
    """Count a row's characters and tokens, and say when it is too long."""
    questions, answers = _weight(row.questions), _weight(row.answers)
    tally.questions += questions
    tally.answers += answers
    tally.files += len(row.files)
    tally.rows_with_files += bool(row.files)
    limit = pack.entry.max_tokens
    if pack.count_tokens is not None:
        tokens = pack.count_tokens([text for _, text in (*row.questions, *row.answers)])
        lowest, highest, how = tokens, tokens, f"{tokens:,} tokens"
        tally.tokens += tokens
    else:
        tokens = round((questions + answers) * pack.ratio)
        lowest, highest = round(tokens * (1 - _SPREAD)), round(tokens * (1 + _SPREAD))
        how = f"about {tokens:,} tokens ({questions + answers:,} characters)"
    tally.longest = max(tally.longest, tokens)
    if highest > limit:
        severity: Any = "error" if lowest > limit else "warning"
        mend = "shorten it or leave it out; the service cuts or drops it"
        yield Problem("tokens", "", how, f"{limit:,} tokens", mend, severity)


def _weight(texts: list[tuple[str, str]]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for _, text in texts)


def _duplicate(row: Row, tally: _Tally, *, collect: bool, known: set[bytes] | None) -> Iterator[Problem]:
    joined = "\x1f".join([text for _, text in (*row.questions, *row.answers)] + [file.uri for file in row.files])
    digest = hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    if collect:
        tally.digests.add(digest)
    elif known and digest in known:
        yield Problem(
            "duplicate", "", "a row of the validation file", "no row in both", "split the dataset anew", "warning"
        )


def _facts(name: str, path: Path, tally: _Tally, *, counted: bool) -> FileFacts:
    tokens = tally.tokens if counted else None
    volume = Volume(tally.rows, tally.questions, tally.answers, tally.files, tokens)
    return FileFacts(name, tally.rows, path.stat().st_size, volume, tally.longest, counted, tally.form or "")


def _finding(problem: Problem, name: str, row: int, entry: ModelEntry) -> Finding:
    dated = str(entry.as_of) if problem.rule in ("tokens", "modality", "roles", "last_turn", "form") else ""
    return Finding(
        problem.rule,
        problem.severity,
        name,
        problem.found,
        problem.limit,
        problem.mend,
        row,
        problem.pointer,
        as_of=dated,
    )


def _mixed(entry: ModelEntry, tally: _Tally) -> Finding:
    return Finding(
        "mixed_rows",
        "error",
        "train",
        f"{tally.rows_with_files:,} rows with files and {tally.rows - tally.rows_with_files:,} of text alone",
        "one kind in one file",
        "leave one kind out; the service would drop the rows of text alone",
        as_of=str(entry.as_of),
    )
