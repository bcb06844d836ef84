"""The room in which contenders are asked: how long an answer may become."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetune_assets.lineage.asking import open_room
from finetune_assets.lineage.bases import Base
from finetune_assets.records.example import Example, SourceRef
from finetune_assets_tests.cli.cloud import CloudTask, cloud  # noqa: F401

# One token of the tokenizer below; 600 signs are 200 tokens by the rule of thumb.
LONG = "a" * 600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base model's folder, as far as asking for a room reads it: every word is one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def room_of(cloud: CloudTask, *bases: Base) -> int:  # noqa: F811
    row = Example("r", "k", ({"role": "user", "content": "?"},), LONG, "a", ("a",), SourceRef("rows.jsonl"))
    return open_room(cloud.open(), bases, [row], print).answer_tokens


def test_variants_that_share_a_base_are_asked_by_its_tokenizer(cloud: CloudTask, folder: Path) -> None:  # noqa: F811
    base = Base("small", folder, "d" * 64, "")
    assert room_of(cloud, base) == 64
    assert room_of(cloud, base, base) == 64


def test_a_base_that_is_kept_elsewhere_needs_room_by_length(cloud: CloudTask, folder: Path) -> None:  # noqa: F811
    here, elsewhere = Base("small", folder, "d" * 64, ""), Base("gemini-2.5-flash", None, "e" * 64, "")
    assert room_of(cloud, elsewhere) == 251
    assert room_of(cloud, here, elsewhere) == 251
