"""A base model small enough to be trained in a test, and rows to tune it on."""

import json

import pytest

from finetune_assets.records.digests import digest_of_file
from finetune_assets.training.corpus import CorpusConfig, build_corpus, corpus_digest
from finetune_assets.tuning.config import LoraSettings, TuningConfig
from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest, TuningRequest

CORPUS = CorpusConfig(
    observations=300,
    text_echoes=40,
    labels=60,
    label_echoes=40,
    forms=40,
    prose_copies=2,
    label_values=(("one", "two"), ("Red Ball", "Blue Ball", "Green Ball"), ("Low", "High")),
)
SHAPE = BaseModelConfig(
    vocabulary=500, hidden=32, layers=2, heads=2, intermediate=64, positions=256, window=32, batch_size=8, steps=40
)


@pytest.fixture(scope="session")
def base_request() -> BaseModelRequest:
    return BaseModelRequest(corpus_digest=corpus_digest(build_corpus(CORPUS)), model=SHAPE)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory, base_request):
    """A folder with a trained, tiny base model."""
    from finetune_assets.training.base_model import BaseJob, run
    from finetune_assets.training.report import Reporter

    out = tmp_path_factory.mktemp("tiny-base")
    run(BaseJob(out=out, request=base_request, corpus=CORPUS), Reporter(lambda line: None, lambda data: None))
    return out


def conversations(count: int, start: int = 0) -> list[dict]:
    colours, things = ("red", "blue", "green"), ("ball", "cup", "hat")
    rows = []
    for number in range(start, start + count):
        colour, thing = colours[number % 3], things[number // 3 % 3]
        question = f"Niko found a {colour} {thing} near the gate{' today' * (number % 4)}."
        answer = json.dumps({"colour": colour, "thing": thing}, separators=(",", ":"))
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": "Answer with JSON."},
                    {"role": "user", "content": question},
                    {"role": "assistant", "content": answer},
                ]
            }
        )
    return rows


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def adapter_job(folder, base, *, rows=48, held_out=9, **settings):
    """Write rows and a job file below `folder`; return the job's path, its content and its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    train = write_rows(folder / "train.jsonl", conversations(rows))
    validation = write_rows(folder / "validation.jsonl", conversations(held_out, start=1000))
    values = {"epochs": 3, "batch_size": 8, "checkpoint_every": 5, "lora": LoraSettings(rank=4, dropout=0.05)}
    config = TuningConfig(**(values | settings))
    request = TuningRequest(
        task="toys",
        dataset_digest="d",
        train_digest=digest_of_file(train),
        validation_digest=digest_of_file(validation),
        base_digest="b",
        template_hash="t",
        config=config,
    )
    (folder / "out").mkdir(exist_ok=True)
    job = {
        "base": str(base),
        "train": str(train),
        "validation": str(validation),
        "work": str(folder / "work"),
        "out": str(folder / "out"),
        "request": request.model_dump(mode="json"),
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path, job, config
