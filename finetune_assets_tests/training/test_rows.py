import json

import pytest

from finetune_assets.datasets.render import CHATML, render_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.base_model import train_tokenizer
from finetune_assets.training.corpus import build_corpus
from finetune_assets.training.rows import IGNORED, RowEncoder, read_conversations
from finetune_assets_tests.training.conftest import CORPUS, conversations, write_rows


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(build_corpus(CORPUS), 500, 256)


def messages(count=6):
    return [row["messages"] for row in conversations(count)]


def test_the_prompt_is_masked_and_the_answer_is_learned_with_its_end(tokenizer):
    rows = RowEncoder(tokenizer, CHATML, 256).encode(messages())
    for turn, ids, labels in zip(messages(), rows.input_ids, rows.labels, strict=True):
        learned = [label for label in labels if label != IGNORED]
        assert tokenizer.decode(learned) == turn[-1]["content"] + "<|im_end|>"
        assert learned[-1] == tokenizer.eos_token_id
        assert ids[len(ids) - len(learned) :] == learned


def test_the_prompt_is_what_serving_renders(tokenizer):
    rows = RowEncoder(tokenizer, CHATML, 256).encode(messages(1))
    prompt = [token for token, label in zip(rows.input_ids[0], rows.labels[0], strict=True) if label == IGNORED]
    text = render_text(messages(1)[0][:-1], CHATML, add_generation_prompt=True)
    assert prompt == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_answers_have_the_tokens_that_the_engine_may_write(tokenizer, tiny_base):
    from finetune_assets.serving.engines.local import LocalEngine

    choices = tuple(sorted({turn[-1]["content"] for turn in messages(9)}))
    engine = LocalEngine(tiny_base, None, choices, CHATML)
    rows = RowEncoder(tokenizer, CHATML, 256).encode(messages(9))
    learned = {tuple(label for label in labels if label != IGNORED) for labels in rows.labels}
    assert learned == {tuple(tokens) for tokens in engine._choice_tokens(choices)}


def test_counts_are_measured(tokenizer):
    rows = RowEncoder(tokenizer, CHATML, 256).encode(messages())
    assert (rows.read, rows.truncated, rows.dropped) == (6, 0, 0)
    assert rows.tokens == sum(len(ids) for ids in rows.input_ids)
    assert rows.answer_tokens == sum(label != IGNORED for labels in rows.labels for label in labels)
    assert rows.longest == max(map(len, rows.input_ids))


def test_a_long_prompt_is_cut_at_the_questions_end_and_counted(tokenizer):
    long = messages(1)[0]
    long[1] = {"role": "user", "content": "far " * 300}
    whole = RowEncoder(tokenizer, CHATML, 10_000).encode([long])
    cut = RowEncoder(tokenizer, CHATML, 80).encode([long, *messages(1)])
    assert (cut.read, cut.truncated, cut.dropped) == (2, 1, 0)
    assert len(cut.input_ids[0]) == 80
    # The answer is whole, the system prompt leads, and the mark of the answer's beginning stands before it.
    answer = [label for label in cut.labels[0] if label != IGNORED]
    assert answer == [label for label in whole.labels[0] if label != IGNORED]
    assert tokenizer.decode(cut.input_ids[0]).startswith("<|im_start|>system\nAnswer with JSON.<|im_end|>")
    assert tokenizer.decode(cut.input_ids[0][: -len(answer)]).endswith("<|im_start|>assistant\n")


def test_a_row_whose_answer_does_not_fit_is_dropped_and_counted(tokenizer):
    rows = RowEncoder(tokenizer, CHATML, 12).encode(messages(3))
    assert (rows.read, rows.dropped, len(rows.input_ids)) == (3, 3, 0)
    assert (rows.longest, rows.tokens) == (0, 0)


def test_an_end_is_added_where_the_template_writes_none(tokenizer):
    bare = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    bare += "{% if add_generation_prompt %}assistant: {% endif %}"
    rows = RowEncoder(tokenizer, bare, 256).encode(messages(1))
    assert rows.labels[0][-1] == tokenizer.eos_token_id


def test_a_template_that_does_not_continue_its_prompt_is_refused(tokenizer):
    odd = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}NOW{% endif %}"
    with pytest.raises(FinetuneError, match="does not continue its own prompt"):
        RowEncoder(tokenizer, odd, 256).encode(messages(1))


def test_rows_are_read_and_blank_lines_skipped(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", conversations(2))
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert list(read_conversations(path)) == messages(2)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
        '{"messages": [{"role": "user", "content": 1}, {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}',
        '{"messages": 3}',
    ],
)
def test_a_row_of_another_shape_is_named_without_its_text(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(conversations(1)[0]) + "\n" + line + "\n")
    with pytest.raises(FinetuneError, match=r"rows\.jsonl:2"):
        list(read_conversations(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FinetuneError, match=r"missing\.jsonl"):
        list(read_conversations(tmp_path / "missing.jsonl"))
