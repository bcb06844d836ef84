"""What a classification costs by constrained decoding, beside label scoring and generate().

Run: `python benchmarks/decoding.py [--rows 64] [--repeats 5]`. One model (the embedded shape, pre-trained and tuned
briefly on childcare notes), the childcare task's own prompts and its whole list of legal answers, one thread. The
contenders take turns, `--repeats` rounds; the table shows the median of rows a CPU second and ratios of medians.

* this project: `LocalEngine` with the task's choices, 32 rows a pass.
* label scoring: every legal answer is scored after the prompt, which is read once a row, and the most probable wins.
* generate(): transformers' own, one row at a time, whatever it writes read by the task type.
* generate() with `prefix_allowed_tokens_fn`: the same, bound to the legal answers.

"Same answers" means: equal to the bound generate() on every row; equal to the free generate() wherever that wrote a
legal answer; equal to label scoring wherever its winner has more than half of the probability, as then no other path
can win a step. Where no answer has half, greedy decoding and label scoring may differ; the table says on how many rows.
Targets: at least 5 x label scoring and 3 x the free generate().
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finetune_assets.datasets.synthetic.early_years import ATTRIBUTES, LEGAL_PAIRS
from finetune_assets.datasets.synthetic.texts import Draw, compose
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.local import LocalEngine
from finetune_assets.task_types import build_task_type

TASK = Path(__file__).resolve().parents[1] / "finetune_assets" / "defs" / "childcare"
TRAINED, BATCH = 1500, 16
Answers = list[str]


def make_base(folder: Path, steps: int) -> None:
    """Write the embedded base model."""
    from finetune_assets.training.base_model import BaseJob, run
    from finetune_assets.training.corpus import CorpusConfig, build_corpus, corpus_digest
    from finetune_assets.training.report import Reporter
    from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest

    names = tuple(sorted(attribute.name for attribute in ATTRIBUTES.values()))
    levels = tuple(sorted({level for _, level in LEGAL_PAIRS}))
    corpus = CorpusConfig(label_keys=("attribute_name", "progression_title"), label_values=(names, levels))
    request = BaseModelRequest(corpus_digest=corpus_digest(build_corpus(corpus)), model=BaseModelConfig(steps=steps))
    run(BaseJob(out=folder, request=request, corpus=corpus), Reporter(lambda _: None, lambda _: None))


def questions(task: Any, seed: str, count: int) -> list[tuple[list[Message], str]]:
    """Return notes with the legal answer that was meant."""
    draw = Draw(seed)
    meant = {}
    for choice in task.choices():
        path = task.parse(choice).label_path
        meant[path[1:]] = choice
    rows = []
    for _ in range(count):
        number, level = draw.one(LEGAL_PAIRS)
        choice = meant[(ATTRIBUTES[number].name, level)]
        rows.append((task.input_messages({task.text_field: compose(draw, number, level)}), choice))
    return rows


def tune(folder: Path, rows: list[tuple[list[Message], str]], epochs: int) -> None:
    """Train all weights of the base on the rows, in place; how well is of no matter, so a plain loop does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from finetune_assets.training.rows import RowEncoder

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    answered: list[list[Message]] = [[*asked, {"role": "assistant", "content": answer}] for asked, answer in rows]
    encoded = RowEncoder(tokenizer, tokenizer.chat_template, 1024).encode(answered)
    order = sorted(range(len(encoded.input_ids)), key=lambda i: len(encoded.input_ids[i]))
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for number in torch.randperm(len(batches)).tolist():
            chunk = batches[number]
            width = max(len(encoded.input_ids[i]) for i in chunk)
            ids = [encoded.input_ids[i] + [0] * (width - len(encoded.input_ids[i])) for i in chunk]
            labels = [encoded.labels[i] + [-100] * (width - len(encoded.labels[i])) for i in chunk]
            loss = model(input_ids=torch.tensor(ids), labels=torch.tensor(labels)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)


class Contenders:
    """The four ways, on one loaded model."""

    def __init__(self, engine: LocalEngine, task: Any) -> None:
        self.engine, self.task = engine, task
        self.model, self.tokenizer = engine._model, engine._tokenizer
        self.choices: tuple[str, ...] = task.choices()
        self.tokens = engine._choice_tokens(self.choices)
        self.root = engine._decoder._trie.root  # type: ignore[union-attr]
        self.certain: list[float] = []

    def ours(self, asked: list[list[Message]]) -> Answers:
        """Decode along the tree of legal answers, 32 rows a pass."""
        return [answer.text for answer in self.engine.complete(asked)]

    def label_scoring(self, asked: list[list[Message]]) -> Answers:
        """Read the prompt once, then all answers in one pass on copies of its cache."""
        import torch

        width = max(map(len, self.tokens))
        padded = torch.tensor([row + [0] * (width - len(row)) for row in self.tokens])
        real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in self.tokens])
        self.certain = []
        answers = []
        with torch.inference_mode():
            for messages in asked:
                prompt = torch.tensor([self.engine._tokens(self.engine.prompt(messages))])
                read = self.model(input_ids=prompt, use_cache=True, logits_to_keep=1)
                cache = read.past_key_values
                cache.batch_repeat_interleave(len(self.tokens))
                # Padding on the right: nothing real ever looks at it.
                scored = self.model(input_ids=padded[:, :-1], past_key_values=cache, use_cache=True).logits
                first = read.logits.expand(len(self.tokens), 1, -1)
                scores = torch.cat([first, scored], dim=1).log_softmax(dim=2)
                sums = (scores.gather(2, padded[:, :, None])[:, :, 0] * real).double().sum(dim=1)
                best = int(sums.argmax())
                self.certain.append(float(sums[best].exp()))
                answers.append(self.choices[best])
        return answers

    def generate(self, asked: list[list[Message]]) -> Answers:
        """Let transformers write freely; what is no legal answer is ""."""
        return [self._generated(messages, None) for messages in asked]

    def bound_generate(self, asked: list[list[Message]]) -> Answers:
        """Let transformers write legal answers only."""
        return [self._generated(messages, self._allowed) for messages in asked]

    def _allowed(self, written: list[int]) -> list[int]:
        node = self.root
        for token in written:
            node = node.children[token]
        return list(node.children) or sorted(self.engine._stop)

    def _generated(self, messages: list[Message], allowed: Callable[[list[int]], list[int]] | None) -> str:
        import torch

        encoded = self.tokenizer(self.engine.prompt(messages), return_tensors="pt", add_special_tokens=False)
        width = encoded["input_ids"].shape[1]
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                do_sample=False,
                max_new_tokens=max(map(len, self.tokens)),
                eos_token_id=sorted(self.engine._stop),
                prefix_allowed_tokens_fn=(lambda _, ids: allowed(ids[width:].tolist())) if allowed else None,
            )
        text: str = self.tokenizer.decode(out[0, width:], skip_special_tokens=True).strip()
        return text if self.task.parse(text).valid else ""


def measure(ways: dict[str, Callable[..., Answers]], asked: Any, repeats: int) -> tuple[dict[str, Answers], Any]:
    """Return each way's answers and its rows a CPU second in each round."""
    answers: dict[str, Answers] = {name: way(asked[:4]) for name, way in ways.items()}  # warm up
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.process_time()
            answers[name] = way(asked)
            speeds[name].append(len(asked) / (time.process_time() - began))
    return answers, speeds


def same_answers(answers: dict[str, Answers], certain: list[float]) -> dict[str, tuple[int, int, int]]:
    """Return for each rival: rows that must agree, of these that do, and all that agree."""
    ours = answers["this project"]
    must = {
        "label scoring": [share > 0.5 for share in certain],
        "generate()": [bool(text) for text in answers["generate()"]],
        "generate() bound": [True] * len(ours),
    }
    return {
        name: (
            sum(rows),
            sum(a == b for a, b, row in zip(ours, answers[name], rows, strict=True) if row),
            sum(a == b for a, b in zip(ours, answers[name], strict=True)),
        )
        for name, rows in must.items()
    }


def main() -> int:
    """Print the table; 1 when a target is missed or an answer differs that must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=150, help="pre-training steps of the base")
    parser.add_argument("--base", type=Path, help="a tuned base to take instead of making one")
    options = parser.parse_args()
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(1)
    task = build_task_type("classification", {"taxonomy": "taxonomy.json"}, TASK)
    with tempfile.TemporaryDirectory() as scratch:
        base = options.base or Path(scratch)
        if options.base is None:
            make_base(base, options.steps)
            tune(base, questions(task, "benchmark train", TRAINED), epochs=4)
        template = (base / "chat_template.jinja").read_text()
        contenders = Contenders(LocalEngine(base, None, task.choices(), template), task)
    test = questions(task, "benchmark test", options.rows)
    ways = {
        "this project": contenders.ours,
        "label scoring": contenders.label_scoring,
        "generate()": contenders.generate,
        "generate() bound": contenders.bound_generate,
    }
    answers, speeds = measure(ways, [asked for asked, _ in test], options.repeats)
    agreement = same_answers(answers, contenders.certain)
    return table(test, answers, speeds, agreement, len(contenders.choices))


def table(test: Any, answers: Any, speeds: Any, agreement: Any, choices: int) -> int:
    rows = len(test)
    ours = statistics.median(speeds["this project"])
    print(f"{rows} rows, {choices} legal answers, medians of {len(speeds['this project'])} rounds")
    for name, values in speeds.items():
        right = sum(text == meant for text, (_, meant) in zip(answers[name], test, strict=True)) / rows
        line = f"{name:18} {statistics.median(values):8.1f} rows/CPU-s  {ours / statistics.median(values):6.1f} x"
        if name in agreement:
            must, do, agree = agreement[name]
            line += f"  same on {do} of {must} rows that must agree, {agree} of {rows} in all"
        print(f"{line}; {right:.0%} right")
    slow = ours < 5 * statistics.median(speeds["label scoring"]) or ours < 3 * statistics.median(speeds["generate()"])
    different = any(must != do for must, do, _ in agreement.values())
    return int(slow or different)


if __name__ == "__main__":
    sys.exit(main())
