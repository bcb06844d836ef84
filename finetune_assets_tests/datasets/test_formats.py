from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.build import build_splits
from finetune_assets.datasets.config import DatasetConfig, RenderConfig
from finetune_assets.datasets.format_checks import format_findings, limit_findings
from finetune_assets.datasets.formats import FORMAT_READERS, RENDERERS, WITH_ATTACHMENTS
from finetune_assets.datasets.formats.hf import export, read_exported
from finetune_assets.datasets.formats.limits import LIMITS
from finetune_assets.datasets.formats.parsed import of_example
from finetune_assets.datasets.formats.prompt_completion import flatten, unflatten
from finetune_assets.datasets.rendered import PREVIEW, rendered_files
from finetune_assets.records.example import SPLITS, Attachment, Example, Message, SourceRef
from finetune_assets.records.json_lines import decode_line, encode_line
from finetune_assets_tests.datasets.fake_task import FakeTask
from finetune_assets_tests.datasets.test_build import build, observations

HEADINGS = ["### User:", "### System:", "### Assistant:", "\\### User:", "### Input:"]
# What could be taken for a format's own syntax, besides any text.
contents = st.one_of(
    st.text(min_size=1, max_size=30),
    st.lists(st.sampled_from([*HEADINGS, "\n", "\n\n", "a", " ", "\r", '"', ","]), min_size=1, max_size=8).map("".join),
)
files = st.builds(
    Attachment, uri=st.text(min_size=1, max_size=20), mime_type=st.sampled_from(["image/png", "audio/wav"])
)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    said = draw(st.lists(contents, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1))
    turns: list[Message] = [{"role": "system", "content": draw(contents)}] if draw(st.booleans()) else []
    facts: dict[str, Any] = {}
    if draw(st.booleans()):
        facts["context"] = draw(contents)
        said[-1] += "\n\n" + facts["context"]
    if draw(st.booleans()):
        facts["rejected"] = draw(contents)
    if draw(st.booleans()):
        facts |= {"original_transcript": draw(st.text(max_size=9)), "error_types": ["x"], "error_score": 0.5}
    for number, content in enumerate(said):
        turns.append({"role": "user" if number % 2 == 0 else "assistant", "content": content})
    return Example(
        record_id="r",
        content_key="0" * 64,
        messages=tuple(turns),
        target=draw(contents),
        label="x",
        label_path=("x",),
        source=SourceRef("a"),
        attachments=tuple(draw(st.lists(files, max_size=2))),
        facts=facts,
    )


@pytest.mark.parametrize("form", RENDERERS)
@given(example=examples())
def test_every_rendered_row_parses_back_to_its_example(form: str, example: Example) -> None:
    row = RENDERERS[form](example)
    if row is None:
        assert form in {"preference", "preference_trl", "stt"}
        return
    assert FORMAT_READERS[form](decode_line(encode_line(row))) == of_example(
        example, with_attachments=form in WITH_ATTACHMENTS
    )


def test_every_format_has_a_reader_and_is_legal_in_yaml() -> None:
    assert set(RENDERERS) == set(FORMAT_READERS)
    assert RenderConfig.model_validate({"formats": list(RENDERERS)}).formats == list(RENDERERS)


@given(st.lists(contents, min_size=1, max_size=3))
def test_flattened_prompts_are_unambiguous(said: list[str]) -> None:
    turns: list[Message] = [{"role": "user", "content": content} for content in said]
    assert unflatten(flatten(turns)) == turns


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_exports_keep_every_kind_of_line_end_and_sign(ending: Any, tmp_path: Path) -> None:
    said = 'a\rb\r\nc\n"d", e;\u2028f\x85\x0b\t g'
    example = Example("r\r1", "0" * 64, ({"role": "user", "content": said},), said, "x", ("x",), SourceRef("a"))
    row = RENDERERS["hf"](example)
    assert row is not None
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_bytes(encode_line(row) + b"\n")
    export(tmp_path, [ending])
    assert list(read_exported(tmp_path / f"test.{ending}")) == [row]


ASKED: tuple[Message, ...] = ({"role": "system", "content": "S."}, {"role": "user", "content": "Do.\n\nthis"})
PLAIN = Example("r", "0" * 64, ASKED, "good", "x", ("x",), SourceRef("a"), facts={"context": "this", "rejected": "bad"})


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            "vertex_open",
            {"prompt": "### System:\nS.\n\n### User:\nDo.\n\nthis\n\n### Assistant:\n", "completion": "good"},
        ),
        ("alpaca", {"instruction": "Do.", "input": "this", "output": "good", "system": "S."}),
        (
            "preference",
            {
                "system_instruction": {"parts": [{"text": "S."}]},
                "contents": [{"role": "user", "parts": [{"text": "Do.\n\nthis"}]}],
                "completions": [
                    {"score": 1, "completion": {"role": "model", "parts": [{"text": "good"}]}},
                    {"score": 0, "completion": {"role": "model", "parts": [{"text": "bad"}]}},
                ],
            },
        ),
        (
            "preference_trl",
            {
                "prompt": list(ASKED),
                "chosen": [{"role": "assistant", "content": "good"}],
                "rejected": [{"role": "assistant", "content": "bad"}],
            },
        ),
    ],
)
def test_rows_are_as_the_readers_of_them_want(form: str, expected: dict[str, Any]) -> None:
    assert RENDERERS[form](PLAIN) == expected


def test_a_single_question_is_its_own_prompt() -> None:
    single = replace(PLAIN, messages=({"role": "user", "content": "Why?"},))
    assert RENDERERS["vertex_open"](single) == {"prompt": "Why?", "completion": "good"}


def test_earlier_turns_stand_in_the_history() -> None:
    longer = replace(
        PLAIN, messages=({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, ASKED[1])
    )
    assert RENDERERS["alpaca"](longer) == {
        "instruction": "Do.", "input": "this", "output": "good", "history": [["a", "b"]]
    }  # fmt: skip


@pytest.mark.parametrize("facts", [{}, {"rejected": " "}, {"rejected": "good"}, {"rejected": 3}])
def test_without_a_worse_answer_there_is_no_preference(facts: dict[str, Any]) -> None:
    assert RENDERERS["preference"](replace(PLAIN, facts=facts)) is None
    assert RENDERERS["preference_trl"](replace(PLAIN, facts=facts)) is None
    photo = (Attachment("gs://b/p.png", "image/png"),)
    assert RENDERERS["preference"](replace(PLAIN, attachments=photo)) is None, "preference tuning is of text only"


def test_speech_rows_have_the_fields_of_the_trade() -> None:
    facts = {"original_transcript": "helo", "audio_path": "a/x.wav", "error_types": ["spelling"], "error_score": 0.7}
    case = replace(PLAIN, facts={**facts, "corrected": True})
    row = RENDERERS["stt"](case)
    assert row is not None
    assert {name: row[name] for name in ("case_id", "audio_path", "input_text", "target_text", "has_correction")} == {
        "case_id": "r", "audio_path": "a/x.wav", "input_text": "helo", "target_text": "good", "has_correction": True
    }  # fmt: skip
    hf = RENDERERS["hf"](case)
    assert hf is not None
    assert list(hf) == ["audio", "text", "original_text", "case_id", "messages"]
    assert RENDERERS["stt"](PLAIN) is None


FORMS = ["chat", "gemini", "vertex_open", "vertex_open_messages", "alpaca", "hf"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return build(tmp_path, observations(60), render={"formats": FORMS, "hf_files": ["json", "csv", "parquet"]})[1]


def test_a_build_writes_every_format_and_the_check_reads_them_back(dataset: Path) -> None:
    findings = format_findings(dataset, FORMS, hf_files=["json", "csv", "parquet"])
    assert findings.passed, findings.failures
    assert findings.facts["rows_by_format"] == dict.fromkeys(FORMS, 60)
    statistics = json.loads((dataset / "statistics.json").read_text())
    assert statistics["left_out"] == dict.fromkeys(FORMS, 0)
    assert statistics["rendered"]["alpaca"] == statistics["splits"]
    previews = [json.loads(line) for line in (dataset / PREVIEW).read_text().splitlines()]
    assert len(previews) == 5
    assert all(row["template"] == "chatml" and row["text"].endswith("<|im_end|>\n") for row in previews)


def test_exports_hold_the_rows_in_order(dataset: Path) -> None:
    lines = [decode_line(line) for line in (dataset / "hf/train.jsonl").read_bytes().splitlines()]
    for kind in ("json", "csv", "parquet"):
        assert list(read_exported(dataset / f"hf/train.{kind}")) == lines
    (dataset / "hf/train.json").write_text(json.dumps(lines[1:]))
    problems = format_findings(dataset, ["hf"], hf_files=["json"]).failures
    assert [(row["field"], row["problem"]) for row in problems] == [
        ("hf/train.json", f"{len(lines)} rows differ from train.jsonl")
    ]


def test_what_is_uploaded_are_exactly_the_files_of_the_formats() -> None:
    render = RenderConfig.model_validate({"formats": ["chat", "hf"], "hf_files": ["csv", "parquet"]})
    assert rendered_files(render, "train") == ["chat/train.jsonl", "hf/train.csv", "hf/train.parquet"]


class TwoAnswers(FakeTask):
    """Every third record knows a worse answer."""

    def example(self, record: Any) -> Any:
        found = super().example(record)
        number = int(record.fields["id"][1:])
        return replace(found, facts={"rejected": "I do not know."}) if number % 3 == 0 else found


def test_rows_that_a_format_leaves_out_are_counted(tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    records.write_text(
        "".join(
            json.dumps({"fields": row, "source": SourceRef("o.jsonl", line=number).to_json()}) + "\n"
            for number, row in enumerate(observations(60), start=1)
        )
    )
    out = tmp_path / "out"
    out.mkdir()
    config = DatasetConfig.model_validate({"source": {"path": "x"}, "render": {"formats": ["chat", "preference"]}})
    build_splits(records, out, TwoAnswers(), config)
    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics["left_out"] == {"chat": 0, "preference": 40}
    findings = format_findings(out, ["chat", "preference"])
    assert findings.passed
    assert findings.facts["left_out_by_format"] == {"chat": 0, "preference": 40}
    lines = (out / "preference/train.jsonl").read_text().splitlines()
    (out / "preference/train.jsonl").write_text("\n".join(lines[1:]) + "\n")
    assert not format_findings(out, ["preference"]).passed


def test_a_format_without_any_training_row_fails(tmp_path: Path) -> None:
    folder = build(tmp_path, observations(60), render={"formats": ["chat", "preference"]})[1]
    problems = {row["problem"] for row in format_findings(folder, ["chat", "preference"]).failures}
    assert problems == {"no row: no training example has what this format needs"}


def test_limits_of_providers_are_warnings_with_a_date(tmp_path: Path) -> None:
    small = build(
        tmp_path, observations(60), render={"formats": FORMS}, split={"train": 0.6, "validation": 0.4, "test": 0}
    )
    findings = limit_findings(small[1], FORMS, multimodal=False)
    assert {row["field"] for row in findings.failures} == {
        "vertex_open/validation.jsonl", "vertex_open_messages/validation.jsonl"
    }  # fmt: skip
    assert all("at most 25%" in row["problem"] for row in findings.failures)
    assert set(findings.facts) == {"gemini", "vertex_open", "vertex_open_messages"}
    assert limit_findings(small[1], ["chat", "alpaca"], multimodal=False).facts == {}


@pytest.mark.parametrize(
    ("form", "train", "validation", "multimodal", "broken"),
    [
        ("gemini", (10_000_000, 1 << 30), (5_000, 1), False, 0),
        ("gemini", (10_000_001, 1), (1, 1), False, 1),
        ("gemini", (300_001, 1), (1, 1), True, 1),
        ("gemini", (100, (1 << 30) + 1), (1, 1), False, 1),
        ("gemini", (100_000, 1), (5_001, 1), False, 1),
        ("gemini", (3_000, 1), (1_000, 1), False, 0),
        ("gemini", (3_000, 1), (1_001, 1), False, 1),
        ("vertex_open", (10, 100), (3, 25), False, 0),
        ("vertex_open", (10, 100), (3, 26), False, 1),
    ],
)
def test_each_limit_holds_at_its_edge(
    form: str, train: tuple[int, int], validation: tuple[int, int], multimodal: bool, broken: int
) -> None:
    found = list(LIMITS[form].problems(train=train, validation=validation, multimodal=multimodal))
    assert len(found) == broken, found
