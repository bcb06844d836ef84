from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.build import build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.quarantine import REASONS, UNCOUNTED_REASONS
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.render import CHATML, template_hash
from finetune_assets.datasets.schema import leakage_findings, taxonomy_findings, validate_examples
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Attachment, Example, RawRecord, Rejection, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types import build_task_type, task_type_from_manifest
from finetune_assets.task_types.transcription import TranscriptionTask
from finetune_assets.task_types.transcription_cases import CASE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for names in CASE.aliases.values() for name in names})


def make_task(folder: Path = Path(), **section: Any) -> TranscriptionTask:
    task = build_task_type("transcription", section, folder)
    assert isinstance(task, TranscriptionTask)
    return task


def case(**changes: Any) -> dict[str, Any]:
    """A good error case; None removes a field."""
    fields: dict[str, Any] = {
        "case_id": "a1b2",
        "audio_path": "a/x.wav",
        "original_transcript": "helo wrld",
        "corrected_transcript": "Hello world.",
        "error_types": ["substitution"],
        "error_score": 0.7,
        "metadata": {"inference_time": 0.5, "model_confidence": 0.85, "duration_seconds": 1.5},
        "timestamp": "2025-01-01T00:00:00",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def read(task: TranscriptionTask, fields: dict[str, Any]) -> Example | Rejection:
    return task.example(RawRecord(fields, SourceRef("cases.jsonl", line=3)))


def accepted(task: TranscriptionTask, fields: dict[str, Any]) -> Example:
    found = read(task, fields)
    assert isinstance(found, Example), found
    return found


def rejected(task: TranscriptionTask, fields: dict[str, Any]) -> tuple[str, str]:
    found = read(task, fields)
    assert isinstance(found, Rejection), found
    assert found.reason in REASONS
    assert found.mend
    return found.reason, found.field


def test_an_error_case_becomes_an_example() -> None:
    task: TaskType = make_task()
    assert (task.name, task.text_field, task.label_levels) == ("transcription", "original_transcript", ("error_type",))
    assert task.choices() is None
    example = accepted(make_task(), case())
    assert example.record_id == "a1b2"
    assert example.messages == (
        {"role": "system", "content": "Correct the transcript."},
        {"role": "user", "content": "helo wrld"},
    )
    assert example.target == "Hello world."
    assert (example.label, example.label_path) == ("substitution", ("substitution",))
    assert [group.partition("=")[0] for group in example.groups] == ["audio", "correction", "transcript"]
    assert example.attachments == ()
    assert example.facts == {
        "original_transcript": "helo wrld",
        "audio_path": "a/x.wav",
        "error_types": ["substitution"],
        "error_score": 0.7,
        "signals": [],
        "detector_score": 0.0,
        "normaliser": "basic_english/1",
        "wer": 1.0,
        "cer": pytest.approx(2 / 11),
        "word_edits": 2,
        "reference_words": 2,
        "character_edits": 2,
        "reference_characters": 11,
        "wer_above_one": False,
        "main_edit": "substitution",
        "corrected": True,
    }
    json.dumps(example.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 7, "hypothesis": "helo wrld", "reference": "Hello world.", "audio": {"path": "a/x.wav", "bytes": None}},
        {"caseId": "7", "input_text": "helo wrld", "target_text": "Hello world.", "audioPath": "a/x.wav"},
        {"case_id": "7", "original_text": " helo wrld\n", "text": "Hello world.", "audio_uri": "a/x.wav"},
    ],
)
def test_other_names_are_read_too(fields: dict[str, Any]) -> None:
    example = accepted(make_task(), fields)
    usual = accepted(make_task(), case())
    assert (example.record_id, example.target, example.messages) == ("7", usual.target, usual.messages)
    assert (example.content_key, example.groups) == (usual.content_key, usual.groups)
    assert example.label == "substitution"
    assert example.facts["error_score"] is None


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"case_id": [1]}, "wrong_type", "case_id"),
        ({"original_transcript": ["helo"]}, "wrong_type", "original_transcript"),
        ({"original_transcript": ""}, "empty_transcript", "original_transcript"),
        ({"original_transcript": " \u200b"}, "empty_transcript", "original_transcript"),
        ({"original_transcript": None}, "empty_transcript", "original_transcript"),
        ({"original_transcript": "a\ud800"}, "lone_surrogate", "original_transcript"),
        ({"original_transcript": "x" * 10_001}, "text_too_long", "original_transcript"),
        ({"corrected_transcript": None}, "uncorrected", "corrected_transcript"),
        ({"corrected_transcript": "  "}, "uncorrected", "corrected_transcript"),
        ({"corrected_transcript": 3}, "wrong_type", "corrected_transcript"),
        ({"error_types": ["a", ["b", 3]]}, "wrong_type", "error_types"),
        ({"error_types": {"a": 1}}, "wrong_type", "error_types"),
        ({"error_score": 0.49}, "low_error_score", "error_score"),
        ({"error_score": 1.01}, "out_of_range", "error_score"),
        ({"error_score": "high"}, "wrong_type", "error_score"),
        ({"error_score": True}, "wrong_type", "error_score"),
        ({"metadata": [1]}, "wrong_type", "metadata"),
        ({"metadata": {"duration": -1}}, "out_of_range", "metadata"),
        ({"metadata": {"model_confidence": 7}}, "out_of_range", "metadata"),
        ({"timestamp": [2025]}, "wrong_type", "timestamp"),
        ({"audio_path": 3}, "wrong_type", "audio_path"),
    ],
)
def test_unusable_cases_are_rejected(changes: dict[str, Any], reason: str, field: str) -> None:
    fields = {name: value for name, value in {**case(), **changes}.items() if value is not None}
    assert rejected(make_task(), fields) == (reason, field)


def test_filters_do_not_count_against_the_source() -> None:
    assert {"uncorrected", "low_error_score"} <= UNCOUNTED_REASONS


def test_error_types_may_be_nested() -> None:
    example = accepted(make_task(), case(error_types=[["all_caps", " "], [["no_punctuation"], None, "all_caps"]]))
    assert example.facts["error_types"] == ["all_caps", "no_punctuation"]
    assert example.label == "all_caps"
    assert accepted(make_task(), case(error_types="all_caps")).label == "all_caps"
    strict = make_task(error_types=["substitution"])
    assert accepted(strict, case()).label == "substitution"
    assert rejected(strict, case(error_types=["substitution", "accent"])) == ("unknown_error_type", "error_types")


@pytest.mark.parametrize(
    ("heard", "said", "label"),
    [
        ("the bat sat", "the cat sat", "substitution"),
        ("the sat", "the cat sat", "deletion"),
        ("the the cat sat", "the cat sat", "insertion"),
        ("the cat sat", "The cat sat.", "formatting"),
        ("the cat sat", "the cat sat", "none"),
    ],
)
def test_without_error_types_the_alignment_names_the_stratum(heard: str, said: str, label: str) -> None:
    fields = case(original_transcript=heard, corrected_transcript=said, error_types=None)
    assert accepted(make_task(), fields).label == label


def test_an_uncorrected_transcript_is_never_a_target_unless_nothing_speaks_against_it() -> None:
    sound = case(corrected_transcript=None, error_types=None, original_transcript="The cat sat down.", metadata=None)
    assert rejected(make_task(), sound) == ("uncorrected", "corrected_transcript")
    task = make_task(include_uncorrected=True)
    example = accepted(task, sound)
    assert example.target == "The cat sat down."
    assert (example.label, example.facts["corrected"]) == ("none", False)
    for change in (
        {"error_types": ["substitution"]},
        {"original_transcript": "THE CAT SAT DOWN."},
        {"metadata": {"model_confidence": 0.1}},
        {"original_transcript": ""},
    ):
        assert rejected(task, {**sound, **change})[0] == "uncorrected"


def test_signals_are_facts() -> None:
    facts = accepted(make_task(), case(original_transcript="HELLOOOO WORLD#", metadata={"confidence": 0.1})).facts
    assert [signal["type"] for signal in facts["signals"]] == [
        "repeated_chars",
        "special_chars",
        "low_confidence",
        "all_caps",
    ]
    assert facts["detector_score"] == pytest.approx((0.8 + 0.6 + 0.9 + 0.4) / 4)
    tuned = make_task(detector={"min_confidence": 0.05, "all_caps_characters": 40})
    facts = accepted(tuned, case(original_transcript="HELLO WORLD", metadata={"confidence": 0.1})).facts
    assert facts["signals"] == []


def test_rates_say_by_which_rule_they_were_counted() -> None:
    fields = case(original_transcript="good TRY you did it", corrected_transcript="Good try!")
    usual = accepted(make_task(), fields).facts
    assert (usual["wer"], usual["wer_above_one"], usual["normaliser"]) == (1.5, True, "basic_english/1")
    raw = accepted(make_task(normaliser="white_space/1"), fields).facts
    assert (raw["wer"], raw["normaliser"]) == (2.5, "white_space/1")
    # Without a word to measure by there is no rate.
    assert accepted(make_task(), case(corrected_transcript="…")).facts["wer"] is None


def test_case_counts_in_the_question_but_ties_its_splits() -> None:
    task = make_task()
    one, other = accepted(task, case()), accepted(task, case(original_transcript="HELO  wrld", audio_path="b.wav"))
    assert one.content_key != other.content_key
    assert set(one.groups) & set(other.groups) == {group for group in one.groups if not group.startswith("audio=")}
    spaced = accepted(task, case(original_transcript="helo   wrld"))
    assert spaced.content_key == one.content_key
    loose = make_task(tie_corrections=False)
    assert [group.partition("=")[0] for group in accepted(loose, case()).groups] == ["audio", "transcript"]


def test_recordings_can_be_attached(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").write_bytes(b"RIFF")
    (tmp_path / "a" / "x.txt").write_text("no audio")
    task = make_task(tmp_path, attach_audio=True)
    example = accepted(task, case())
    assert example.attachments == (Attachment("a/x.wav", "audio/wav"),)
    assert example.content_key != accepted(make_task(), case()).content_key
    remote = accepted(task, case(audio_path="gs://bucket/y.MP3?v=1"))
    assert remote.attachments == (Attachment("gs://bucket/y.MP3?v=1", "audio/mpeg"),)
    assert remote.content_key != example.content_key
    assert rejected(task, case(audio_path=None)) == ("missing_field", "audio_path")
    assert rejected(task, case(audio_path="a/gone.wav")) == ("missing_audio", "audio_path")
    assert rejected(task, case(audio_path="../secret.wav")) == ("missing_audio", "audio_path")
    assert rejected(task, case(audio_path="a\0.wav")) == ("missing_audio", "audio_path")
    assert rejected(task, case(audio_path="a/x.txt")) == ("unsupported_audio", "audio_path")
    served = task_type_from_manifest(task.manifest())
    assert isinstance(served, TranscriptionTask)
    assert rejected(served, case()) == ("missing_audio", "audio_path")


def test_empty_transcripts_are_kept_where_the_prompt_has_words_for_them() -> None:
    task = make_task(prompt={"defaults": {"original_transcript": "(nothing)"}})
    assert accepted(task, case(original_transcript="")).messages[-1]["content"] == "(nothing)"


def test_control_tokens_stay_data() -> None:
    fields = case(original_transcript="say <|im_end|>", corrected_transcript="Say <|im_end|> now.")
    example = accepted(make_task(), fields)
    assert example.messages[-1]["content"] == "say < |im_end|>"
    assert example.target == "Say < |im_end|> now."


def test_live_input_is_asked_about_as_in_training() -> None:
    task = make_task(prompt={"system": "S", "user": "Heard: {original_transcript} ({speaker_id})"})
    example = accepted(task, case(speaker_id="s1"))
    assert task.input_messages({"hypothesis": "helo wrld", "speaker": "s1"}) == list(example.messages)
    with pytest.raises(FinetuneError, match="under one of the names original_transcript, originalTranscript"):
        task.input_messages({"speaker": "s1"})


def test_answers_are_read() -> None:
    task = make_task()
    answer = task.parse(" Hello world.\n")
    assert (answer.valid, answer.label_path, answer.value) == (True, (), {"corrected_transcript": "Hello world."})
    assert task.parse(" \n").problem == "empty_answer"


def test_the_manifest_makes_the_same_task(tmp_path: Path) -> None:
    task = make_task(tmp_path, min_error_score=0.2, prompt={"system": "S"}, detector={"repeated_run": 5})
    served = task_type_from_manifest(json.loads(json.dumps(task.manifest())))
    assert served.manifest() == task.manifest()
    assert str(tmp_path) not in json.dumps(task.manifest())
    assert served.input_messages(case()) == task.input_messages(case())
    assert template_hash(served.prompt_manifest(), CHATML) == template_hash(task.prompt_manifest(), CHATML)
    other = make_task(prompt={"system": "T"})
    assert template_hash(other.prompt_manifest(), CHATML) != template_hash(task.prompt_manifest(), CHATML)
    with pytest.raises(FinetuneError, match="expected schema transcription/1"):
        task_type_from_manifest({"task_type": "transcription", "schema": "transcription/0"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"normaliser": "whisper/1"}, "normaliser"),
        ({"prompt": {"list_labels": True}}, "list_labels"),
        ({"prompt": {"user": "Correct it."}}, r"transcription\.prompt\.user"),
        ({"prompt": {"user": "{original_transcript} {colour}"}}, r"transcription\.prompt\.user"),
        ({"min_error_score": 2}, "min_error_score"),
        ({"max_samples": 3}, "max_samples"),
    ],
)
def test_mistakes_in_the_yaml_are_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(FinetuneError, match=message):
        make_task(**section)


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_any_json_is_an_example_or_a_rejection(fields: dict[str, Any]) -> None:
    for task in (make_task(), make_task(include_uncorrected=True, min_error_score=0, attach_audio=True)):
        for given_fields in (fields, {**case(), **fields}):
            found = read(task, given_fields)
            if isinstance(found, Example):
                assert found.target.strip()
                assert task.parse(found.target).valid
            else:
                assert found.reason in REASONS


@given(st.text(max_size=30))
def test_any_answer_can_be_read(text: str) -> None:
    answer = make_task().parse(text)
    assert answer.valid == bool(text.strip())


def test_real_pairs_go_through_the_task(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "speech"
    task = make_task(folder)
    config = DatasetConfig.model_validate(
        {
            "source": {"path": "preschool_whisper_pairs_filtered.jsonl"},
            "split": {"train": 0.8, "validation": 0.1, "test": 0.1},
        }
    )
    for name in ("raw", "out"):
        (tmp_path / name).mkdir()
    assert ingest(config.source, folder, task.aliases, tmp_path / "raw").accepted == 766
    summary = build_splits(tmp_path / "raw" / "records.jsonl", tmp_path / "out", task, config)
    assert summary.read == summary.accepted + summary.quarantined + summary.duplicates == 766
    assert set(summary.reasons) <= {"label_conflict"}
    rows = [json.loads(line) for line in (tmp_path / "out" / "examples.jsonl").read_text().splitlines()]
    above_one = {row["record_id"] for row in rows if row["facts"]["wer_above_one"]}
    # Twelve by the usual rule; thirteen where case and punctuation count.
    assert len(above_one) == 12
    for check in (validate_examples, taxonomy_findings):
        assert check(tmp_path / "out", task).passed
    assert leakage_findings(tmp_path / "out", config.split, task).passed
    assert {row["label"] for row in rows} == {"none", "substitution", "insertion", "deletion", "formatting"}


def test_length_and_confidence_of_the_record_itself_are_read_too() -> None:
    task = make_task()
    found = accepted(task, case(metadata={}, duration_seconds=60, confidence="0.1"))
    assert {signal["type"] for signal in found.facts["signals"]} >= {"length_anomaly_short", "low_confidence"}
    stated = accepted(task, case(metadata={"duration_seconds": 60, "confidence": 0.1}, duration=1.5, confidence=0.9))
    assert not {"length_anomaly_short", "low_confidence"} & {item["type"] for item in stated.facts["signals"]}
    fault = read(task, case(duration="long"))
    assert isinstance(fault, Rejection)
    assert (fault.reason, fault.field) == ("wrong_type", "duration_seconds")


@pytest.mark.parametrize(
    ("fields", "text", "kinds"),
    [
        ({}, "Hello world.", []),
        ({}, " ", ["empty_answer"]),
        ({}, "Heeeeello world.", ["repeated_chars"]),
        ({"duration_seconds": 100.0}, "Hello world.", ["length_anomaly_short"]),
        ({"duration_seconds": "long"}, "Hello world.", []),
        # The recogniser was unsure of what it heard; the model's correction of it is another text.
        ({"model_confidence": 0.01}, "Hello world.", []),
    ],
)
def test_the_detector_doubts_live_answers(fields: dict[str, Any], text: str, kinds: list[str]) -> None:
    task = make_task()
    asked = {"original_transcript": "helo wrld", **fields}
    assert [signal.kind for signal in task.doubts(asked, text, task.parse(text))] == kinds


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5), st.text(max_size=80))
def test_no_live_answer_breaks_the_detector(fields: dict[str, Any], text: str) -> None:
    task = make_task()
    assert all(0 < signal.score <= 1 for signal in task.doubts(fields, text, task.parse(text)))
