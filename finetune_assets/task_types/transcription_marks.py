"""How corrected transcripts are marked: word and character errors, and whether the model made them better or worse.

`correct` is an answer that equals the right transcript in the task's normal form. An invalid answer counts as an empty
transcript, all of whose reference words are deleted, and as worse than what the recogniser wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

from finetune_assets.evaluation.metrics.references import reference_note
from finetune_assets.evaluation.metrics.transcripts import pair_errors
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, Stats, share
from finetune_assets.records.task_type import ParsedAnswer

MEASURES = (
    Measure("wer", "word error rate", "rate", higher_is_better=False),
    Measure("cer", "character error rate", "rate", higher_is_better=False),
    Measure("exact", "transcript right", "share"),
    Measure("improved", "faulty transcripts made better", "share"),
    Measure("worsened", "transcripts made worse", "share", higher_is_better=False),
)


def mark_transcripts(examples: Sequence[Example], answers: Sequence[ParsedAnswer], *, normaliser: str) -> list[Marks]:
    """Mark corrected transcripts, all rows in one alignment.

    `improved` is over the rows whose untuned transcript has a word error, `worsened` over all rows with an untuned
    transcript. A reference without words adds the words that were answered to the edits and nothing to the words.

    Args:
        examples: the questions; `facts.original_transcript` is what the recogniser wrote.
        answers: one for each.
        normaliser: name of the spelling rule.
    """
    texts = [_text(answer) for answer in answers]
    targets = [example.target for example in examples]
    originals = [example.facts.get("original_transcript") for example in examples]
    errors = pair_errors(targets, [text or "" for text in texts], normaliser=normaliser)
    before = pair_errors(targets, [text if isinstance(text, str) else "" for text in originals], normaliser=normaliser)
    rows = []
    for place, example in enumerate(examples):
        edits, readable = int(errors.word_edits[place]), texts[place] is not None
        right = readable and bool(errors.equal[place])
        stats: dict[str, Stats] = {
            "wer": (float(edits), float(errors.words[place])),
            "cer": (float(errors.character_edits[place]), float(errors.characters[place])),
            "exact": share(right),
        }
        notes = reference_note(example.target) | {"word_edits": edits}
        if isinstance(originals[place], str):
            earlier = int(before.word_edits[place])
            stats["worsened"] = share(not readable or edits > earlier)
            if earlier:
                stats["improved"] = share(readable and edits < earlier)
            notes["word_edits_before"] = earlier
        rows.append(Marks(right, stats, notes))
    return rows


def _text(answer: ParsedAnswer) -> str | None:
    """Return the answered transcript, None for an answer that cannot be read."""
    text = answer.value.get("corrected_transcript") if answer.valid else None
    return text if isinstance(text, str) and text.strip() else None
