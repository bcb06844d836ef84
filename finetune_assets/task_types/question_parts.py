"""The parts of an example made from one exchange: its key, groups and facts, what is wrong with it, its rejection.

Pure functions that need nothing of the task's configuration; putting them together is the business of
`question_answering.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.cleaning import is_placeholder
from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.render import neutralise
from finetune_assets.records.example import Message, RawRecord, Rejection
from finetune_assets.task_types.prompts import FieldFault, text_of
from finetune_assets.task_types.question_records import Exchange, split_system, turns_of

NAME = "question_answering"

# What a record says besides question and answer, kept for the judge and the reader.
_KEPT_FACTS = ("category", "topic", "tags", "expected_keywords")


def live_exchange(fields: Mapping[str, Any]) -> Exchange | FieldFault:
    """Read a live input: a question, or a conversation that ends with one."""
    system, context = fields.get("system") or "", fields.get("context") or ""
    history: list[Message] = []
    question = fields.get("question")
    if question is None and fields.get("messages") is not None:
        turns = turns_of(fields["messages"])
        if isinstance(turns, FieldFault):
            return turns
        own, history = split_system(turns)
        system = own or system
        if not history or history[-1]["role"] != "user":
            return FieldFault(
                "messages", "unanswered", "no question at the end", "a conversation that ends with the user"
            )
        question = history.pop()["content"]
        history = history[1:] if history and history[0]["role"] == "assistant" else history
    texts = [text_of(*named) for named in (("question", question or ""), ("context", context), ("system", system))]
    faults = [text for text in texts if isinstance(text, FieldFault)]
    return faults[0] if faults else Exchange("chat", str(texts[0]), "", str(texts[1]), str(texts[2]), tuple(history))


def fault_of(exchange: Exchange) -> FieldFault | None:
    """Find what makes a cleaned exchange useless: a text of nothing but markup, or a placeholder."""
    for name, text in (("question", exchange.question), ("answer", exchange.answer)):
        if not text:
            return FieldFault(name, "missing_field", "nothing but markup or blanks", "text")
        if is_placeholder(text):
            return FieldFault(name, "placeholder_target", text, "real content")
    if any(not turn["content"] for turn in exchange.history):
        return FieldFault("messages", "blank_turn", "nothing but markup or blanks", "what was said")
    return None


def groups_of(exchange: Exchange, item_id: str) -> tuple[str, ...]:
    """Tie the examples of one record; their id is the record's with a number."""
    if exchange.shape == "question":
        return ()
    name = "conversation" if exchange.shape == "chat" else "wordings"
    return (f"{name}={item_id.rpartition('/')[0]}",)


def key_of(exchange: Exchange) -> str:
    """Return the key of the whole input: the question with its context, its own system turn and all that was said."""
    parts = {"question": exchange.question}
    for name, text in (("context", exchange.context), ("system", exchange.system)):
        if text:
            parts[name] = text
    for number, turn in enumerate(exchange.history):
        parts[f"{number:06d} {turn['role']}"] = turn["content"]
    return content_key(parts)


def facts_of(exchange: Exchange, fields: Mapping[str, Any], language: str, changes: Sequence[str]) -> dict[str, Any]:
    """Return what the judge and the reader know of an exchange besides its answer."""
    facts: dict[str, Any] = {"shape": exchange.shape, "language": language}
    facts |= {name: fields[name] for name in _KEPT_FACTS if fields.get(name) not in (None, "", [])}
    if isinstance(stated := fields.get("language"), str) and stated.strip():
        facts["stated_language"] = stated.strip()
    if exchange.context:
        facts["context"] = neutralise(exchange.context)
    if exchange.history:
        facts["earlier_turns"] = len(exchange.history)
    if changes:
        facts["cleaned"] = list(changes)
    return facts


def rejection_of(record: RawRecord, fields: Mapping[str, Any], record_id: str, fault: FieldFault) -> Rejection:
    """Return the rejection of a record, or of one of its exchanges, for a fault."""
    text = fields.get("question")
    mend = "correct the record at its source"
    if fault.reason == "other_language":
        mend = f"nothing, unless `{NAME}.languages` should let it take part"
    return Rejection(
        reason=fault.reason,
        source=record.source,
        record_id=record_id[:200],
        field=fault.field,
        found=fault.found[:200],
        expected=fault.expected,
        mend=mend,
        text=text[:1000] if isinstance(text, str) else "",
    )
