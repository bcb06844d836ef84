"""Questions and answers from passages: asked of a model, or made of the passage's own sentences.

A row keeps its passage as `context` and the passage's digest as `passage`, so that questions about one passage can be
held together by `split.group_fields: [passage]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.records.digests import digest_of_text, short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

TEMPLATE = "template-questions/1"
_MIN_PASSAGE = 40
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
# "The water cycle is the …": a subject of a few words, and what it is. "Rain is driven by …" answers another question.
_STATEMENT = re.compile(
    r"^(?P<subject>[A-Z][\w'()-]*(?: [\w'()-]+){0,5}?) (?P<verb>is|are|was|were) (?:an?|the|one of) .{8,}$"
)
_PRONOUNS = frozenset(
    {"it", "they", "this", "that", "these", "those", "there", "he", "she", "we", "you", "what", "which"}
)
_ARTICLES = ("The ", "A ", "An ")


@dataclass(frozen=True)
class QuestionWriter:
    """Asks for questions about passages, each passage in turn.

    Attributes:
        passages: the texts.
        seed: part of the ids.
    """

    passages: Sequence[str]
    seed: int

    def messages(self, number: int) -> list[Message]:
        """Return the prompt for one question."""
        passage, turn = self._passage(number)
        return [
            {
                "role": "system",
                "content": 'You write training data. Answer with one JSON object: {"question": "…", "answer": "…"}.',
            },
            {
                "role": "user",
                "content": f"Write question {turn + 1} about this passage. The passage alone answers it; keep numbers "
                f"and units as written; no yes-or-no question, no remark about the passage itself.\n\n{passage}",
            },
        ]

    def row(self, number: int, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the row; what the model adds besides question and answer is left out."""
        passage, _ = self._passage(number)
        return {
            "record_id": f"synthetic_{self.seed}_{number:05d}",
            "question": answer.get("question"),
            "answer": answer.get("answer"),
            "context": passage,
            "passage": short(digest_of_text(passage)),
        }

    def _passage(self, number: int) -> tuple[str, int]:
        turn, place = divmod(number, len(self.passages))
        return self.passages[place], turn


def template_questions(passages: Sequence[str], seed: int, count: int) -> list[dict[str, Any]]:
    """Return up to `count` rows made of statements ("The … is …."): a question about the subject, the whole sentence.

    Rows come passage by passage in turn, so that a few rows do not all speak of the first.
    """
    found = [[(passage, *pair) for pair in _statements(passage)] for passage in passages]
    turns = [items[turn] for turn in range(max(map(len, found), default=0)) for items in found if turn < len(items)]
    unique = dict.fromkeys(turns)
    return [
        {
            "record_id": f"template_{seed}_{number:05d}",
            "question": question,
            "answer": answer,
            "context": passage,
            "passage": short(digest_of_text(passage)),
        }
        for number, (passage, question, answer) in enumerate(list(unique)[:count])
    ]


def _statements(passage: str) -> list[tuple[str, str]]:
    pairs = []
    for sentence in _SENTENCE.split(" ".join(passage.split())):
        match = _STATEMENT.match(sentence)
        if match is None or match["subject"].split()[0].casefold() in _PRONOUNS:
            continue
        subject = match["subject"]
        if subject.startswith(_ARTICLES):
            subject = subject[0].lower() + subject[1:]
        pairs.append((f"What {match['verb']} {subject}?", sentence))
    return pairs


def read_passages(path: Path) -> list[str]:
    """Read passages: of a `.jsonl` file the field `text` (or `passage`) of each line, else paragraphs of a text.

    Returns:
        Passages of 40 characters or more, each once, in their order.

    Raises:
        FinetuneError: when the file is missing, cannot be read, or holds no passage.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        parts = _of_lines(text) if path.suffix == ".jsonl" else re.split(r"\n\s*\n", text)
    except FileNotFoundError:
        raise FinetuneError("passages are missing", where=str(path), mend="name an existing file") from None
    except OSError as error:
        raise FinetuneError(
            "passages cannot be read", where=str(path), found=error.strerror or str(error), mend="name a readable file"
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FinetuneError(
            "passages cannot be read", where=str(path), found=str(error), expected="a UTF-8 text, or JSON Lines"
        ) from None
    passages = [passage for part in parts if len(passage := part.strip()) >= _MIN_PASSAGE]
    if not passages:
        raise FinetuneError(
            "no passage was found",
            where=str(path),
            expected=f"paragraphs of {_MIN_PASSAGE} characters or more, with a blank line between them",
        )
    return list(dict.fromkeys(passages))


def _of_lines(text: str) -> list[str]:
    # Only a line feed ends a row: U+2028 and the like are signs of a text.
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    found = [row.get("text") or row.get("passage") for row in rows if isinstance(row, dict)]
    return [item for item in found if isinstance(item, str)]
