"""The phrase bank of the synthetic childcare observations.

Here belong words only: how it went (tells the level), and neutral filler; `actions.py` holds what a child was doing
(tells the attribute). An action reads as a gerund and a manner as an adverbial, so that every pair fits every sentence
shape. `common` phrasings build the sample and the pre-training texts; `unseen` ones build a slice of rows that share no
phrasing with any other row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Ways to say one thing.

    Attributes:
        common: phrasings of ordinary rows and of pre-training texts.
        unseen: phrasings kept for the rows marked `"phrasingSet": "unseen"`.
    """

    common: tuple[str, ...]
    unseen: tuple[str, ...]


MANNERS: dict[str, Phrasings] = {
    "Emerging": Phrasings(
        common=(
            "only with close support from an adult all the way through",
            "for a few seconds before turning away",
            "as a tentative first attempt with hands guided",
            "after watching an adult model it over and over",
            "for the very first time, held and encouraged throughout",
            "briefly, while the key worker did most of it",
        ),
        unseen=("for an instant, physically steered by a grown-up", "hesitantly, leaning wholly on a carer"),
    ),
    "Developing": Phrasings(
        common=(
            "with several reminders along the way",
            "now and then, losing the thread in between",
            "when cued at each step",
            "about half of the time, with frequent prompts",
            "when coaxed two or three times",
            "in short bursts between verbal cues",
        ),
        unseen=("sporadically, amid repeated instructions", "off and on, relying on spoken pointers"),
    ),
    "Progressing": Phrasings(
        common=(
            "needing just one small hint",
            "most of the time in familiar routines",
            "after a single nudge at the start",
            "more steadily than last month",
            "nearly unaided, glancing over once for reassurance",
            "with growing sureness in a well-known activity",
        ),
        unseen=("almost solo, asking for a quick tip midway", "usually, given a gentle push to begin"),
    ),
    "Advancing": Phrasings(
        common=(
            "independently, start to finish",
            "all alone and reliably, whenever the chance came",
            "without any prompting at all",
            "confidently and in complete control",
            "entirely unassisted and with no fuss",
            "consistently, taking full charge of it",
        ),
        unseen=("single-handedly from beginning to close", "autonomously and dependably"),
    ),
    "Refining": Phrasings(
        common=(
            "so fluently that younger ones came to learn from it",
            "with ease, even adding a harder twist",
            "skilfully, adapting the idea to a brand-new setting",
            "expertly, giving the others good reasons for it",
            "effortlessly, inventing more complex versions",
            "masterfully, coaching two beginners alongside",
        ),
        unseen=("with such finesse that the whole room copied", "with flair, stretching the challenge further"),
    ),
}
"""How it went, by level."""

_NAMES = (
    "Abena Aidan Alma Amir Anouk Arlo Asha Ayo Bea Bilal Bodhi Bryn Calla Cormac Dara Dilan Edie Eira Elio Emre Esme "
    "Farah Finn Freya Gwen Hana Hugo Idris Ines Iris Jaya Jonah Juno Kai Kezia Kofi Lena Leo Lila Luca Mabel Maya Milo "
    "Mina Musa Nia Niko Noor Olive Omar Otis Pia Priya Quinn Rafi Remy Rhea Rosa Rowan Sami Saoirse Sena Silas Sofia "
    "Suri Tariq Tess Theo Tilly Tomas Uma Una Vera Wren Yara Yusuf Zadie Zain Zofia"
)

NAMES: tuple[str, ...] = tuple(_NAMES.split())
"""First names of made-up children."""

SETTINGS: tuple[str, ...] = (
    "this morning",
    "after snack",
    "before lunch",
    "in the garden",
    "in the main room",
    "during free play",
    "early in the afternoon",
    "just after arrival",
    "near home time",
    "in the small group",
    "while the room was quiet",
    "under the canopy",
)
"""When or where; says nothing about the label."""

DISTRACTORS: tuple[str, ...] = (
    "It was a bright, windy day.",
    "The room was busier than usual.",
    "Snack was toast with pear.",
    "The radio was playing softly.",
    "Rain kept tapping on the roof.",
    "Two staff were on shift.",
    "The blinds were half down.",
    "Lunch came a little late.",
    "A delivery van was outside.",
    "The new rug had just been laid.",
    "Parents were due at four.",
    "The heating had been off overnight.",
    "It was the week of the fair.",
    "Photos were sent home later.",
)
"""Sentences that say nothing about the label."""

SHAPES: tuple[str, ...] = (
    "{name} was {action}, {manner}.",
    "{Setting}, {name} was {action}, {manner}.",
    "{Setting} {name} was {action}. This was done {manner}.",
    "We watched {name} {action}, {manner}.",
    "{name} spent some time {action} {setting}, {manner}.",
    "Seen {setting}: {name} {action}, {manner}.",
    "I noticed {name} {action} {setting}. {name} did this {manner}.",
    "Today {name} was {action} and did so {manner}.",
)
"""Sentence shapes; `{Setting}` opens a sentence. The first is the plainest and carries the critical rows."""
