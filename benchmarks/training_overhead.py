"""What the trainer costs beside a bare PyTorch loop and beside SFTTrainer's defaults.

Run: `python benchmarks/training_overhead.py [--epochs 1]`. One base (the embedded shape, briefly pre-trained), one set
of rows, the same number of optimizer steps, batch size, learning rate and adapter. Each contender trains in a process
of its own, one thread, one after another; the table shows process CPU-seconds of the training itself (model in memory
to weights trained, imports and file reading left out), the loss on held-out rows, and ratios within this run.

Targets: at most 1.15 x the bare loop and at most 0.5 x SFTTrainer's defaults. Those are bfloat16 with activation
checkpointing; as both are meant for GPUs, the last line shows SFTTrainer with both switched off as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from finetune_assets.datasets.synthetic.early_years import ATTRIBUTES, LEGAL_PAIRS
from finetune_assets.datasets.synthetic.texts import Draw, compose

ROWS, HELD_OUT = 1200, 200
SYSTEM = "Answer with the label as JSON."
CONTENDERS = ("bare PyTorch loop", "this project", "SFTTrainer defaults", "SFTTrainer float32")


def conversations(seed: str, count: int) -> list[dict[str, Any]]:
    draw = Draw(seed)
    rows = []
    for _ in range(count):
        number, level = draw.one(LEGAL_PAIRS)
        answer = {"attribute_name": ATTRIBUTES[number].name, "progression_title": level}
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": compose(draw, number, level)},
                    {"role": "assistant", "content": json.dumps(answer, separators=(",", ":"))},
                ]
            }
        )
    return rows


def prepare(folder: Path, steps: int) -> None:
    """Write the base model and the rows."""
    from finetune_assets.training.base_model import BaseJob, run
    from finetune_assets.training.corpus import CorpusConfig, build_corpus, corpus_digest
    from finetune_assets.training.report import Reporter
    from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest

    names = tuple(sorted(attribute.name for attribute in ATTRIBUTES.values()))
    levels = tuple(sorted({level for _, level in LEGAL_PAIRS}))
    corpus = CorpusConfig(label_keys=("attribute_name", "progression_title"), label_values=(names, levels))
    (folder / "base").mkdir()
    request = BaseModelRequest(corpus_digest=corpus_digest(build_corpus(corpus)), model=BaseModelConfig(steps=steps))
    run(
        BaseJob(out=folder / "base", request=request, corpus=corpus),
        Reporter(lambda line: print(line, file=sys.stderr), lambda data: None),
    )
    for name, count in (("train", ROWS), ("validation", HELD_OUT)):
        text = "".join(json.dumps(row) + "\n" for row in conversations(f"benchmark {name}", count))
        (folder / f"{name}.jsonl").write_text(text)


def load(folder: Path) -> tuple[Any, Any, Any, Any, Any]:
    """Return torch, the model, the tokenizer, and encoded training and held-out rows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from finetune_assets.training.rows import RowEncoder, read_conversations

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    encoder = RowEncoder(tokenizer, tokenizer.chat_template, 512)
    train = encoder.encode(read_conversations(folder / "train.jsonl"))
    held_out = encoder.encode(read_conversations(folder / "validation.jsonl"))
    return torch, model, tokenizer, train, held_out


def held_out_loss(torch: Any, model: Any, rows: Any) -> float:
    """Return the mean loss over all answer tokens, computed in the same plain way for every contender."""
    model.eval()
    total = count = 0.0
    with torch.no_grad():
        for ids, labels in zip(rows.input_ids, rows.labels, strict=True):
            target = torch.tensor(labels[1:])
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            total += torch.nn.functional.cross_entropy(logits, target, ignore_index=-100, reduction="sum").item()
            count += (target != -100).sum().item()
    return total / count


def settings(epochs: float) -> Any:
    from finetune_assets.tuning.config import TuningConfig

    return TuningConfig(epochs=epochs, checkpoint_every=100_000)


def bare_loop(folder: Path, epochs: float) -> dict[str, float]:
    """The shortest loop that trains the same adapter: grouped batches, AdamW, linear schedule, clipping."""
    torch, model, _, rows, held_out = load(folder)
    from peft import get_peft_model
    from transformers import get_linear_schedule_with_warmup

    from finetune_assets.training.batches import grouped_order
    from finetune_assets.training.recipe import lora_settings

    config = settings(epochs)
    torch.manual_seed(config.seed)
    began = time.process_time()
    model = get_peft_model(model, lora_settings(config))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.peak_learning_rate, weight_decay=0.0, fused=True)
    batches = -(-len(rows.input_ids) // config.batch_size)
    steps = int(batches * epochs)
    schedule = get_linear_schedule_with_warmup(optimizer, int(steps * config.warmup), steps)
    lengths = [len(ids) for ids in rows.input_ids]
    done = 0
    model.train()
    while done < steps:
        order = grouped_order(lengths, config.batch_size, f"{config.seed}/{done // batches}")
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            width = max(lengths[index] for index in chosen)
            ids = torch.tensor([rows.input_ids[index] + [0] * (width - lengths[index]) for index in chosen])
            labels = torch.tensor([rows.labels[index] + [-100] * (width - lengths[index]) for index in chosen])
            first = int((labels[:, 1:] != -100).any(dim=0).nonzero()[0])
            logits = model(input_ids=ids, logits_to_keep=width - first, use_cache=False).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), labels[:, 1 + first :].reshape(-1), ignore_index=-100
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_gradient_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
            if done == steps:
                break
    return {"cpu_s": time.process_time() - began, "steps": done, "loss": held_out_loss(torch, model, held_out)}


def _job(folder: Path, epochs: float) -> Any:
    from finetune_assets.records.digests import digest_of_file
    from finetune_assets.training.recipe import AdapterJob
    from finetune_assets.tuning.request import TuningRequest

    request = TuningRequest(
        task="benchmark",
        dataset_digest="benchmark",
        train_digest=digest_of_file(folder / "train.jsonl"),
        base_digest="benchmark",
        template_hash="benchmark",
        config=settings(epochs),
    )
    work = Path(tempfile.mkdtemp(dir=folder))
    (work / "out").mkdir()
    return AdapterJob(
        base=str(folder / "base"), train=folder / "train.jsonl", work=work, out=work / "out", request=request
    )


def this_project(folder: Path, epochs: float) -> dict[str, float]:
    """The project's own trainer, checkpoint and progress lines included."""
    torch, model, tokenizer, rows, held_out = load(folder)
    from finetune_assets.training.adapter import build_trainer
    from finetune_assets.training.recipe import choose_profile
    from finetune_assets.training.report import Reporter
    from finetune_assets.training.sft import ProgressCallback, StopOnSignal

    job = _job(folder, epochs)
    callbacks = [ProgressCallback(Reporter(lambda line: None, lambda data: None)), StopOnSignal()]
    began = time.process_time()
    trainer = build_trainer(
        job, choose_profile(job.request.config, 0), model, tokenizer, rows, None, callbacks, identity="benchmark"
    )
    trainer.train()
    took = time.process_time() - began
    return {
        "cpu_s": took,
        "steps": trainer.state.global_step,
        "loss": held_out_loss(torch, trainer.model, held_out),
    }


def sft_defaults(folder: Path, epochs: float) -> dict[str, float]:
    """SFTTrainer as it comes; only what makes the runs comparable is set: device, batch, rate, schedule and adapter."""
    return stock_trainer(folder, epochs, {})


def sft_float32(folder: Path, epochs: float) -> dict[str, float]:
    """The same without bfloat16 and activation checkpointing."""
    return stock_trainer(folder, epochs, {"bf16": False, "activation_checkpointing": False})


def stock_trainer(folder: Path, epochs: float, changes: dict[str, bool]) -> dict[str, float]:
    """Train with TRL's own SFTTrainer, its settings but for `changes` the defaults."""
    torch, model, tokenizer, _, held_out = load(folder)
    from datasets import Dataset, disable_progress_bars
    from trl import SFTConfig, SFTTrainer

    from finetune_assets.training.recipe import lora_settings
    from finetune_assets.training.rows import read_conversations

    disable_progress_bars()
    config = settings(epochs)
    rows = [{"prompt": turns[:-1], "completion": turns[-1:]} for turns in read_conversations(folder / "train.jsonl")]
    arguments = SFTConfig(
        output_dir=tempfile.mkdtemp(dir=folder),
        use_cpu=True,
        per_device_train_batch_size=config.batch_size,
        num_train_epochs=epochs,
        learning_rate=config.peak_learning_rate,
        warmup_steps=config.warmup,
        save_strategy="no",
        disable_tqdm=True,
        **changes,
    )
    began = time.process_time()
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora_settings(config),
    )
    trainer.train()
    took = time.process_time() - began
    return {
        "cpu_s": took,
        "steps": trainer.state.global_step,
        "loss": held_out_loss(torch, trainer.model, held_out),
    }


RUNNERS = dict(zip(CONTENDERS, (bare_loop, this_project, sft_defaults, sft_float32), strict=True))


def measure(contender: str, folder: Path, epochs: float) -> dict[str, float]:
    """Run one contender in a process of its own and return what it measured."""
    command = [sys.executable, __file__, "--contender", contender, "--folder", str(folder), "--epochs", str(epochs)]
    quiet = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=1.0, help="passes over the rows (default 1)")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each contender; the fastest counts")
    parser.add_argument("--base-steps", type=int, default=60, help="pre-training steps of the base")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(RUNNERS[given.contender](given.folder, given.epochs)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, given.base_steps)
        runs = [{who: measure(who, folder, given.epochs) for who in CONTENDERS} for _ in range(given.repeats)]
    best = {who: min((run[who] for run in runs), key=lambda result: result["cpu_s"]) for who in CONTENDERS}
    bare, ours, stock, plain = (best[who]["cpu_s"] for who in CONTENDERS)
    print(f"{'contender':<22}{'CPU-s':>8}{'steps':>8}{'held-out loss':>16}{'x bare loop':>13}")
    for who in CONTENDERS:
        row = best[who]
        print(f"{who:<22}{row['cpu_s']:>8.1f}{row['steps']:>8.0f}{row['loss']:>16.4f}{row['cpu_s'] / bare:>13.2f}")
    print(f"this project / bare loop           {ours / bare:.2f}   (target <= 1.15)")
    print(f"this project / SFTTrainer defaults {ours / stock:.2f}   (target <= 0.50)")
    print(f"this project / SFTTrainer float32  {ours / plain:.2f}   (for comparison)")
    return 0 if ours <= 1.15 * bare and ours <= 0.5 * stock else 1


if __name__ == "__main__":
    raise SystemExit(main())
