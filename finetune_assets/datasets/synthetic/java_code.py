"""The java sample: some hundred and fifty small files of modern Java, about places that do not exist.

Rewrites the sample: `python -m finetune_assets.datasets.synthetic.java_code --out finetune_assets/defs/java`. The files
show what the task must cope with: records, sealed types, generics, enums, annotations, text blocks, code with and
without Javadoc, one file that does not parse, one that is not UTF-8 and one with a token (the example key of a cloud
provider's own documentation).
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from finetune_assets.datasets.synthetic import java_parts as parts
from finetune_assets.datasets.synthetic.java_domains import DOMAINS, Domain
from finetune_assets.datasets.synthetic.java_own_parts import OWN_PARTS

SAMPLE_SEED = 0
FOLDER = "data/src"
_HEADER = """/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
"""
_WORD = re.compile(r"\b[A-Z]\w+\b")

BROKEN = """package sample.odd;

/** Counts the steps of a staircase. */
class Staircase {
  int steps;

  /** Adds some steps and returns how many there are now. */
  int add(int more) {
    steps += ;
    return steps
  }
}

/** Counts the landings, which a broken staircase does not keep from being sound. */
class Landing {
  private int landings;

  /** Adds a landing unless there are as many as floors already, and tells whether it did. */
  boolean addBelow(int floors) {
    if (landings >= floors) {
      return false;
    }
    landings++;
    return true;
  }
}
"""
LATIN_1 = """package sample.odd;

/** Begr\u00fc\u00dft G\u00e4ste in der Sprache des Hauses. */
class Empfang {
  /** Setzt den Gru\u00df aus Anrede und Namen zusammen. */
  String gruss(String anrede, String name) {
    return "Gr\u00fc\u00df Gott, " + anrede + " " + name + "!";
  }
}
"""
WITH_KEY = """package sample.odd;

import java.util.Map;

/** Fetches the tide tables; its key must never reach a training row. */
class TideClient {
  /** Returns what stands in the head of every request. */
  Map<String, String> headers() {
    return Map.of("X-Access-Key", "AKIAIOSFODNN7EXAMPLE", "Accept", "application/json");
  }

  /** Puts the address of one harbour's table together, its name in lower case. */
  String addressOf(String harbour, int year) {
    return "https://tides.example/tables/%s/%d.json".formatted(harbour.toLowerCase(), year);
  }
}
"""
PACKAGE_INFO = """/** Files that are odd in one way or another; the reader has to cope with them. */
package sample.odd;
"""


def sample_files(seed: int = SAMPLE_SEED) -> dict[str, bytes]:
    """Return the sample's files by their path within the task's folder; the same seed gives the same bytes."""
    files: dict[str, bytes] = {}
    for number, domain in enumerate(DOMAINS):
        chosen = random.Random(f"{seed}/{number}")  # noqa: S311 - wording, not secrecy
        for name, body in _bodies(domain, chosen).items():
            text = _file(f"sample.{domain.package}", body)
            files[f"{FOLDER}/sample/{domain.package}/{name}.java"] = text.encode()
    odd = {"Staircase": BROKEN, "TideClient": WITH_KEY, "package-info": PACKAGE_INFO}
    files |= {f"{FOLDER}/sample/odd/{name}.java": text.encode() for name, text in odd.items()}
    files[f"{FOLDER}/sample/odd/Empfang.java"] = LATIN_1.encode("latin-1")
    return dict(sorted(files.items()))


def _bodies(domain: Domain, chosen: random.Random) -> dict[str, str]:
    """Return the declarations of one package, by file name."""
    words = _words(domain)

    def fill(text: str, **more: str) -> str:
        return Template(text).substitute(words | more)

    def some(pool: Sequence[str], fewest: int, always: Sequence[int] = ()) -> str:
        count = chosen.randint(max(fewest, len(always)), len(pool))
        rest = [number for number in range(len(pool)) if number not in always]
        numbers = sorted([*always, *chosen.sample(rest, count - len(always))])
        return "".join(fill(pool[number]) for number in numbers)

    thing = domain.Thing
    return {
        **dict([OWN_PARTS[domain.package]] if domain.package in OWN_PARTS else []),
        thing: fill(parts.RECORD, members=some(parts.RECORD_MEMBERS, 1)),
        f"{thing}Event": fill(parts.SEALED, **_events(domain)),
        f"{thing}State": fill(parts.ENUM, constants=_constants(domain, chosen), **_way(domain)),
        f"Changes{thing}": fill(parts.ANNOTATION, elements=some(parts.ANNOTATION_ELEMENTS, 1)),
        f"{thing}Store": fill(parts.PORT, members=some(parts.PORT_MEMBERS, 1)),
        # The door sheet calls two of the other methods.
        domain.Keeper: fill(parts.SERVICE, members=some(parts.SERVICE_MEMBERS, 6, always=(0, 1, 3))),
        f"{thing}Form": fill(parts.FORM),
    }


def _words(domain: Domain) -> dict[str, str]:
    words = {name: value for name, value in domain._asdict().items() if isinstance(value, str)}
    capitals = {"Place": domain.place, "Amount": domain.amount, "Things": domain.things}
    return words | {name: value[0].upper() + value[1:] for name, value in capitals.items()}


def _events(domain: Domain) -> Mapping[str, str]:
    names = [f"{domain.Thing}Event.{name}" for name, _ in domain.events]
    cases = [
        f'      case {name}(String id, Instant at, String {detail}) -> id + " {name.lower()}: " + {detail};'
        for name, detail in domain.events
    ]
    records = [
        f"\n  /** Notes that a {domain.thing} was {name.lower()}, and the {detail}. */\n"
        f"  record {name}(String {domain.key}, Instant at, String {detail}) implements {domain.Thing}Event {{}}\n"
        for name, detail in domain.events
    ]
    told = ", ".join(f"{name.lower()} with its {detail}" for name, detail in domain.events)
    return {"told": told, "permits": ", ".join(names), "cases": "\n".join(cases), "records": "".join(records)}


def _way(domain: Domain) -> Mapping[str, str]:
    spoken = [state.lower().replace("_", " ") for state in domain.states]
    return {"way": ", ".join(spoken), "end": spoken[-1]}


def _constants(domain: Domain, chosen: random.Random) -> str:
    open_until = chosen.randint(1, 3)
    lines = [
        f"  /** The {domain.thing} is {state.lower().replace('_', ' ')}. */\n"
        f"  {state}({'true' if number < open_until else 'false'})"
        for number, state in enumerate(domain.states)
    ]
    return ",\n".join(lines) + ";"


def _file(package: str, body: str) -> str:
    used = sorted(parts.IMPORTS[name] for name in set(_WORD.findall(body)) & set(parts.IMPORTS))
    imports = "".join(f"import {name};\n" for name in used)
    return f"{_HEADER}package {package};\n\n{imports}{chr(10) if imports else ''}{body}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sample into the folder given by `--out`; return the exit status.

    Args:
        arguments: the command line without the program's name; None reads the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m finetune_assets.datasets.synthetic.java_code", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the task's folder, made when absent")
    parser.add_argument("--seed", type=int, default=SAMPLE_SEED, help="the sample's seed (default: the shipped one)")
    options = parser.parse_args(arguments)
    files = sample_files(options.seed)
    for name, content in files.items():
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sys.stdout.write(f"{options.out / FOLDER}: {len(files)} files, {sum(map(len, files.values()))} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
