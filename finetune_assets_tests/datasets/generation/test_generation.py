"""Synthetic rows over a real wire: patience, checks with reasons, and a file that can be gone on with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.generation.answers import object_in
from finetune_assets.datasets.generation.config import GenerationConfig
from finetune_assets.datasets.generation.endpoint import ChatEndpoint
from finetune_assets.datasets.generation.generate import GENERATOR, GenerationReport, generate
from finetune_assets.datasets.generation.questions import QuestionWriter, read_passages, template_questions
from finetune_assets.datasets.generation.rows_file import RowsFile
from finetune_assets.datasets.generation.wire import retry_after
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.datasets.generation.server import Reply, Server, serving

PASSAGES = [
    "A heat pump is a machine that moves heat. It uses 30 % of the power of a heater.",
    "Rain is the most common form of precipitation, and 25 mm of it fell in June.",
]


def config(server: Server, **changes: Any) -> GenerationConfig:
    return GenerationConfig(endpoint=server.url, model="writer", **changes)


def ask(server: Server, waits: list[float] | None = None, key: str = "", **changes: Any) -> str:
    waited = [] if waits is None else waits
    with ChatEndpoint(config(server, **changes), key, sleep=waited.append) as endpoint:
        return endpoint.complete([{"role": "user", "content": "Hello?"}], seed=3)


def test_the_question_goes_out_as_the_wire_wants_it() -> None:
    with serving(lambda _body, _number: Reply("Hi")) as server:
        assert ask(server, key="secret-key", temperature=0.2) == "Hi"
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert (asked["model"], asked["temperature"], asked["seed"]) == ("writer", 0.2, 3)
    assert asked["messages"] == [{"role": "user", "content": "Hello?"}]
    assert server.keys == ["Bearer secret-key"]


def test_passing_failures_are_waited_out_longer_each_time() -> None:
    waits: list[float] = []
    with serving(lambda _body, number: Reply("Hi") if number == 4 else Reply(status=503)) as server:
        assert ask(server, waits) == "Hi"
        again: list[float] = []
        server.asked.clear()
        ask(server, again)
    assert len(waits) == 4
    for number, wait in enumerate(waits):
        assert 1.5 * 2**number <= wait <= 1.5 * 2**number * 1.5
    assert waits == again  # the jitter is of the seed


def test_the_endpoints_own_wish_is_honoured_within_bounds() -> None:
    waits: list[float] = []
    replies = [Reply(status=429, headers={"Retry-After": "7"}), Reply(status=429, headers={"Retry-After": "999"})]
    with serving(lambda _body, number: [*replies, Reply("Hi")][number]) as server:
        ask(server, waits, longest_wait_s=20)
    assert waits == [7.0, 20.0]


def test_retry_after_reads_seconds_and_dates() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after("Thu, 01 Jan 2026 12:00:09 GMT", now=now) == 9.0
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", now=now) == 0.0
    assert retry_after("1.5") == 1.5
    assert retry_after("soon") is None
    assert retry_after("") is None


def test_what_never_passes_is_one_line_without_the_key() -> None:
    body = b'{"error": "the key secret-key is not known"}'
    with serving(lambda _body, _number: Reply(status=401, body=body)) as server:
        with pytest.raises(FinetuneError, match="refuses") as caught:
            ask(server, key="secret-key")
        assert len(server.asked) == 1  # a refusal is not asked again
    assert "secret-key" not in str(caught.value)
    with serving(lambda _body, _number: Reply(status=500)) as server:
        with pytest.raises(FinetuneError, match="still fails"):
            ask(server, retries=2)
        assert len(server.asked) == 3
    with serving(lambda _body, _number: Reply(body=b"<html>")) as server, pytest.raises(FinetuneError, match="else"):
        ask(server)
    gone = server
    with pytest.raises(FinetuneError, match="ConnectError"):
        ask(gone, retries=1)
    with pytest.raises(FinetuneError, match="not named"):
        ChatEndpoint(GenerationConfig(), "")


def run(server: Server, path: Path, count: int, check: Any, **changes: Any) -> GenerationReport:
    settings = config(server, **changes)
    with (
        ChatEndpoint(settings, "", sleep=lambda _seconds: None) as endpoint,
        RowsFile(path, generator=GENERATOR, model="writer", seed=settings.seed) as rows,
    ):
        report = generate(QuestionWriter(PASSAGES, settings.seed), endpoint.complete, check, rows, count, settings)
        rows.finish()
    return report


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer_of(body: dict[str, Any]) -> str:
    turn = len([message for message in body["messages"] if message["role"] == "assistant"])
    passage = body["messages"][1]["content"].rpartition("\n\n")[2]
    return f"```json\n{json.dumps({'question': f'What {turn}?', 'answer': passage[:9], 'id': 'mine'})}\n```"


def test_a_refused_answer_is_asked_again_with_the_reasons(tmp_path: Path) -> None:
    def check(row: dict[str, Any]) -> list[str]:
        return [] if row["question"] == "What 1?" else ["too_plain: question: found What 0?; expected more"]

    with serving(lambda body, _number: Reply(answer_of(body))) as server:
        report = run(server, tmp_path / "rows.jsonl", 3, check)
    assert (report.made, report.answers, report.given_up) == (3, 6, [])
    assert report.reasons == {"too_plain": 3}
    assert "too_plain: question" in server.asked[1]["messages"][-1]["content"]
    rows = read(tmp_path / "rows.jsonl")
    assert [row["synthetic"] for row in rows] == [True] * 3
    assert len({row["record_id"] for row in rows}) == 3
    assert rows[0]["passage"] == rows[2]["passage"] != rows[1]["passage"]
    origin = rows[1]["synthesis"]
    assert (origin["generator"], origin["model"], origin["seed"], origin["number"]) == (GENERATOR, "writer", 7, 1)
    assert (len(origin["prompt"]), origin["attempts"]) == (64, 2)


def test_a_row_that_never_fits_is_given_up_and_the_others_stay(tmp_path: Path) -> None:
    with serving(
        lambda _body, number: Reply("no object" if number < 2 else '{"question": "Q", "answer": "A"}')
    ) as server:
        report = run(server, tmp_path / "rows.jsonl", 3, lambda _row: [], attempts=2)
    assert (report.made, report.given_up, report.reasons) == (2, [0], {"not_json": 2})


def test_what_is_there_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with serving(lambda body, _number: Reply(answer_of(body))) as server:
        run(server, path, 4, lambda _row: [])
        whole = path.read_bytes()
        lines = whole.splitlines(keepends=True)
        path.write_bytes(lines[0] + lines[2] + lines[3][:20])  # a killed run: one row missing, one half written
        server.asked.clear()
        report = run(server, path, 4, lambda _row: [], concurrency=3)
        assert (report.found, report.made, len(server.asked)) == (2, 2, 2)
        assert path.read_bytes() == whole
        with pytest.raises(FinetuneError, match="other rows"):
            run(server, path, 4, lambda _row: [], seed=8)
        (tmp_path / "mine.jsonl").write_text('{"id": 1}\n')
        with pytest.raises(FinetuneError, match="other rows"):
            run(server, tmp_path / "mine.jsonl", 4, lambda _row: [])
    assert (tmp_path / "mine.jsonl").read_text() == '{"id": 1}\n'


def test_rows_that_came_before_a_failure_are_kept(tmp_path: Path) -> None:
    with (
        serving(lambda body, number: Reply(answer_of(body)) if number < 2 else Reply(status=403)) as server,
        pytest.raises(FinetuneError),
    ):
        run(server, tmp_path / "rows.jsonl", 4, lambda _row: [])
    assert len(read(tmp_path / "rows.jsonl")) == 2


@given(
    st.text(max_size=30),
    st.dictionaries(st.text(max_size=4), st.one_of(st.integers(), st.text(max_size=4)), max_size=4),
)
def test_an_object_is_found_wherever_it_stands(prose: str, value: dict[str, Any]) -> None:
    assert object_in(prose.replace("{", "") + json.dumps(value) + prose) == value


def test_template_questions_are_made_of_the_passage(tmp_path: Path) -> None:
    path = tmp_path / "passages.txt"
    path.write_text("\n\n".join([*PASSAGES, "too short", PASSAGES[0]]))
    passages = read_passages(path)
    assert passages == PASSAGES
    rows = template_questions(passages, 1, 10)
    assert [(row["question"], row["answer"]) for row in rows] == [
        ("What is a heat pump?", "A heat pump is a machine that moves heat."),
        ("What is Rain?", "Rain is the most common form of precipitation, and 25 mm of it fell in June."),
    ]
    assert all(row["answer"] in row["context"] for row in rows)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": PASSAGES[1]}) + "\n")
    assert read_passages(tmp_path / "rows.jsonl") == [PASSAGES[1]]
    with pytest.raises(FinetuneError, match="missing"):
        read_passages(tmp_path / "nothing.txt")


def test_only_a_line_feed_ends_a_passage(tmp_path: Path) -> None:
    text = PASSAGES[0] + "\u2028" + PASSAGES[0] + "\x85"
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_passages(tmp_path / "rows.jsonl") == [text.strip()]


def test_passages_that_are_no_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="passages cannot be read"):
        read_passages(tmp_path)
