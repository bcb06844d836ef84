"""Trains a LoRA adapter: `python -m finetune_assets.training.adapter JOB.json`.

Here belongs one run from job file to adapter, on a CPU or a GPU, for any base that transformers knows. The trainer
class is in `sft.py`, rows in `rows.py`, seals in `checkpoints.py`; `supervise.py` starts this module.
"""

# ruff: noqa: TID253 - only a subprocess loads this module, and it exists to use torch and transformers.
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import EarlyStoppingCallback, PrinterCallback
from transformers.utils import logging as transformers_logging

from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.batches import OUT_OF_MEMORY_EXIT, STOPPED_EXIT, is_out_of_memory, split_batch
from finetune_assets.training.checkpoints import newest_complete, step_of
from finetune_assets.training.digest import ADAPTER_CONFIG, adapter_digest, canonical_adapter_config
from finetune_assets.training.jobs import read_job, run_reported, write_record
from finetune_assets.training.parent import end_with_parent
from finetune_assets.training.recipe import (
    AdapterJob,
    Profile,
    choose_profile,
    load_base,
    lora_settings,
    stop_ids,
    trainer_arguments,
)
from finetune_assets.training.report import SILENT, Reporter
from finetune_assets.training.rows import RowEncoder, Rows, read_conversations
from finetune_assets.training.run_record import RECORD_FILE, surroundings
from finetune_assets.training.sft import AdapterTrainer, ProgressCallback, StopOnSignal


def _encoder(job: AdapterJob, model: Any, tokenizer: Any) -> RowEncoder:
    template = job.chat_template or tokenizer.chat_template
    if not template:
        raise FinetuneError(
            "base model has no chat template",
            where=job.base,
            expected="chat_template.jinja beside its tokenizer",
            mend="choose an instruction-tuned base, or put a template there",
        )
    return RowEncoder(tokenizer, template, job.request.config.max_length, stop_ids(model))


def encode_file(encoder: RowEncoder, path: Path, expected_digest: str | None, where: str) -> Rows:
    """Encode a file of chat rows after checking that it is the one that the request names.

    Raises:
        FinetuneError: when it is another file, or has no row that fits.
    """
    conversations = list(read_conversations(path))
    found = digest_of_file(path)
    if found != expected_digest:
        raise FinetuneError(
            "rows are not the requested ones",
            where=str(path),
            found=found,
            expected=str(expected_digest),
            mend="make the request from the rows as they are now",
        )
    rows = encoder.encode(conversations)
    if not rows.input_ids:
        raise FinetuneError(
            "no rows to train on",
            where=where,
            found=f"{rows.read} rows, {rows.dropped} too long",
            mend="add rows or raise tuning.max_length",
        )
    return rows


def _dataset(rows: Rows) -> Dataset:
    return Dataset.from_dict({"input_ids": rows.input_ids, "labels": rows.labels})


def _run_identity(job: AdapterJob, profile: Profile, around: dict[str, Any], processes: int) -> str:
    """Name all that a resumed run must share with the one that wrote the checkpoint to end in the same weights."""
    # On a GPU the processor computes nothing; a machine that replaces a lost one may have another.
    deciding = {name: value for name, value in around.items() if not (profile.on_gpu and name == "cpu_capability")}
    identity = {
        "request": job.request.request_key,
        "batch_size": profile.batch_size,
        "accumulation": profile.accumulation,
        "surroundings": deciding,
    }
    return digest_of(identity if processes == 1 else {**identity, "processes": processes})


def _process_number() -> tuple[int, int]:
    """Return this process's number and how many train together, as `accelerate launch` tells; (0, 1) alone."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _write_adapter(trainer: AdapterTrainer, out: Path, base_name: str) -> None:
    trainer.model.save_pretrained(str(out), safe_serialization=True, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)
    path = out / ADAPTER_CONFIG
    config = canonical_adapter_config(json.loads(path.read_text(encoding="utf-8")))
    # peft names the base by its folder here; the run record and the release manifest know it by its digest.
    config |= {"base_model_name_or_path": base_name, "inference_mode": True}
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise FinetuneError(
            "training diverged", where=name, found=str(value), mend="lower tuning.learning_rate and train again"
        )
    return value


def _record(job: AdapterJob, trainer: AdapterTrainer, rows: Rows, profile: Profile) -> dict[str, Any]:
    history = trainer.state.log_history
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return {
        "request_key": job.request.request_key,
        "template_hash": job.request.template_hash,
        "loss": [[entry["step"], _finite("training loss", entry["loss"])] for entry in history if "loss" in entry],
        "validation_loss": [[entry["step"], entry["eval_loss"]] for entry in history if "eval_loss" in entry],
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "rows": len(rows.input_ids),
        "tokens": rows.tokens,
        "answer_tokens": rows.answer_tokens,
        "longest_row": rows.longest,
        "truncated_rows": rows.truncated,
        "dropped_rows": rows.dropped,
        "trained_weights": sum(weight.numel() for weight in weights),
        "batch_size": profile.batch_size,
        "gradient_accumulation": profile.accumulation,
        "learning_rate": job.request.config.peak_learning_rate,
        "seed": job.request.config.seed,
    }


def build_trainer(
    job: AdapterJob,
    profile: Profile,
    model: Any,
    tokenizer: Any,
    rows: Rows,
    held_out: Rows | None,
    callbacks: Sequence[Any],
    identity: str,
) -> AdapterTrainer:
    """Put the trainer together; it has the base wrapped with a fresh adapter then."""
    arguments = trainer_arguments(job, profile, len(rows.input_ids), evaluates=held_out is not None)
    more = []
    if arguments.load_best_model_at_end:
        early = job.request.config.early_stopping
        more.append(EarlyStoppingCallback(early.patience, early.min_delta))
    trainer = AdapterTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(held_out) if held_out is not None else None,
        processing_class=tokenizer,
        peft_config=lora_settings(job.request.config),
        callbacks=[*callbacks, *more],
        lengths=[len(ids) for ids in rows.input_ids],
        run_identity=identity,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def run(job: AdapterJob, reporter: Reporter, stop: StopOnSignal, *, halvings: int = 0) -> dict[str, Any] | None:
    """Train the adapter that a job asks for and write it to the job's folder, the run record last.

    Args:
        job: the job.
        reporter: told loss and progress.
        stop: ends training early, with a checkpoint, once it has caught a signal.
        halvings: how often memory ran out before.

    Returns:
        The run record as it stands in `training.json`; None when it was stopped before the end. Of several processes
        that train together the first one alone writes; the others return the record without the adapter's digest.

    Raises:
        FinetuneError: for what the user can mend: rows, base model, settings.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    config = job.request.config
    profile = choose_profile(config, halvings)
    torch.set_num_threads(config.threads)
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    model, tokenizer = load_base(job, profile)
    encoder = _encoder(job, model, tokenizer)
    rows = encode_file(encoder, job.train, job.request.train_digest, "training rows")
    held_out = (
        encode_file(encoder, job.validation, job.request.validation_digest, "validation rows")
        if job.validation is not None
        else None
    )
    around = surroundings(config.threads)
    identity = _run_identity(job, profile, around, _process_number()[1])
    trainer = build_trainer(
        job, profile, model, tokenizer, rows, held_out, [ProgressCallback(reporter), stop], identity
    )
    # Processes of one machine share its folder: the first one tidies up, the others find it tidied.
    with trainer.args.main_process_first(local=True, desc="checkpoints"):
        resume, removed = newest_complete(job.work, identity)
    for line in removed:
        reporter.info(f"not continued from {line}")
    reporter.info(
        f"{len(rows.input_ids)} rows, {rows.tokens:,} tokens ({rows.answer_tokens:,} to learn), "
        f"longest {rows.longest}; {rows.truncated} truncated, {rows.dropped} dropped; "
        + (f"continued from step {step_of(resume)}" if resume else "from the start")
    )
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if stop.asked and trainer.state.global_step < trainer.state.max_steps:
        reporter.message({"kind": "stopped", "step": trainer.state.global_step, "total": trainer.state.max_steps})
        return None
    record = _record(job, trainer, rows, profile)
    if held_out is not None:
        loss = _finite("validation loss", float(trainer.evaluate()["eval_loss"]))
        record |= {"eval_loss": loss, "perplexity": math.exp(min(loss, 700.0)), "eval_rows": len(held_out.input_ids)}
    if not trainer.is_world_process_zero():
        return record
    _write_adapter(trainer, job.out, config.base_model)
    record |= {
        "adapter_digest": adapter_digest(job.out),
        "resumed_from": step_of(resume) if resume else None,
        "duration_s": round(time.monotonic() - started, 2),
        "cpu_s": round(time.process_time() - cpu_started, 2),
        **around,
    }
    write_record(job.out / RECORD_FILE, record)
    return record


def _give_up_memory(job: AdapterJob, halvings: int, error: BaseException, reporter: Reporter) -> None:
    """End the process so that the supervisor starts it with a smaller batch; raise when there is no smaller one."""
    config = job.request.config
    if split_batch(config.batch_size, config.gradient_accumulation, halvings)[0] == 1:
        raise FinetuneError(
            "memory ran out with one row in a forward pass",
            where="tuning.batch_size",
            found=str(error),
            mend="lower tuning.max_length or tuning.lora.rank, set tuning.quantisation to nf4, or take a smaller base",
        ) from error
    reporter.info(f"out of memory: {str(error)[:200]}")
    sys.stdout.flush()
    # Without closing Pipes: the supervisor's next try goes on reporting in the same session.
    os._exit(OUT_OF_MEMORY_EXIT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job file named on the command line.

    Returns:
        0; 1 after one line about what is wrong; 143 when it was asked to stop and left a checkpoint. It ends with
        77, at once, when memory ran out, so that the supervisor can start it anew.
    """
    parser = argparse.ArgumentParser(description="Train a LoRA adapter.")
    parser.add_argument("job", type=Path, help="JSON file with base, train, validation, work, out and request")
    parser.add_argument("--parent", type=int, help="process id whose end ends this run, instead of the job file's")
    parser.add_argument("--halvings", type=int, default=0, help="halve the batch this often")
    given = parser.parse_args(arguments)

    def body(reporter: Reporter) -> int:
        if _process_number()[0]:
            reporter = SILENT
        job = read_job(given.job, AdapterJob)
        end_with_parent(given.parent if given.parent is not None else job.expected_parent)
        stop = StopOnSignal()
        restore = stop.install()
        try:
            record = run(job, reporter, stop, halvings=given.halvings)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            _give_up_memory(job, given.halvings, error, reporter)
            raise
        finally:
            restore()
        if record is None:
            return STOPPED_EXIT
        reporter.message({"kind": "finished", "adapter_digest": record.get("adapter_digest", "")})
        return 0

    return run_reported(body)


if __name__ == "__main__":
    raise SystemExit(main())
