"""The synthetic sample of the environment task: questions and answers in the shapes and with the dirt of real ones.

Here belongs in which file, shape and disorder each fact is written; the facts are the business of
`environment_facts.py`. Everything is a pure function of the seed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from finetune_assets.datasets.synthetic.environment_facts import Fact, facts
from finetune_assets.datasets.synthetic.texts import Draw

SAMPLE_SEED = 2025
"""The seed of the sample that ships with the project."""

QUESTIONS, INSTRUCTIONS, CONVERSATIONS, FAQ, INTENTS = 170, 90, 80, 40, 24
"""Records of each shape, before the dirt."""

DUPLICATES, PLACEHOLDERS, GERMAN, CONFLICTS, BROKEN = 9, 8, 12, 3, 2
"""Records of each kind of dirt; BROKEN of each kind of broken conversation and record."""

_GERMAN = (
    "Wie viele Megajoule sind {n} Kilowattstunden?",
    "Eine Kilowattstunde hat 3,6 Megajoule, also muss man mit 3,6 malnehmen: es sind {m} Megajoule.",
)

Row = dict[str, Any]


def sample_files(seed: int = SAMPLE_SEED) -> dict[str, bytes]:
    """Return the sample: the name of each file, relative to the task's folder, and its bytes (UTF-8).

    `questions.jsonl` holds questions, instructions and conversations, `faq.csv` and `intents.json` questions with a
    second wording each.
    """
    draw = Draw(f"environment:{seed}")
    known = iter(facts(draw, QUESTIONS + INSTRUCTIONS + CONVERSATIONS + FAQ + INTENTS + CONFLICTS))
    questions = [_question(fact, number) for number, fact in enumerate(_take(known, QUESTIONS))]
    rows = [_dirty(row, number // 6 % 4) if number % 6 == 0 else row for number, row in enumerate(questions)]
    rows += [_instruction(fact) for fact in _take(known, INSTRUCTIONS)]
    rows += [_conversation(fact, number) for number, fact in enumerate(_take(known, CONVERSATIONS))]
    rows += [row for fact in _take(known, CONFLICTS) for row in _conflict(fact)]
    rows += [_repeated(draw, draw.one(questions)) for _ in range(DUPLICATES)]
    rows += [_placeholder(number) for number in range(PLACEHOLDERS)]
    rows += [_german(number) for number in range(GERMAN)]
    rows += [row for _ in range(BROKEN) for row in _broken()]
    lines = [
        json.dumps({"id": f"env-{number:04d}", **row}, ensure_ascii=False)
        for number, row in enumerate(draw.shuffled(rows), start=1)
    ]
    faq, intents = _take(known, FAQ), _take(known, INTENTS)
    return {
        "data/questions.jsonl": "".join(f"{line}\n" for line in lines).encode(),
        "data/faq.csv": _faq(faq).encode(),
        "data/intents.json": _intents(intents).encode(),
    }


def _take(known: Iterator[Fact], count: int) -> list[Fact]:
    return [next(known) for _ in range(count)]


def _question(fact: Fact, number: int) -> Row:
    if number % 5 == 4:
        return {"question": fact.task, "context": fact.material, "answer": fact.answer, "topic": fact.topic}
    return {"question": fact.question, "answer": fact.answer, "topic": fact.topic}


def _instruction(fact: Fact) -> Row:
    return {"instruction": fact.task, "input": fact.material, "output": fact.answer, "category": fact.topic}


def _conversation(fact: Fact, number: int) -> Row:
    """Return a conversation of two questions, spelt in one of three ways."""
    said = [(fact.question, fact.answer), (fact.follow_up, fact.follow_answer)]
    if number % 3 == 0:
        turns: list[Row] = [{"user": asked, "assistant": answered} for asked, answered in said]
        return {"messages": turns, "topic": fact.topic}
    names = ("user", "assistant") if number % 3 == 1 else ("human", "gpt")
    keys = ("role", "content") if number % 3 == 1 else ("from", "value")
    turns = [dict(zip(keys, turn, strict=True)) for pair in said for turn in zip(names, pair, strict=True)]
    if number % 6 == 1:
        turns.insert(0, {"role": "system", "content": "You help people to read energy bills. Show the working."})
    return {"messages" if number % 3 == 1 else "conversations": turns, "topic": fact.topic}


def _conflict(fact: Fact) -> list[Row]:
    """Return one question with two answers, the second without its working."""
    end = fact.answer.replace("\n", " ").rpartition(" ")[2]
    return [
        {"question": fact.question, "answer": fact.answer, "topic": fact.topic},
        {"question": fact.question, "answer": f"Nobody can tell, perhaps {end}", "topic": fact.topic},
    ]


def _repeated(draw: Draw, row: Row) -> Row:
    """Return a copy with the spelling changed as copies have it: case, white space, punctuation."""
    respell: Callable[[str], str] = draw.one(
        [str.upper, lambda text: f"  {text} ", lambda text: text.rstrip("?.") + " ?"]
    )
    return {**row, "question": respell(row["question"])}


def _dirty(row: Row, kind: int) -> Row:
    """Return the row as a web page would have it: markup, entities, no-break and zero-width spaces, by `kind`."""
    answer = row["answer"]
    if kind == 0:
        parts = answer.split("\n")
        answer = "".join(f"<p>{part.replace('&', '&amp;')}</p>" for part in parts)
    elif kind == 1:
        answer = answer.replace("°", "&deg;").replace("×", "&times;").replace("\n", "<br>")
    elif kind == 2:
        answer = answer.replace(" ×", "\u00a0×").replace(" =", "\u200b =")
    else:
        answer = answer.replace("CO₂", "CO<sub>2</sub>").replace("m²", "m<sup>2</sup>").replace("m³", "m<sup>3</sup>")
    return {**row, "answer": answer}


def _placeholder(number: int) -> Row:
    return {"question": f"Question {number} about climate policy?", "answer": "[PLACEHOLDER - Add actual content]"}


def _german(number: int) -> Row:
    amount = 10 * (number + 1)
    question, answer = _GERMAN
    return {"question": question.format(n=amount), "answer": answer.format(m=amount * 36 // 10), "topic": "energy"}


def _broken() -> list[Row]:
    """Return one record of each kind that nothing can be learned from."""
    return [
        {"messages": [{"role": "user", "content": "What is albedo?"}, {"role": "assistant", "content": ""}]},
        {"messages": [{"role": "tool", "content": "42"}, {"role": "assistant", "content": "It is 42."}]},
        {"messages": [{"role": "user", "content": "Is anybody there?"}]},
        {"question": "What is the unit of power?", "answer": None},
    ]


def _faq(known: list[Fact]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["Questions", "Answers", "Patterns", "Tags"])
    for fact in known:
        writer.writerow([fact.question, fact.answer, fact.wording, fact.topic])
    return out.getvalue()


def _intents(known: list[Fact]) -> str:
    intents = [
        {"tags": [fact.topic], "patterns": [fact.question, fact.wording], "responses": [fact.answer]} for fact in known
    ]
    return json.dumps({"intents": intents}, indent=1, ensure_ascii=False) + "\n"
