"""Pre-trains the embedded base: `python -m finetune_assets.training.base_model JOB.json`.

Here belongs a byte-level BPE and a small Llama, both trained from scratch on `corpus.py`'s text. The base shows that
the platform works without a download; it is no rival to a real model.

The job file holds `out` (folder to fill), `request` (a `BaseModelRequest`), `corpus` (a `CorpusConfig`) and, when
started by another process, `expected_parent`.
"""

# ruff: noqa: TID253 - only a subprocess loads this module, and it exists to use torch.
from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from finetune_assets.datasets.render import CHATML
from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.corpus import CorpusConfig, Document, build_corpus, corpus_digest
from finetune_assets.training.digest import BASE_WEIGHTS, tensors_digest
from finetune_assets.training.jobs import read_job, run_reported, write_record
from finetune_assets.training.parent import end_with_parent
from finetune_assets.training.report import Reporter
from finetune_assets.training.run_record import RECORD_FILE, surroundings
from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest

PAD, SEPARATOR, TURN_START, TURN_END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_SPECIAL = (PAD, SEPARATOR, TURN_START, TURN_END)
_REPORT_EVERY = 20
# Pieces that merges never cross: words and identifiers (one piece, so that a label's key is one token), numbers, runs
# of JSON marks, other signs, white space.
_PIECES = r" ?\p{L}+(?:[_']\p{L}+)*| ?\p{N}{1,3}|[{}\[\]\":,]+| ?[^\s\p{L}\p{N}{}\[\]\":,]+|\s+"


class BaseJob(BaseModel):
    """The job file of a base-model run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    out: Path = Field(description="Folder to fill; it exists and is empty.")
    request: BaseModelRequest = Field(description="What is to be trained.")
    corpus: CorpusConfig = Field(description="The corpus, whose digest the request names.")
    expected_parent: int | None = Field(default=None, ge=1, description="Process id whose end ends this run.")


def train_tokenizer(documents: Iterable[Document], vocabulary: int, positions: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE (any text can be encoded) on the corpus.

    Args:
        documents: the corpus.
        vocabulary: entries, the four special tokens included.
        positions: longest text in tokens, recorded in the tokenizer.

    Returns:
        The tokenizer, with the ChatML template; end of turn is its EOS, and padding has a token of its own.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((document.text for document in documents), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[SEPARATOR, TURN_START],
        chat_template=CHATML,
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def cut_windows(documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast, window: int) -> torch.Tensor:
    """Cut the corpus into training windows, each within one kind of text.

    Args:
        documents: the corpus.
        tokenizer: encodes it.
        window: tokens in a window.

    Returns:
        Token ids, shape (windows, window); what is left of a kind after its last full window is dropped.
    """
    separator = tokenizer.convert_tokens_to_ids(SEPARATOR)
    streams: dict[str, list[int]] = defaultdict(list)
    encoded = tokenizer([document.text for document in documents], add_special_tokens=False)["input_ids"]
    for document, ids in zip(documents, encoded, strict=True):
        streams[document.kind].extend([*ids, separator])
    parts = [torch.tensor(ids[: len(ids) // window * window]).view(-1, window) for ids in streams.values()]
    return torch.cat(parts)


def new_model(config: BaseModelConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama with random weights (from torch's global generator), input and output embeddings tied."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.positions,
            initializer_range=config.initial_deviation,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            dtype="float32",
        )
    )


def _learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the peak rate: a linear rise, then half a cosine down to a twentieth."""
    rising = max(1, math.ceil(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return 0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * done))


def _row_order(rows: int, wanted: int, seed: int) -> torch.Tensor:
    """Return `wanted` row numbers: whole random passes over all rows, one after another."""
    generator = torch.Generator().manual_seed(seed)
    passes = math.ceil(wanted / rows)
    return torch.cat([torch.randperm(rows, generator=generator) for _ in range(passes)])[:wanted]


def _optimizers(model: LlamaForCausalLM, config: BaseModelConfig) -> list[torch.optim.Optimizer]:
    """Return Muon for the layers' matrices and AdamW for embeddings and norms.

    Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon/) needs about half of AdamW's steps here.
    """
    matrices: list[torch.nn.Parameter] = []
    embeddings: list[torch.nn.Parameter] = []
    vectors: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        kind = vectors if weight.ndim < 2 else embeddings if "embed" in name else matrices
        kind.append(weight)
    decay = config.weight_decay
    adamw = torch.optim.AdamW(
        [{"params": embeddings, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=config.embedding_learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    return [torch.optim.Muon(matrices, lr=config.learning_rate, weight_decay=decay, momentum=0.95), adamw]


def pretrain(
    model: LlamaForCausalLM, windows: torch.Tensor, config: BaseModelConfig, reporter: Reporter
) -> list[tuple[int, float]]:
    """Train all weights to predict each window's next token.

    Args:
        model: changed in place.
        windows: token ids, shape (windows, window).
        config: steps, batch size and learning rate.
        reporter: told the loss every 20 steps.

    Returns:
        (step, loss) pairs, the loss in nats a token averaged over the steps since the last pair.
    """
    optimizers = _optimizers(model, config)
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    order = _row_order(len(windows), config.steps * config.batch_size, config.seed).view(config.steps, -1)
    curve: list[tuple[int, float]] = []
    since_report: list[float] = []
    model.train()
    for step, rows in enumerate(order):
        for group, peak in groups:
            group["lr"] = peak * _learning_rate_factor(step, config.steps, config.warmup)
        batch = windows[rows]
        logits = model(input_ids=batch, use_cache=False).logits
        loss = functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        since_report.append(loss.item())
        if (step + 1) % _REPORT_EVERY == 0 or step + 1 == config.steps:
            curve.append((step + 1, sum(since_report) / len(since_report)))
            since_report.clear()
            reporter.progress(step=curve[-1][0], total=config.steps, loss=curve[-1][1])
    return curve


def run(job: BaseJob, reporter: Reporter) -> dict[str, Any]:
    """Train the base that a job asks for and write it to the job's folder, the run record last.

    Returns:
        The run record, as it stands in `training.json`.

    Raises:
        FinetuneError: when the corpus is not the one that the request names.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    config = job.request.model
    documents = build_corpus(job.corpus)
    digest = corpus_digest(documents)
    if digest != job.request.corpus_digest:
        raise FinetuneError(
            "corpus is not the requested one",
            where="request.corpus_digest",
            found=digest,
            expected=job.request.corpus_digest,
            mend="make the request with the same release of this package",
        )
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    tokenizer = train_tokenizer(documents, config.vocabulary, config.positions)
    windows = cut_windows(documents, tokenizer, config.window)
    if len(tokenizer) != config.vocabulary:
        raise FinetuneError(
            "corpus is too small for the vocabulary",
            where="request.model.vocabulary",
            found=f"{len(tokenizer)} entries",
            expected=str(config.vocabulary),
            mend="lower the vocabulary or raise the corpus sizes",
        )
    model = new_model(config, tokenizer)
    weights = sum(weight.numel() for weight in model.parameters())
    reporter.info(f"embedded base: {weights:,} weights, {windows.numel():,} tokens of unlabelled text")
    curve = pretrain(model, windows, config, reporter)
    tokenizer.save_pretrained(job.out)
    model.save_pretrained(job.out)
    record = {
        "loss": curve,
        "weights": weights,
        "corpus_tokens": windows.numel(),
        "corpus_documents": len(documents),
        "corpus_digest": digest,
        "seed": config.seed,
        "tensors_digest": tensors_digest(job.out / BASE_WEIGHTS),
        "duration_s": round(time.monotonic() - started, 2),
        "cpu_s": round(time.process_time() - cpu_started, 2),
        **surroundings(config.threads),
    }
    write_record(job.out / RECORD_FILE, record)
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job file named on the command line; return 0, or 1 after one line about what is wrong."""
    parser = argparse.ArgumentParser(description="Pre-train the embedded base model.")
    parser.add_argument("job", type=Path, help="JSON file with out, request and corpus")
    path = parser.parse_args(arguments).job

    def body(reporter: Reporter) -> int:
        job = read_job(path, BaseJob)
        end_with_parent(job.expected_parent)
        record = run(job, reporter)
        reporter.message({"kind": "finished", "tensors_digest": record["tensors_digest"]})
        return 0

    return run_reported(body)


if __name__ == "__main__":
    raise SystemExit(main())
