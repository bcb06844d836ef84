"""Makes `general_probes.jsonl`: 240 plain questions on twelve subjects, twenty each, with short right answers.

    python -m finetune_assets.datasets.synthetic.general_probes > finetune_assets/evaluation/general_probes.jsonl

Run it when the lists change; the file is what is shipped, so that probes never change unseen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

_CAPITALS = (
    "France: Paris, Italy: Rome, Spain: Madrid, Portugal: Lisbon, Germany: Berlin, Austria: Vienna, Greece: "
    "Athens, Norway: Oslo, Sweden: Stockholm, Finland: Helsinki, Denmark: Copenhagen, Poland: Warsaw, Hungary: "
    "Budapest, Ireland: Dublin, Egypt: Cairo, Kenya: Nairobi, Japan: Tokyo, China: Beijing, Canada: Ottawa, Peru: "
    "Lima"
)
_OPPOSITES = (
    "hot: cold, big: small, fast: slow, early: late, full: empty, open: closed, light: dark, wet: dry, loud: "
    "quiet, soft: hard, near: far, old: new, high: low, long: short, heavy: light, clean: dirty, sharp: blunt, "
    "strong: weak, rich: poor, happy: sad"
)
_PLURALS = (
    "child: children, mouse: mice, foot: feet, tooth: teeth, leaf: leaves, knife: knives, city: cities, box: "
    "boxes, man: men, woman: women, goose: geese, sheep: sheep, person: people, wolf: wolves, baby: babies, bus: "
    "buses, dish: dishes, half: halves, potato: potatoes, story: stories"
)
_PASTS = (
    "go: went, see: saw, eat: ate, run: ran, write: wrote, take: took, give: gave, come: came, find: found, buy: "
    "bought, think: thought, bring: brought, know: knew, fly: flew, sing: sang, drink: drank, begin: began, "
    "break: broke, speak: spoke, drive: drove"
)
_YOUNG = (
    "a dog: puppy, a cat: kitten, a cow: calf, a horse: foal, a sheep: lamb, a goat: kid, a pig: piglet, a bear: "
    "cub, a lion: cub, a duck: duckling, a hen: chick, a goose: gosling, a frog: tadpole, a deer: fawn, a "
    "kangaroo: joey, a seal: pup, a swan: cygnet, an owl: owlet, a hare: leveret, an eagle: eaglet"
)
_MATERIALS = (
    "a window: glass, a tyre: rubber, a book: paper, a brick: clay, a jumper: wool, a candle: wax, a coin: metal, "
    "a table: wood, a rope: fibre, a bottle: glass, a spoon: metal, a shirt: cotton, a newspaper: paper, a belt: "
    "leather, a statue: stone, a nail: iron, a ring: gold, a pot: clay, a sail: cloth, a road: tar"
)
_PLACES = (
    "bread: a bakery, books: a library, medicine: a pharmacy, trains: a station, ships: a harbour, planes: an "
    "airport, paintings: a museum, films: a cinema, plays: a theatre, letters: a post office, money: a bank, "
    "pupils: a school, patients: a hospital, stars: a planetarium, animals: a zoo, flowers: a garden, cars: a "
    "garage, clothes: a wardrobe, milk: a fridge, tools: a workshop"
)
_FACTS = (
    ("How many days are there in a week?", "Seven"),
    ("How many months are there in a year?", "Twelve"),
    ("How many minutes are there in an hour?", "Sixty"),
    ("How many legs does a spider have?", "Eight"),
    ("How many sides does a triangle have?", "Three"),
    ("How many sides does a hexagon have?", "Six"),
    ("At how many degrees Celsius does water boil at sea level?", "100"),
    ("At how many degrees Celsius does water freeze?", "0"),
    ("Which planet is closest to the sun?", "Mercury"),
    ("Which planet is the largest in our solar system?", "Jupiter"),
    ("Which gas do plants take in from the air?", "Carbon dioxide"),
    ("Which star gives us daylight?", "The sun"),
    ("What do bees make?", "Honey"),
    ("What is frozen water called?", "Ice"),
    ("What do we call a scientist who studies stars?", "An astronomer"),
    ("Which organ pumps the blood?", "The heart"),
    ("Which sense do the ears serve?", "Hearing"),
    ("Which ocean lies between Europe and America?", "The Atlantic"),
    ("On which continent is the Sahara?", "Africa"),
    ("Which season comes after winter?", "Spring"),
)
_SAYINGS = (
    ("Finish the saying: a stitch in time", "saves nine"),
    ("Finish the saying: better late", "than never"),
    ("Finish the saying: practice makes", "perfect"),
    ("Finish the saying: the early bird catches", "the worm"),
    ("Finish the saying: actions speak louder", "than words"),
    ("Finish the saying: many hands make", "light work"),
    ("Finish the saying: out of sight,", "out of mind"),
    ("Finish the saying: two heads are better", "than one"),
    ("Finish the saying: look before", "you leap"),
    ("Finish the saying: when in Rome,", "do as the Romans do"),
    ("Finish the saying: the pen is mightier", "than the sword"),
    ("Finish the saying: all that glitters", "is not gold"),
    ("Finish the saying: a picture is worth", "a thousand words"),
    ("Finish the saying: where there is smoke,", "there is fire"),
    ("Finish the saying: birds of a feather", "flock together"),
    ("Finish the saying: every cloud has", "a silver lining"),
    ("Finish the saying: slow and steady", "wins the race"),
    ("Finish the saying: honesty is", "the best policy"),
    ("Finish the saying: do not count your chickens", "before they hatch"),
    ("Finish the saying: you cannot judge a book", "by its cover"),
)
_INSTRUCTIONS = (
    "apple, river, stone, window, garden, silver, market, bridge, yellow, thunder, pocket, candle, forest, button, "
    "winter, basket, ladder, mirror, island, letter"
)


def rows() -> Iterator[dict[str, str]]:
    """Yield the probes, subject by subject."""
    yield from _listed("capitals", _CAPITALS, "What is the capital of {}?")
    yield from _listed("opposites", _OPPOSITES, "What is the opposite of {}?")
    yield from _listed("plurals", _PLURALS, "What is the plural of {}?")
    yield from _listed("past_tense", _PASTS, "What is the past tense of {}?")
    yield from _listed("young_animals", _YOUNG, "What is the young of {} called?")
    yield from _listed("materials", _MATERIALS, "What is {} usually made of?")
    yield from _listed("places", _PLACES, "Where does one usually find {}?")
    for number in range(20):
        one, other = 7 + 3 * number, 4 + (5 * number) % 17
        yield _row("sums", f"What is {one} plus {other}?", str(one + other))
    for number in range(20):
        one, other = 2 + number % 10, 3 + (7 * number) % 9
        yield _row("products", f"What is {one} times {other}?", str(one * other))
    yield from (_row("facts", question, answer) for question, answer in _FACTS)
    yield from (_row("sayings", question, answer) for question, answer in _SAYINGS)
    for word in _INSTRUCTIONS.split(", "):
        yield _row("spelling", f"Write the word {word} in capital letters.", word.upper())


def _listed(kind: str, pairs: str, question: str) -> Iterator[dict[str, str]]:
    for pair in pairs.split(", "):
        name, answer = pair.split(": ")
        yield _row(kind, question.format(name), answer)


def _row(kind: str, question: str, answer: str) -> dict[str, str]:
    return {"kind": kind, "question": question, "answer": answer}


if __name__ == "__main__":
    for row in rows():
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
