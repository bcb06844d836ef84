"""Near-duplicates, leak-proof split and certificate: rows per second of processor time, recall, and how it grows.

    python benchmarks/near_duplicates.py [--rows 100000]

Target: at least 20,000 rows/s a core for each kind at 100,000 rows of about 20 words, sketches, search, split, the
second search across splits and the measured recall together. Three kinds of rows: `prose` has words as frequent as in
language and one planted near-duplicate in twenty rows; `templates` are some dozen sentences with changing words, the
worst case of generated data; `boilerplate` is one long sentence with a number in it, so that every row is alike to
every other.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from itertools import accumulate

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.splitting.assign import SplitTable
from finetune_assets.datasets.splitting.leak_proof import decide_splits
from finetune_assets.datasets.splitting.near_duplicates import Sketches
from finetune_assets.datasets.splitting.near_duplicates_sketch import sketch_texts
from finetune_assets.records.similarity import jaccard, shingles

TARGET = 20_000
BATCH_ROWS = 2_000
PLANTED_SHARE = 0.05
_SYLLABLES = tuple(first + second for first in "bcdfghjklmnprstvwz" for second in "aeiou")


def vocabulary(words: int, draw: random.Random) -> list[str]:
    """Return made-up words of two to four syllables."""
    found: dict[str, None] = {}
    while len(found) < words:
        found["".join(draw.choices(_SYLLABLES, k=draw.randint(2, 4)))] = None
    return list(found)


def prose(rows: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Return texts of about 20 words and the pairs of planted near-duplicates (two words of 20 changed at most)."""
    draw = random.Random(0)
    words = vocabulary(20_000, draw)
    weights = list(accumulate(1 / (rank + 10) for rank in range(len(words))))
    texts: list[str] = []
    planted: list[tuple[int, int]] = []
    for number in range(rows):
        if texts and draw.random() < PLANTED_SHARE:
            origin = draw.randrange(len(texts))
            parts = texts[origin].split()
            parts[draw.randrange(len(parts))] = draw.choice(words)
            planted.append((origin, number))
            texts.append(" ".join(parts))
        else:
            texts.append(" ".join(draw.choices(words, cum_weights=weights, k=draw.randint(14, 26))))
    return texts, planted


def templates(rows: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Return sentences of 40 templates with five changing words each."""
    draw = random.Random(1)
    words = vocabulary(2_000, draw)
    frames = [draw.choices(words, k=20) for _ in range(40)]
    texts: list[str] = []
    for _ in range(rows):
        parts = list(draw.choice(frames))
        for place in draw.sample(range(20), 5):
            parts[place] = draw.choice(words)
        texts.append(" ".join(parts))
    return texts, []


def boilerplate(rows: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Return one sentence with a number in it."""
    sentence = "thank you for writing to us about your order number {} which we will look at within two working days"
    return [sentence.format(number) for number in range(rows)], []


KINDS: dict[str, Callable[[int], tuple[list[str], list[tuple[int, int]]]]] = {
    "prose": prose,
    "templates": templates,
    "boilerplate": boilerplate,
}


class Rows:
    """What `decide_splits` reads of a build's rows, for rows without duplicates."""

    official = b""
    key_of: tuple[int, ...] = ()

    def __init__(self, texts: list[str]) -> None:
        self.keys = [hashlib.sha256(f"{number} {text}".encode()).digest() for number, text in enumerate(texts)]

    def split_table(self, _evaluation_only: frozenset[str]) -> tuple[SplitTable, array[int]]:
        """Return the rows as items, and the row of each."""
        table = SplitTable()
        for number, key in enumerate(self.keys):
            table.add(key, f"label {number % 20}")
        return table, array("q", range(len(self.keys)))


def measure(kind: str, count: int) -> None:
    """Run one kind of rows and print its figures."""
    texts, planted = KINDS[kind](count)
    config = SplitConfig()
    rows = Rows(texts)
    sketch_texts(texts[:10], config.near_duplicates)  # the libraries load once a process
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with Sketches(config.near_duplicates) as sketches:
        for begin in range(0, count, BATCH_ROWS):
            sketches.take(sketch_texts(texts[begin : begin + BATCH_ROWS], config.near_duplicates))
        sketched = time.process_time() - start
        decision = decide_splits(rows, sketches, config, {})  # type: ignore[arg-type]
    certificate = decision.certificate(config)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / count
    near = certificate["near_duplicates"]
    alike = [pair for pair in planted if jaccard(*(shingles(texts[place], 4) for place in pair)) >= 0.8]
    apart = sum(decision.result.splits[one] != decision.result.splits[other] for one, other in alike)
    print(
        f"{kind:12} {count:9,} rows  {count / seconds:9,.0f} rows/s  ({sketched / count * 1e6:.1f} us sketching, "
        f"{(seconds - sketched) / count * 1e6:.1f} us search and split a row)  {grown:,.0f} B/row\n"
        f"{'':12} {near['pairs']:,} pairs, largest leak group {certificate['largest_component']:,}, closest pair "
        f"across splits {near['largest_cross_split_similarity']}, recall {near['recall'].get('recall')} of "
        f"{near['recall']['planted']} planted"
        + (f"; {apart} of {len(alike):,} reworded rows in another split than their origin" if planted else "")
    )
    if count >= 100_000 and count / seconds < TARGET:
        print(f"{'':12} below the target of {TARGET:,} rows/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kind", choices=[*KINDS], default=None)
    given = parser.parse_args()
    if given.kind:
        measure(given.kind, given.rows)
        return
    for kind in KINDS:
        # A process of its own: the peak of memory is one of the process.
        subprocess.run([sys.executable, __file__, "--kind", kind, "--rows", str(given.rows)], check=True)


if __name__ == "__main__":
    main()
