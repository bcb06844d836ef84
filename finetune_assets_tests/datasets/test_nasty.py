"""Every awkward JSON, JSON Lines and CSV file of the real data: its expected outcome, or our rule (docs/reading.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.build import SplitSummary, build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.reading.ingest import IngestSummary, ingest
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord, Rejection
from finetune_assets.task_types import build_task_type

LABELS = ["Mathematics", "Expressive Arts", "Literacy"]

# What the reader finds: rows kept, rows by reason. The rows named in BY_TASK_TYPE are readable and rejected later.
ROWS: dict[str, tuple[int, dict[str, int]]] = {
    "jsonl/01_bom.jsonl": (3, {}),
    "jsonl/02_crlf.jsonl": (3, {}),
    "jsonl/05_blank_lines.jsonl": (2, {}),
    "jsonl/06_nan_infinity.jsonl": (2, {"not_finite": 1}),
    "jsonl/07_duplicate_keys.jsonl": (2, {"duplicate_key": 1}),
    # Rule: U+0000 is refused, escaped or raw, in lines as in documents.
    "jsonl/10_nul_byte.jsonl": (2, {"nul_character": 1}),
    "jsonl/11_raw_nul.jsonl": (2, {"invalid_json": 1}),
    "jsonl/12_lone_surrogate.jsonl": (2, {"lone_surrogate": 1}),
    # Rule: double-encoded text is kept as it is and counted in the summary's notes.
    "jsonl/16_mojibake.jsonl": (3, {}),
    "jsonl/17_zero_width.jsonl": (3, {}),
    "jsonl/20_label_space.jsonl": (3, {}),
    "jsonl/21_unknown_label.jsonl": (3, {}),
    "jsonl/22_missing_field.jsonl": (3, {}),
    "jsonl/25_wrong_type.jsonl": (3, {}),
    "jsonl/26_numeric_label.jsonl": (3, {}),
    "jsonl/27_array_row.jsonl": (2, {"not_an_object": 1}),
    "jsonl/30_single_quotes.jsonl": (2, {"invalid_json": 1}),
    "jsonl/31_unescaped_quote.jsonl": (2, {"invalid_json": 1}),
    "jsonl/32_raw_newline.jsonl": (2, {"invalid_json": 2}),
    "jsonl/36_truncated_last.jsonl": (1, {"truncated_row": 1}),
    "jsonl/37_duplicate_id.jsonl": (3, {}),
    # Rule: accepted text is data and kept; what is shown of a row elsewhere is redacted.
    "jsonl/40_pii.jsonl": (3, {}),
    # Rule: markup is data and kept; whoever shows it escapes it.
    "jsonl/41_html_script.jsonl": (3, {}),
    "jsonl/42_prompt_injection.jsonl": (3, {}),
    # Rule: large whole numbers are kept exactly, what no double can hold is refused.
    "jsonl/45_big_int.jsonl": (2, {"not_finite": 1}),
    "jsonl/46_huge_int_digits.jsonl": (2, {"number_too_large": 1}),
    "jsonl/47_line_separator.jsonl": (3, {}),
    "jsonl/50_comment_lines.jsonl": (2, {"invalid_json": 2}),
    "json/01_bom.json": (1, {}),
    "json/05_dup_keys_nested.json": (0, {"duplicate_key": 1}),
    # Rule: one list under a known name is the list of records.
    "json/07_wrapper.json": (1, {}),
    "json/25_mixed_types.json": (1, {"not_an_object": 4}),
    "json/26_chat_alpha.json": (1, {}),
    "json/27_chat_roles.json": (1, {}),
    "json/30_chat_empty_assistant.json": (1, {}),
    "json/31_chat_unknown_role.json": (1, {}),
    "json/32_placeholder.json": (1, {}),
    # Rule: entities are data and kept.
    "json/35_html_entities.json": (1, {}),
    "json/36_lone_surrogate.json": (0, {"lone_surrogate": 1}),
    "json/37_escaped_nul.json": (0, {"nul_character": 1}),
    # Rule: a name with spaces around it counts as the name.
    "json/40_key_space.json": (1, {}),
    "json/41_proto_keys.json": (1, {}),
    "json/42_nfd_keys.json": (1, {}),
    "csv/01_bom.csv": (2, {}),
    "csv/02_crlf.csv": (2, {}),
    "csv/05_doubled_quotes.csv": (1, {}),
    "csv/06_unescaped_quotes.csv": (1, {"bad_quoting": 1}),
    # Rule: a quote that is never closed costs its row, not the rest of the file.
    "csv/07_unclosed_quote.csv": (3, {"unclosed_quote": 1}),
    # Rule: the delimiter is detected among comma, semicolon, tab and pipe, and reported.
    "csv/10_tab.csv": (2, {}),
    "csv/11_extra_columns.csv": (2, {"column_count": 1}),
    "csv/12_missing_columns.csv": (2, {"column_count": 1}),
    # Rule: a name in another case or with spaces around it counts as the name.
    "csv/15_header_case.csv": (1, {}),
    "csv/17_blank_lines.csv": (2, {"empty_row": 1}),
    # Rule: an empty cell is an absent field, which the task type judges.
    "csv/20_total_row.csv": (3, {}),
    # Rule: an encoding other than UTF-8 must be declared.
    "csv/21_cp1252.csv": (0, {"bad_encoding": 1}),
    # Rule: CSV in UTF-16 with a byte order mark is read.
    "csv/22_utf16.csv": (1, {}),
    "csv/25_leading_zero_id.csv": (1, {}),
    # Rule: all values are texts as written.
    "csv/26_na_strings.csv": (3, {}),
    "csv/27_bool_like.csv": (3, {}),
    "csv/30_single_quote_char.csv": (0, {"column_count": 1}),
    # Rule: backslashes before quotes must be declared.
    "csv/31_backslash_escape.csv": (0, {"bad_quoting": 1}),
    # Rule: markup is data and kept.
    "csv/35_html.csv": (1, {}),
    "csv/36_pii.csv": (1, {}),
    "csv/37_dup_rows.csv": (3, {}),
    # Rule: the end mark of old systems in a last line of its own is dropped.
    "csv/40_ctrl_z.csv": (2, {}),
    "csv/42_lone_cr_in_field.csv": (2, {}),
}

# What the whole file is refused for.
FILES = {
    "jsonl/15_utf16.jsonl": "UTF-16",
    "jsonl/35_json_array_in_jsonl.jsonl": "JSON array, not JSON Lines",
    "json/02_utf16.json": "UTF-16",
    "json/06_deep.json": "nested too deep",
    # Rule: an object of objects and column-oriented JSON look alike; both are refused.
    "json/10_object_of_objects.json": "object of objects",
    "json/11_columns.json": "column-oriented",
    "json/12_columns_index.json": "column-oriented",
    "json/15_comments.json": "no comments",
    "json/16_single_quotes.json": "double quotes",
    "json/17_unquoted_keys.json": "double quotes",
    "json/20_trailing_garbage.json": "extra data",
    "json/21_html_not_json.json": "HTML",
    "json/22_empty.json": "source file is empty",
    "json/45_lfs_pointer.json": "Git LFS pointer",
    "json/46_merge_conflict.json": "merge conflict",
    # Rule: a header with an empty, repeated or partly invisible name is refused.
    "csv/16_empty_header.csv": "no name for column 2",
    "csv/32_zero_width_header.csv": r"U\+200B",
    "csv/41_only_header.csv": "source holds no record",
}

# Readable rows that the classification task or the build rejects: rows kept of all, rows by reason, duplicates.
BY_TASK_TYPE: dict[str, tuple[int, dict[str, int], int]] = {
    "jsonl/17_zero_width.jsonl": (2, {}, 1),
    "jsonl/20_label_space.jsonl": (3, {}, 0),
    "jsonl/21_unknown_label.jsonl": (2, {"unknown_label": 1}, 0),
    "jsonl/22_missing_field.jsonl": (2, {"missing_field": 1}, 0),
    "jsonl/25_wrong_type.jsonl": (2, {"wrong_type": 1}, 0),
    "jsonl/26_numeric_label.jsonl": (2, {"unknown_label": 1}, 0),
    "jsonl/37_duplicate_id.jsonl": (2, {"duplicate_id": 1}, 0),
    "jsonl/42_prompt_injection.jsonl": (3, {}, 0),
    "jsonl/47_line_separator.jsonl": (3, {}, 0),
    "csv/15_header_case.csv": (1, {}, 0),
    "csv/20_total_row.csv": (2, {"missing_field": 1}, 0),
    "csv/37_dup_rows.csv": (2, {}, 1),
}

# The same for the question-answering task: the reason of the one record, or "" where it becomes an example.
BY_QUESTIONS = {
    "json/01_bom.json": "",
    "json/07_wrapper.json": "",
    "json/26_chat_alpha.json": "",
    "json/27_chat_roles.json": "",
    "json/30_chat_empty_assistant.json": "blank_turn",
    "json/31_chat_unknown_role.json": "unknown_role",
    "json/32_placeholder.json": "placeholder_target",
    "json/35_html_entities.json": "",
    "json/40_key_space.json": "",
    "json/41_proto_keys.json": "",
    "json/42_nfd_keys.json": "missing_field",
}


def read(folder: Path, name: str, out: Path) -> IngestSummary:
    config = DatasetConfig.model_validate({"source": {"path": f"nasty/{name}"}})
    return ingest(config.source, folder, {"question": ["question"], "answer": ["answer"]}, out)


def index_of(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "nasty/INDEX.jsonl").read_text().splitlines()]
    return [row for row in rows if row["format"] in ("json", "jsonl", "csv")]


def test_every_file_is_named_here(real_data: Path) -> None:
    names = {row["file"] for row in index_of(real_data)}
    assert names == ROWS.keys() | FILES.keys()
    assert len(names) == 84


def test_reader_outcomes(real_data: Path, tmp_path: Path) -> None:
    for row in index_of(real_data):
        name = row["file"]
        out = tmp_path / name.replace("/", "_")
        out.mkdir()
        if name in FILES:
            with pytest.raises(FinetuneError, match=FILES[name]) as caught:
                read(real_data, name, out)
            assert "\n" not in str(caught.value), name
            continue
        summary = read(real_data, name, out)
        assert (summary.accepted, summary.reasons) == ROWS[name], name
        assert summary.read == summary.accepted + summary.quarantined
        text = (out / "records.jsonl").read_text(encoding="utf-8", errors="strict")
        assert all(sign not in text for sign in ("NaN", "Infinity", "\\u0000", "\r", "\ufffd")), name
        if "rows_ok" in row and name not in BY_TASK_TYPE and name not in BY_QUESTIONS:
            assert (summary.accepted, summary.quarantined) == (row["rows_ok"], row["rows_bad"]), name


def test_details_of_what_is_kept(real_data: Path, tmp_path: Path) -> None:
    def kept(name: str) -> list[dict[str, Any]]:
        out = tmp_path / name.replace("/", "_")
        out.mkdir()
        read(real_data, name, out)
        return [json.loads(line)["fields"] for line in (out / "records.jsonl").read_text().split("\n")[:-1]]

    assert read(real_data, "jsonl/16_mojibake.jsonl", tmp_path).notes == {"mojibake": 1}
    assert kept("jsonl/47_line_separator.jsonl")[1]["text"] == "first\u2028second\u2029third\u0085fourth"
    assert kept("json/40_key_space.json") == [{"question": "a?", "answer": "b"}]
    assert kept("json/41_proto_keys.json")[0]["question"] == "What is ozone?"
    assert kept("json/42_nfd_keys.json") == [{"question": "a?", "re\u0301ponse": "b"}]
    assert kept("csv/01_bom.csv")[0].keys() == {"id", "text", "label"}
    assert kept("csv/02_crlf.csv")[1]["label"] == "Expressive Arts"
    assert kept("csv/05_doubled_quotes.csv")[0]["text"] == 'She said "hi", then left'
    assert kept("csv/06_unescaped_quotes.csv") == [{"id": "c3", "text": "Mia sang a song.", "label": "Expressive Arts"}]
    assert kept("csv/25_leading_zero_id.csv")[0]["id"] == "00123"
    assert [row["text"] for row in kept("csv/26_na_strings.csv")] == ["NA", "null", "None"]
    assert [row["text"] for row in kept("csv/27_bool_like.csv")] == ["True", "1e5", "1-2"]
    assert kept("csv/42_lone_cr_in_field.csv")[0]["text"] == "line\rtwo"
    assert kept("json/07_wrapper.json")[0]["answer"] == "A greenhouse gas."


def test_other_ways_to_write_csv_can_be_declared(real_data: Path, tmp_path: Path) -> None:
    def texts(name: str, **csv: str) -> list[str]:
        out = tmp_path / name
        out.mkdir()
        config = DatasetConfig.model_validate({"source": {"path": f"nasty/csv/{name}", "csv": csv}})
        ingest(config.source, real_data, {}, out)
        lines = (out / "records.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line)["fields"]["text"] for line in lines]

    assert texts("21_cp1252.csv", encoding="cp1252") == ["café “hello”"]
    assert texts("30_single_quote_char.csv", quotechar="'") == ["Tom, ran"]
    assert texts("31_backslash_escape.csv", escapechar="\\") == ['He said "hi", ok']


def test_rejected_csv_rows_have_their_place(real_data: Path, tmp_path: Path) -> None:
    read(real_data, "csv/07_unclosed_quote.csv", tmp_path)
    (row,) = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert (row["file"], row["line"], row["offset"], row["field"]) == ("07_unclosed_quote.csv", 3, 54, "text")
    assert row["mend"]


def test_large_whole_numbers_are_kept_exactly(real_data: Path, tmp_path: Path) -> None:
    line = (real_data / "nasty/jsonl/45_big_int.jsonl").read_text().split("\n")[1].replace(',"f":1e400', "")
    (tmp_path / "one.jsonl").write_text(line)
    config = DatasetConfig.model_validate({"source": {"path": "one.jsonl"}})
    assert ingest(config.source, tmp_path, {}, tmp_path).accepted == 1
    assert '"n":12345678901234567890123' in (tmp_path / "records.jsonl").read_text()


def build(folder: Path, name: str, home: Path) -> tuple[SplitSummary, Path]:
    (home / "taxonomy.json").write_text(json.dumps({"labels": LABELS}))
    task = build_task_type("classification", {"taxonomy": "taxonomy.json"}, home)
    raw, out = home / "raw", home / "splits"
    raw.mkdir()
    out.mkdir()
    config = DatasetConfig.model_validate({"source": {"path": str(folder / "nasty" / name)}})
    ingest(config.source, home, task.aliases, raw)
    return build_splits(raw / "records.jsonl", out, task, config), out


def test_outcomes_of_the_classification_task(real_data: Path, tmp_path: Path) -> None:
    index = {row["file"]: row for row in index_of(real_data)}
    for name, (accepted, reasons, duplicates) in BY_TASK_TYPE.items():
        home = tmp_path / name.replace("/", "_")
        home.mkdir()
        summary, _ = build(real_data, name, home)
        assert (summary.accepted, summary.reasons, summary.duplicates) == (accepted, reasons, duplicates), name
        expected = index[name]
        if "rows_ok" in expected:
            # A duplicate is a good row that is not needed twice; the index counts it in one case and not in another.
            assert expected["rows_ok"] in (summary.accepted, summary.accepted + summary.duplicates), name
            assert summary.quarantined == expected["rows_bad"], name


def test_outcomes_of_the_question_answering_task(real_data: Path, tmp_path: Path) -> None:
    index = {row["file"]: row for row in index_of(real_data)}
    task = build_task_type("question_answering", {}, tmp_path)
    for name, reason in BY_QUESTIONS.items():
        out = tmp_path / name.replace("/", "_")
        out.mkdir()
        config = DatasetConfig.model_validate({"source": {"path": f"nasty/{name}"}})
        ingest(config.source, real_data, task.aliases, out)
        (line,) = (out / "records.jsonl").read_text().splitlines()
        (found,) = task.examples(RawRecord.from_json(json.loads(line)))
        assert (found.reason if isinstance(found, Rejection) else "") == reason, name
        if "rows_ok" in index[name]:
            assert index[name]["rows_ok"] == (not reason), name


def test_a_label_with_spaces_is_no_second_class(real_data: Path, tmp_path: Path) -> None:
    _, out = build(real_data, "jsonl/20_label_space.jsonl", tmp_path)
    labels = json.loads((out / "statistics.json").read_text())["labels"]
    assert labels == {"Expressive Arts": 1, "Mathematics": 2}


def test_control_tokens_reach_no_rendered_line(real_data: Path, tmp_path: Path) -> None:
    _, out = build(real_data, "jsonl/42_prompt_injection.jsonl", tmp_path)
    rendered = "".join(path.read_text() for path in [*out.glob("chat/*.jsonl"), *out.glob("gemini/*.jsonl")])
    assert "Ignore all previous instructions" in rendered
    assert "<|im_end|>" not in rendered
    assert "[INST]" not in rendered
