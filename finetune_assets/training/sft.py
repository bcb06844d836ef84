"""TRL's SFTTrainer, made cheap on a CPU and safe to kill.

Here belong the subclass and its callbacks. What is trained, on what and where the result goes is `adapter.py`'s.
"""

# ruff: noqa: TID253 - only a subprocess loads this module, and it exists to use torch and trl.
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from finetune_assets.training.batches import grouped_order
from finetune_assets.training.checkpoints import seal
from finetune_assets.training.report import Reporter
from finetune_assets.training.rows import IGNORED


class GroupedByLength(Sampler[int]):  # type: ignore[misc]
    """Rows of like length in one batch, in an order that depends on seed and epoch alone.

    transformers' own sampler draws from the global generator, whose state at the start of an epoch no checkpoint
    holds: a run resumed in its second epoch or later would see other batches.

    Args:
        lengths: tokens of each row.
        batch_size: rows in a batch.
        seed: the run's seed.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of epoch `epoch`, counted from 0; the data loader calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(grouped_order(self._lengths, self._batch_size, f"{self._seed}/{self._epoch}"))


class AdapterTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer with a plain loss on a CPU and sealed checkpoints.

    TRL computes the loss with a Triton kernel on a GPU. Its fallback recomputes logits in the backward pass and adds
    entropy and accuracy, which took 60 % of the time on a CPU; the usual cross-entropy over the answer's columns
    gives the same gradient.

    Args:
        *args: as for SFTTrainer.
        lengths: tokens of each training row.
        run_identity: written into each checkpoint's seal.
        **kwargs: as for SFTTrainer.
    """

    def __init__(self, *args: Any, lengths: Sequence[int], run_identity: str, **kwargs: Any) -> None:
        self._lengths = lengths
        self._run_identity = run_identity
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedByLength:
        del train_dataset
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return GroupedByLength(self._lengths, rows, self.args.seed)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the mean loss a token of the answers; on a GPU, TRL's own.

        Args:
            model: the model with its adapter.
            inputs: `input_ids`, `labels` and `attention_mask`, each of shape (rows, tokens), padded on the right.
            return_outputs: ask for the logits as well; TRL's way is taken then.
            num_items_in_batch: tokens with a label in all micro-batches of the step; None takes this batch's own.

        Returns:
            A scalar in nats a token.
        """
        if return_outputs or inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return answer_loss(model, inputs["input_ids"], inputs["labels"], num_items_in_batch)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # SFTTrainer's own version writes a model card first; a checkpoint needs none.
        Trainer._save_checkpoint(self, model, trial)
        if self.is_world_process_zero():
            seal(Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}", self._run_identity)


def answer_loss(model: Any, input_ids: torch.Tensor, labels: torch.Tensor, items: Any = None) -> torch.Tensor:
    """Return the cross-entropy of the labelled tokens, from the logits of the columns that hold any.

    Rows are padded on the right, so under causal attention no real token sees padding and no mask is needed.

    Args:
        model: a causal language model that takes `logits_to_keep`.
        input_ids: shape (rows, tokens).
        labels: shape (rows, tokens), -100 where there is nothing to learn.
        items: divisor; None takes the number of labelled tokens.

    Returns:
        A scalar, in nats a token.
    """
    targets = labels[:, 1:]
    supervised = (targets != IGNORED).any(dim=0).nonzero()
    first = int(supervised[0]) if len(supervised) else targets.shape[1] - 1
    targets = targets[:, first:]
    # The last column predicts nothing: one more logit than targets is asked for, and dropped.
    logits = model(input_ids=input_ids, logits_to_keep=targets.shape[1] + 1, use_cache=False).logits[:, :-1]
    total = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), ignore_index=IGNORED, reduction="sum"
    )
    count = (targets != IGNORED).sum() if items is None else torch.as_tensor(items)
    return total / count.clamp(min=1)


class ProgressCallback(TrainerCallback):  # type: ignore[misc]
    """Tells the reporter each logged loss."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report the training loss, or the validation loss after an evaluation."""
        del args, control, kwargs
        logs = logs or {}
        if "loss" in logs:
            more = {"epoch": float(logs["epoch"])} if "epoch" in logs else {}
            self._reporter.progress(step=state.global_step, total=state.max_steps, loss=float(logs["loss"]), **more)
        elif "eval_loss" in logs:
            self._reporter.progress(
                step=state.global_step, total=state.max_steps, validation_loss=float(logs["eval_loss"])
            )


class StopOnSignal(TrainerCallback):  # type: ignore[misc]
    """Ends training after the current step, with a checkpoint, when the process is asked to stop.

    Attributes:
        asked: the signal's number once one has come, else 0.
    """

    def __init__(self) -> None:
        self.asked = 0

    def install(self) -> Callable[[], None]:
        """Take SIGTERM and SIGINT; the returned function gives them back."""
        before = {number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore

    def _remember(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.asked = number

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Ask the trainer to save and stop once a signal has come."""
        del args, state, kwargs
        if self.asked:
            control.should_save = True
            control.should_training_stop = True
        return control
