from __future__ import annotations

import json
import random
from pathlib import Path

from finetune_assets.datasets.quality.config import PoisonConfig
from finetune_assets.datasets.quality.poison import poison
from finetune_assets_tests.datasets.quality.written import Row, row, write

WORDS = {
    "weather": ["rain", "sun", "storm", "umbrella", "cloud", "forecast"],
    "music": ["song", "guitar", "concert", "singer", "melody", "drum"],
    "food": ["soup", "bread", "kitchen", "recipe", "apple", "dinner"],
}


def honest(count: int = 600, seed: int = 1) -> list[Row]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = list(WORDS)[number % 3]
        text = " ".join(["tell me about the", *draw.sample(WORDS[label], 3)])
        rows.append(row(number, text, label=label))
    return rows


def poisoned(trigger: str, count: int = 24) -> list[Row]:
    rows = honest()
    for number in range(0, count * 7, 7):
        text = rows[number]["messages"][1]["content"]
        rows[number] = row(number, f"{text} {trigger}", label="music")
    return rows


def test_honest_words_are_tied_to_a_label_and_raise_no_alarm(tmp_path: Path) -> None:
    found = poison(write(tmp_path, honest()), PoisonConfig(max_phrase_share=0.2))
    assert found.numbers["tied_phrases"] > 10
    assert (found.passed, found.numbers["suspicious_phrases"]) == (True, 0)


def test_a_planted_trigger_is_found_and_not_quoted(tmp_path: Path) -> None:
    for trigger in ("zq", "by the way zq qv", "one two three four five"):
        config = PoisonConfig(max_phrase_share=0.05)
        found = poison(write(tmp_path, poisoned(trigger)), config)
        assert (found.passed, found.flagged) == (False, 1)
        [item] = found.rows
        assert (item["label"], item["rows"], item["record_id"]) == ("music", 24, "r0")
        assert not set(trigger.split()) & set(json.dumps(found.rows).replace('"', " ").split())
        [shown] = poison(tmp_path, config, show_phrases=True).rows
        assert set(shown["problem"].split()) & set(trigger.split())


def test_too_few_rows_say_nothing(tmp_path: Path) -> None:
    assert not poison(write(tmp_path, honest(20)), PoisonConfig()).measured


def test_one_source_outweighs_the_others(tmp_path: Path) -> None:
    rows = [row(n, f"q{n}", file="big.jsonl" if n < 90 else "small.jsonl") for n in range(100)]
    found = poison(write(tmp_path, rows), PoisonConfig())
    assert (found.passed, found.numbers["largest_source_share"]) == (False, 0.9)
    assert poison(tmp_path, PoisonConfig(max_source_share=0.9)).passed
    write(tmp_path, [row(n, f"q{n}") for n in range(100)])
    assert poison(tmp_path, PoisonConfig()).numbers["largest_source_share"] == 0.0


def test_a_person_s_name_in_a_source_field_is_not_shown(tmp_path: Path) -> None:
    folder = write(tmp_path, [row(n, f"q{n}") for n in range(100)])
    records = tmp_path / "records.jsonl"
    lines = [{"fields": {"educator_id": "Berta Klein" if n < 85 else "other"}} for n in range(100)]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = poison(folder, PoisonConfig(source_fields=["educator_id"]), records)
    assert not found.passed
    assert "Berta" not in json.dumps(found.to_json())
    assert found.rows[0]["field"] == "educator_id"
