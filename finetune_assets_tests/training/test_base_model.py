import json
import subprocess
import sys

import pytest

from finetune_assets.datasets.render import CHATML
from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.base_model import BaseJob, main, run, train_tokenizer
from finetune_assets.training.corpus import build_corpus
from finetune_assets.training.report import Reporter
from finetune_assets_tests.training.conftest import CORPUS

SILENT = Reporter(lambda line: None, lambda data: None)


@pytest.fixture(scope="module")
def record(tiny_base):
    return json.loads((tiny_base / "training.json").read_text())


@pytest.mark.slow
def test_the_loss_falls(record):
    (first_step, first), (last_step, last) = record["loss"][0], record["loss"][-1]
    assert (first_step, last_step) == (20, 40)
    assert last < first - 0.5


@pytest.mark.slow
def test_the_record_says_what_bit_identity_depends_on(record):
    assert record["threads"] == 2
    assert record["versions"]["torch"]
    assert record["cpu_capability"]
    assert record["corpus_documents"] == len(build_corpus(CORPUS))
    assert record["cpu_s"] > 0


@pytest.mark.slow
def test_the_base_loads_like_any_other(tiny_base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_base, use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    assert model.config.tie_word_embeddings
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.chat_template == CHATML
    assert (tiny_base / "chat_template.jinja").read_text() == CHATML
    assert not list(tiny_base.glob("*.bin"))


@pytest.mark.slow
def test_a_second_build_gives_the_same_bits(tiny_base, tmp_path, base_request, record):
    again = run(BaseJob(out=tmp_path, request=base_request, corpus=CORPUS), SILENT)
    assert again["tensors_digest"] == record["tensors_digest"]
    for name in ("tokenizer.json", "config.json", "chat_template.jinja", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_base / name).read_bytes()


def test_any_text_survives_the_tokenizer():
    tokenizer = train_tokenizer(build_corpus(CORPUS), 500, 256)
    for text in ("Grüße, 你好 🙂", '{"domain_key":"a_b"}', "tab\tand\n\nlines  ", "\x00\x7f"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_key_of_the_answer_is_one_token():
    tokenizer = train_tokenizer(build_corpus(CORPUS), 1500, 256)
    tokens = tokenizer.tokenize('{"domain_key":"one","progression_title":"High"}')
    assert tokens == ['{"', "domain_key", '":"', "one", '","', "progression_title", '":"', "High", '"}']


def test_another_corpus_than_the_requested_one_is_refused(tmp_path, base_request):
    other = CORPUS.model_copy(update={"seed": 1})
    with pytest.raises(FinetuneError, match="corpus is not the requested one"):
        run(BaseJob(out=tmp_path, request=base_request, corpus=other), SILENT)


def test_a_corpus_too_small_for_the_vocabulary_is_refused(tmp_path, base_request):
    model = base_request.model.model_copy(update={"vocabulary": 30_000})
    request = base_request.model_copy(update={"model": model})
    with pytest.raises(FinetuneError, match="too small for the vocabulary"):
        run(BaseJob(out=tmp_path, request=request, corpus=CORPUS), SILENT)


def test_a_bad_job_ends_with_one_line(tmp_path, capsys):
    path = tmp_path / "job.json"
    path.write_text('{"out": "."}')
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"job file is not valid at {path}: request")


def test_planning_imports_nothing_heavy():
    code = (
        "import sys, finetune_assets.tuning.local, finetune_assets.tuning.request, finetune_assets.training.digest, "
        "finetune_assets.training.corpus, finetune_assets.training.supervise, finetune_assets.training.checkpoints\n"
        "bad = {'torch', 'transformers', 'peft', 'trl', 'datasets', 'numpy', 'dagster', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
