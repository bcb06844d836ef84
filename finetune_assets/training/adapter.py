"""Trains a LoRA adapter: `python -m finetune_assets.training.adapter JOB.json`.

Here belongs one run from job file to adapter, on a CPU or a GPU, for any base that transformers knows. The trainer
class is in `sft.py`, rows in `rows.py`, seals in `checkpoints.py`; `supervise.py` starts this module.
"""

# ruff: noqa: TID253 - only a subprocess loads this module, and it exists to use torch, transformers, peft and trl.
from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from pydantic import BaseModel, ConfigDict, Field
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback, PrinterCallback
from transformers.utils import logging as transformers_logging
from trl import SFTConfig

from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.batches import OUT_OF_MEMORY_EXIT, STOPPED_EXIT, is_out_of_memory, split_batch
from finetune_assets.training.checkpoints import newest_complete, step_of
from finetune_assets.training.digest import ADAPTER_CONFIG, adapter_digest, canonical_adapter_config
from finetune_assets.training.jobs import read_job, run_reported, write_record
from finetune_assets.training.parent import end_with_parent
from finetune_assets.training.report import Reporter
from finetune_assets.training.rows import RowEncoder, Rows, read_conversations
from finetune_assets.training.run_record import RECORD_FILE, surroundings
from finetune_assets.training.sft import AdapterTrainer, ProgressCallback, StopOnSignal
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.request import TuningRequest

_LOGS_A_RUN = 50
_EVALUATION_ROWS = 32


class AdapterJob(BaseModel):
    """The job file of an adapter run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(min_length=1, description="Folder of the base model, or a hub id.")
    train: Path = Field(description="Training rows as chat JSONL.")
    validation: Path | None = Field(default=None, description="Validation rows as chat JSONL; None skips evaluation.")
    work: Path = Field(description="Folder for checkpoints; a later run with the same request continues from it.")
    out: Path = Field(description="Folder to fill with the adapter; it exists.")
    request: TuningRequest = Field(description="What is to be trained.")
    chat_template: str | None = Field(
        default=None, description="Jinja template; None takes the base's own. Serving must use the same."
    )
    expected_parent: int | None = Field(default=None, ge=1, description="Process id whose end ends this run.")


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between a CPU and a GPU.

    Attributes:
        on_gpu: train on CUDA in bfloat16 with activation checkpointing; else on the CPU in float32 without.
        batch_size: rows in one forward pass.
        accumulation: forward passes in one optimizer step.
    """

    on_gpu: bool
    batch_size: int
    accumulation: int


def choose_profile(config: TuningConfig, halvings: int) -> Profile:
    """Choose the profile that a configuration asks for.

    Raises:
        FinetuneError: when it asks for a GPU and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if config.profile == "gpu" and not has_gpu:
        raise FinetuneError(
            "no GPU", where="tuning.profile", found="gpu, but CUDA is not available", mend="set it to auto or cpu"
        )
    batch_size, accumulation = split_batch(config.batch_size, config.gradient_accumulation, halvings)
    return Profile(has_gpu and config.profile != "cpu", batch_size, accumulation)


def load_base(job: AdapterJob, profile: Profile) -> tuple[Any, Any]:
    """Load model and tokenizer, from safetensors only and without running code that comes with them.

    Raises:
        FinetuneError: when the base cannot be loaded so.
    """
    config = job.request.config
    common = {"trust_remote_code": False, "revision": config.revision or "main"}
    options: dict[str, Any] = {"dtype": torch.bfloat16 if profile.on_gpu else torch.float32}
    if config.quantisation == "nf4":
        options["quantization_config"] = _four_bit(profile)
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.base, **common)
        model = AutoModelForCausalLM.from_pretrained(job.base, use_safetensors=True, **common, **options)
    except (OSError, ValueError) as error:
        raise FinetuneError(
            "base model cannot be loaded",
            where=job.base,
            found=str(error),
            expected="a folder or hub id with safetensors weights and no code of its own",
            mend="check tuning.base_model and tuning.revision; gated models need HF_TOKEN",
        ) from error
    if tokenizer.eos_token_id is None:
        raise FinetuneError("tokenizer has no end-of-text token", where=job.base, mend="choose another base model")
    return model, tokenizer


def _four_bit(profile: Profile) -> Any:
    if find_spec("bitsandbytes") is None:
        raise FinetuneError(
            "bitsandbytes is not installed",
            where="tuning.quantisation",
            found="nf4",
            mend="pip install bitsandbytes, or set quantisation to none",
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if profile.on_gpu else torch.float32,
    )


def _stop_ids(model: Any) -> list[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = configured if isinstance(configured, list) else [configured]
    return [token for token in found if token is not None]


def _encoder(job: AdapterJob, model: Any, tokenizer: Any) -> RowEncoder:
    template = job.chat_template or tokenizer.chat_template
    if not template:
        raise FinetuneError(
            "base model has no chat template",
            where=job.base,
            expected="chat_template.jinja beside its tokenizer",
            mend="choose an instruction-tuned base, or put a template there",
        )
    return RowEncoder(tokenizer, template, job.request.config.max_length, _stop_ids(model))


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
    return Dataset.from_dict(
        {"input_ids": rows.input_ids, "labels": rows.labels, "length": list(map(len, rows.input_ids))}
    )


def trainer_arguments(job: AdapterJob, profile: Profile, rows: int, *, evaluates: bool) -> SFTConfig:
    """Return the trainer's settings for a job.

    Args:
        job: the job.
        profile: CPU or GPU.
        rows: training rows.
        evaluates: whether there are validation rows.
    """
    config = job.request.config
    steps = math.ceil(math.ceil(rows / (profile.batch_size * profile.accumulation)) * config.epochs)
    stops_early = config.early_stopping.patience > 0 and evaluates
    return SFTConfig(
        output_dir=str(job.work),
        per_device_train_batch_size=profile.batch_size,
        per_device_eval_batch_size=max(_EVALUATION_ROWS, profile.batch_size) if not profile.on_gpu else 8,
        gradient_accumulation_steps=profile.accumulation,
        num_train_epochs=config.epochs,
        learning_rate=config.peak_learning_rate,
        warmup_steps=config.warmup,
        lr_scheduler_type=config.scheduler,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        optim="adamw_torch_fused",
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=not profile.on_gpu,
        bf16=profile.on_gpu,
        gradient_checkpointing=profile.on_gpu,
        dataloader_pin_memory=profile.on_gpu,
        # Rows of like length share a batch, so that little of it is padding.
        train_sampling_strategy="group_by_length",
        # The rows are encoded already, by the code that serving uses.
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        logging_steps=max(1, steps // _LOGS_A_RUN),
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=_trackers(config),
        prediction_loss_only=True,
        eval_strategy="steps" if stops_early else "no",
        eval_steps=config.early_stopping.evaluate_every if stops_early else None,
        save_strategy="steps",
        # The best state can be loaded again only when it was saved: saving follows evaluation then.
        save_steps=config.early_stopping.evaluate_every if stops_early else config.checkpoint_every,
        save_total_limit=config.keep_checkpoints,
        load_best_model_at_end=stops_early,
        metric_for_best_model="eval_loss" if stops_early else None,
        greater_is_better=False if stops_early else None,
    )


def _trackers(config: TuningConfig) -> list[str]:
    for name in config.report_to:
        if find_spec(name) is None:
            raise FinetuneError(
                "experiment tracker is not installed",
                where="tuning.report_to",
                found=name,
                mend=f"pip install {name}, or take it out of report_to",
            )
    return list(config.report_to)


def _lora(config: TuningConfig) -> LoraConfig:
    targets = config.lora.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
    )


def _run_identity(job: AdapterJob, profile: Profile, around: dict[str, Any]) -> str:
    """Name all that a resumed run must share with the one that wrote the checkpoint to end in the same weights."""
    return digest_of(
        {
            "request": job.request.request_key,
            "batch_size": profile.batch_size,
            "accumulation": profile.accumulation,
            "surroundings": around,
        }
    )


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


def run(job: AdapterJob, reporter: Reporter, stop: StopOnSignal, *, halvings: int = 0) -> dict[str, Any] | None:
    """Train the adapter that a job asks for and write it to the job's folder, the run record last.

    Args:
        job: the job.
        reporter: told loss and progress.
        stop: ends training early, with a checkpoint, once it has caught a signal.
        halvings: how often memory ran out before.

    Returns:
        The run record as it stands in `training.json`; None when it was stopped before the end.

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
    identity = _run_identity(job, profile, around)
    arguments = trainer_arguments(job, profile, len(rows.input_ids), evaluates=held_out is not None)
    callbacks = [ProgressCallback(reporter), stop]
    if arguments.load_best_model_at_end:
        patience = config.early_stopping
        callbacks.append(EarlyStoppingCallback(patience.patience, patience.min_delta))
    trainer = AdapterTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(held_out) if held_out is not None else None,
        processing_class=tokenizer,
        peft_config=_lora(config),
        callbacks=callbacks,
        run_identity=identity,
    )
    trainer.remove_callback(PrinterCallback)
    resume, removed = newest_complete(job.work, identity)
    for line in removed:
        reporter.info(f"not continued from {line}")
    reporter.info(
        f"{len(rows.input_ids)} rows, {rows.tokens:,} tokens ({rows.answer_tokens:,} to learn), longest {rows.longest}; "
        f"{rows.truncated} truncated, {rows.dropped} dropped; "
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
    base_name = config.base_model if config.is_embedded or "/" not in job.base[:1] else Path(job.base).name
    _write_adapter(trainer, job.out, base_name)
    record |= {
        "adapter_digest": adapter_digest(job.out),
        "resumed_from": step_of(resume) if resume else None,
        "duration_s": round(time.monotonic() - started, 2),
        "cpu_s": round(time.process_time() - cpu_started, 2),
        **around,
    }
    write_record(job.out / RECORD_FILE, record)
    return record


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
        job = read_job(given.job, AdapterJob)
        end_with_parent(given.parent if given.parent is not None else job.expected_parent)
        stop = StopOnSignal()
        restore = stop.install()
        try:
            record = run(job, reporter, stop, halvings=given.halvings)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reporter.info(f"out of memory: {str(error)[:200]}")
            sys.stdout.flush()
            # Without closing Pipes: the supervisor's next try goes on reporting in the same session.
            os._exit(OUT_OF_MEMORY_EXIT)
        finally:
            restore()
        if record is None:
            return STOPPED_EXIT
        reporter.message({"kind": "finished", "adapter_digest": record["adapter_digest"]})
        return 0

    return run_reported(body)


if __name__ == "__main__":
    raise SystemExit(main())
