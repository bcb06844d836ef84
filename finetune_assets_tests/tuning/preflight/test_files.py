from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.tuning.cloud.catalogue import find_model
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding, errors_of
from finetune_assets.tuning.preflight import files
from finetune_assets.tuning.preflight.attachments import is_below
from finetune_assets.tuning.preflight.files import check_files
from finetune_assets.tuning.preflight.report import PreflightReport

SECRET = "Sehr geheimer Satz einer Person"


def gemini(number: int = 0, question: str = SECRET, answer: str = "play") -> dict[str, Any]:
    return {
        "systemInstruction": {"role": "system", "parts": [{"text": "Answer with a label."}]},
        "contents": [
            {"role": "user", "parts": [{"text": f"{question} {number}"}]},
            {"role": "model", "parts": [{"text": answer}]},
        ],
    }


def prompt(number: int = 0) -> dict[str, Any]:
    return {"prompt": f"{SECRET} {number}", "completion": "play"}


def messages(number: int = 0) -> dict[str, Any]:
    turns = (("system", "Answer."), ("user", f"{SECRET} {number}"), ("assistant", "play"))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def preference(number: int = 0) -> dict[str, Any]:
    return {
        "system_instruction": {"parts": [{"text": "Answer."}]},
        "contents": [{"role": "user", "parts": [{"text": f"{SECRET} {number}"}]}],
        "completions": [
            {"score": score, "completion": {"role": "model", "parts": [{"text": text}]}}
            for score, text in ((1, "play"), (0, "sleep"))
        ],
    }


def photo(uri: str = "gs://photos/a.jpg", mime: str = "image/jpeg") -> dict[str, Any]:
    row = gemini()
    row["contents"][0]["parts"].insert(0, {"fileData": {"mimeType": mime, "fileUri": uri}})
    return row


def written(path: Path, rows: Sequence[Any]) -> Path:
    path.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))
    return path


def check(
    folder: Path,
    rows: Sequence[Any],
    validation: Sequence[Any] | None = None,
    *,
    model: str = "gemini-2.5-flash",
    **more: Any,
) -> PreflightReport:
    entry = find_model(model)
    managed = {"method": more.pop("method", "sft"), "mode": more.pop("mode", next(iter(entry.modes)))}
    if managed["method"] == "distillation":
        managed["teacher"] = "qwen/qwen3-next-80b-a3b-thinking-maas"
    config = TuningConfig(backend=entry.backend, base_model=entry.id, managed=managed)  # type: ignore[arg-type]
    train = written(folder / "train.jsonl", rows)
    held = None if validation is None else written(folder / "validation.jsonl", validation)
    return check_files(train, held, entry, config, **more)


def errors(report: PreflightReport) -> list[Finding]:
    found = errors_of(report.findings)
    assert SECRET not in "\n".join(report.lines())
    assert SECRET not in json.dumps(report.table())
    return found


def changed(make: Callable[[], dict[str, Any]], *steps: Any, to: Any) -> dict[str, Any]:
    """Return a row with one value changed, or with a key more."""
    row: Any = make()
    inner = row
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = to
    return dict(row)


MODELS = {
    "gemini": ("gemini-2.5-flash", gemini, {}),
    "prompt": ("qwen/qwen3@qwen3-32b", prompt, {}),
    "messages": ("qwen/qwen3@qwen3-32b", messages, {}),
    "preference": ("gemini-2.5-flash", preference, {"method": "dpo"}),
}


@pytest.mark.parametrize("kind", MODELS)
def test_good_files_pass(tmp_path: Path, kind: str) -> None:
    model, make, more = MODELS[kind]
    report = check(tmp_path, [make(n) for n in range(120)], [make(n) for n in range(200, 210)], model=model, **more)
    assert report.findings == ()
    assert report.passed
    assert (report.train.rows, report.files[1].rows) == (120, 10)
    assert report.train.volume.characters > 120 * len(SECRET)
    assert report.summary()["errors"] == 0
    assert report.lines()[0] == f"preflight for {model}: passed"


def test_open_models_take_contents_of_an_assistant(tmp_path: Path) -> None:
    rows = [changed(lambda: gemini(n), "contents", 1, "role", to="assistant") for n in range(100)]  # noqa: B023
    assert check(tmp_path, rows, model="qwen/qwen3@qwen3-32b").passed


G, P, M, D = ("gemini", gemini), ("prompt", prompt), ("messages", messages), ("preference", preference)
BROKEN: list[tuple[tuple[str, Any], Any, str, str]] = [
    (G, b"{not json\n", "json", ""),
    (G, b"\n", "json", ""),
    (G, b"[1]\n", "json", ""),
    (G, b'{"a": NaN}\n', "json", ""),
    (G, {"text": "x"}, "form", ""),
    (G, prompt(), "form", ""),
    (G, changed(gemini, "extra", to=1), "keys", ""),
    (G, changed(gemini, "contents", to=[]), "empty", "/contents"),
    (G, changed(gemini, "contents", 1, "role", to="assistant"), "roles", "/contents/1/role"),
    (G, changed(gemini, "contents", 0, "role", to="model"), "order", "/contents/0/role"),
    (G, changed(gemini, "contents", 1, "role", to="user"), "last_turn", "/contents"),
    (G, changed(gemini, "contents", 1, "parts", to=[]), "empty", "/contents/1/parts"),
    (G, changed(gemini, "contents", 1, "parts", 0, "text", to=" \n"), "empty", "/contents/1/parts/0/text"),
    (G, changed(gemini, "contents", 1, "parts", 0, "text", to=7), "type", "/contents/1/parts/0/text"),
    (G, changed(gemini, "contents", 0, "extra", to=7), "keys", "/contents/0"),
    (G, changed(gemini, "systemInstruction", "role", to="model"), "roles", "/systemInstruction/role"),
    (G, changed(gemini, "systemInstruction", to="text"), "keys", "/systemInstruction"),
    (G, changed(gemini, "contents", 0, "parts", 0, to={"inlineData": {}}), "parts", "/contents/0/parts/0"),
    (G, changed(gemini, "contents", 0, "parts", 0, to={"fileData": {}}), "parts", "/contents/0/parts/0/fileData"),
    (G, photo("https://evil.example/a.jpg"), "file_uri", "/contents/0/parts/0/fileData"),
    (G, photo("gs://photos-of-others/a.jpg"), "file_uri", "/contents/0/parts/0/fileData"),
    (G, photo(mime="application/x-sh"), "mime_type", "/contents/0/parts/0/fileData"),
    (P, changed(prompt, "completion", to=""), "empty", "/completion"),
    (P, {"prompt": SECRET}, "type", "/completion"),
    (P, changed(prompt, "prompt", to="<|im_start|>user"), "special_tokens", "/prompt"),
    (P, changed(prompt, "id", to=3), "keys", ""),
    (M, changed(messages, "messages", 1, "role", to="system"), "roles", "/messages/1/role"),
    (M, changed(messages, "messages", 2, "role", to="user"), "last_turn", "/messages"),
    (M, changed(messages, "messages", 2, "name", to="x"), "keys", "/messages/2"),
    (M, changed(messages, "messages", 1, "content", to=[{"type": "audio"}]), "parts", "/messages/1/content/0"),
    (D, gemini(), "form", ""),
    (D, changed(preference, "completions", 1, "score", to=1), "completions", "/completions"),
    (D, changed(preference, "completions", to=[]), "completions", "/completions"),
    (
        D,
        changed(preference, "completions", 0, "completion", "role", to="user"),
        "roles",
        "/completions/0/completion/role",
    ),
    (
        D,
        changed(preference, "completions", 1, "completion", "parts", 0, "text", to="play"),
        "completions",
        "/completions",
    ),
    (D, changed(preference, "contents", 0, "role", to="model"), "last_turn", "/contents/0/role"),
]


@pytest.mark.parametrize(("kind", "row", "rule", "pointer"), BROKEN)
def test_each_broken_row_is_found_at_its_place(
    tmp_path: Path, kind: tuple[str, Any], row: Any, rule: str, pointer: str
) -> None:
    model, make, more = MODELS[kind[0]]
    rows = [make(n) for n in range(100)]
    rows[41] = row
    report = check(tmp_path, rows, model=model, allowed_uris=["gs://photos"], **more)
    assert not report.passed
    assert (rule, "train", 42, pointer) in [(f.rule, f.where, f.row, f.pointer) for f in errors(report)]
    assert all(finding.row == 42 for finding in errors(report))


def test_photos_from_allowed_buckets_pass(tmp_path: Path) -> None:
    rows = [photo(f"gs://photos/children/{n}.jpg") for n in range(100)]
    assert check(tmp_path, rows, allowed_uris=["gs://photos/children"]).findings == ()
    assert not check(tmp_path, rows, allowed_uris=["gs://photos/child"]).passed
    assert len([f for f in check(tmp_path, rows).findings if f.rule == "file_uri"]) == 11
    report = check(tmp_path, rows, model="qwen/qwen3@qwen3-32b", allowed_uris=["gs://photos"])
    assert "modality" in {finding.rule for finding in errors(report)}


def test_a_prefix_ends_at_a_slash() -> None:
    assert is_below("gs://a/b/c", "gs://a/b")
    assert is_below("gs://a/b/c", "gs://a/b/")
    assert not is_below("gs://a/bc", "gs://a/b")
    assert not is_below("gs://ab/c", "gs://a")
    assert not is_below("gs://a/", "gs://a")
    assert not is_below("gs://a/b", "")


def test_rows_with_and_without_files_are_not_mixed_where_the_service_drops_one_kind(tmp_path: Path) -> None:
    def image(number: int) -> dict[str, Any]:
        url = {"type": "image_url", "image_url": {"url": f"gs://photos/{number}.png"}}
        row = messages(number)
        row["messages"][1]["content"] = [{"type": "text", "text": "What is it?"}, url]
        return row

    scout = "meta/llama4@llama-4-scout-17b-16e-instruct"
    images = [image(n) for n in range(100)]
    assert check(tmp_path, images, model=scout, allowed_uris=["gs://photos"]).passed
    (finding,) = errors(check(tmp_path, [*images, messages()], model=scout, allowed_uris=["gs://photos"]))
    assert (finding.rule, finding.found) == ("mixed_rows", "100 rows with files and 1 of text alone")


def test_forms_are_not_mixed(tmp_path: Path) -> None:
    (finding,) = errors(check(tmp_path, [*(prompt(n) for n in range(99)), messages()], model="qwen/qwen3@qwen3-32b"))
    assert (finding.rule, finding.row) == ("form", 100)


def test_distillation_may_hold_questions_alone_but_not_for_validation(tmp_path: Path) -> None:
    rows = [{"prompt": f"question {n}"} for n in range(100)]
    more = {"model": "qwen/qwen3@qwen3-8b", "method": "distillation"}
    assert check(tmp_path, rows, **more).passed
    assert [finding.where for finding in errors(check(tmp_path, rows, rows[:1], **more))] == ["validation"]


def test_overlong_rows_are_errors_and_doubtful_ones_warnings(tmp_path: Path) -> None:
    limit = find_model("qwen/qwen3@qwen3-32b").max_tokens
    rows: list[dict[str, Any]] = [prompt(n) for n in range(98)]
    rows += [{"prompt": "x" * round(limit / 0.246), "completion": "y"}]
    rows += [{"prompt": "x" * round(limit / 0.246 * 1.4), "completion": "y"}]
    report = check(tmp_path, rows, model="qwen/qwen3@qwen3-32b")
    assert [(finding.severity, finding.row) for finding in report.findings] == [("error", 100), ("warning", 99)]
    assert report.train.longest_tokens > limit
    assert "limit 8,192 tokens (as of 2026-09-25)" in report.findings[0].line
    counted = check(tmp_path, rows, model="qwen/qwen3@qwen3-32b", count_tokens=lambda texts: sum(map(len, texts)) // 8)
    assert counted.findings == ()
    assert counted.train.tokens_counted
    assert counted.train.volume.tokens is not None


def test_letters_beyond_ascii_count_their_bytes(tmp_path: Path) -> None:
    rows = [{"prompt": "日本語" * 3, "completion": "é"} for _ in range(100)]
    assert check(tmp_path, rows, model="qwen/qwen3@qwen3-32b").train.volume.characters == 100 * (27 + 2)


def test_a_row_in_both_files_is_a_warning(tmp_path: Path) -> None:
    rows = [gemini(n) for n in range(100)]
    report = check(tmp_path, rows, [rows[3], gemini(500)])
    assert [(f.rule, f.severity, f.row) for f in report.findings] == [("duplicate", "warning", 4)]


def test_few_rows_are_a_warning_and_none_an_error(tmp_path: Path) -> None:
    (finding,) = check(tmp_path, [gemini()]).findings
    assert (finding.rule, finding.severity, finding.limit) == ("rows", "warning", "100 to start with")
    (finding,) = errors(check(tmp_path, []))
    assert (finding.rule, finding.found) == ("rows", "no rows")


def test_the_validation_file_is_held_against_the_training_file(tmp_path: Path) -> None:
    rows = [prompt(n) for n in range(100)]
    held = [prompt(n) for n in range(1000, 1026)]
    (finding,) = errors(check(tmp_path, rows, held, model="qwen/qwen3@qwen3-32b"))
    assert (finding.rule, finding.where) == ("validation_bytes", "validation")
    assert "90/10" in finding.mend
    assert check(tmp_path, rows, held[:24], model="qwen/qwen3@qwen3-32b").passed
    many = [gemini(n) for n in range(3400)]
    (finding,) = errors(check(tmp_path, many[:3300], [gemini(n) for n in range(9000, 10001)]))
    assert finding.rule == "validation_share"
    assert check(tmp_path, many, [gemini(n) for n in range(9000, 10001)]).passed
    report = check(tmp_path, rows, [prompt(n) for n in range(1000, 6001)], model="qwen/qwen3@qwen3-32b")
    rules = {finding.rule for finding in errors(report)}
    assert rules == {"validation_rows", "validation_bytes"}


def test_an_empty_validation_file_is_none(tmp_path: Path) -> None:
    assert len(check(tmp_path, [gemini(n) for n in range(100)], []).files) == 1


def test_many_findings_of_a_rule_become_one_with_a_count(tmp_path: Path) -> None:
    report = check(tmp_path, [changed(gemini, "extra", to=1) for _ in range(500)])
    assert len(report.findings) == 11
    assert report.findings[-1].count == 490
    assert "row 11 and 489 more" in report.findings[-1].line


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    rows = [gemini(), b'{"contents": "' + b"x" * 5000, gemini()]
    report = check(tmp_path, rows)
    assert [(finding.rule, finding.row) for finding in errors(report)] == [("line_length", 2)]


def test_names_in_findings_are_never_texts(tmp_path: Path) -> None:
    row = gemini()
    row[SECRET] = 1
    row["contents"][0]["role"] = SECRET
    row["contents"][1][SECRET] = 1
    report = check(tmp_path, [row, {SECRET: SECRET}, f'{{"{SECRET}'.encode() + b"\n"])
    assert len(errors(report)) >= 4


def test_a_hundred_thousand_rows_take_less_than_ten_seconds(tmp_path: Path) -> None:
    line = json.dumps(gemini(question=SECRET * 8)).encode()
    train = tmp_path / "train.jsonl"
    with train.open("wb") as handle:
        for number in range(100_000):
            handle.write(line.replace(b"play", b"play %d" % number) + b"\n")
    entry = find_model("gemini-2.5-flash")
    held = written(tmp_path / "validation.jsonl", [gemini(n, question="other") for n in range(1000)])
    started = time.process_time()
    report = check_files(train, held, entry, TuningConfig(backend="gemini", base_model=entry.id))
    spent = time.process_time() - started
    assert report.passed
    assert report.train.rows == 100_000
    print(f"100,000 rows, {train.stat().st_size / 1e6:.0f} MB: {spent:.2f} s of CPU")
    assert spent < 10
