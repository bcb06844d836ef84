"""Personal data that has a form: e-mail addresses, phone, card, bank account and identity numbers.

Names, addresses and ages have none and are not found: a clean report says nothing about them.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from email.headerregistry import Address
from functools import lru_cache
from pathlib import Path
from typing import Any

from finetune_assets.datasets.quality.config import PiiConfig
from finetune_assets.datasets.quality.finding import QualityFinding, unmeasured
from finetune_assets.datasets.quality.rows import Row, asked, written_rows
from finetune_assets.records.errors import FinetuneError

EMAIL, PHONE, CARD, IBAN = "e-mail", "phone", "card", "iban"
SYSTEM = "system turn"

# Where a candidate may stand; what it is, the libraries decide.
_EMAIL = re.compile(r"[^\s<>\"'(),;:\[\]{}|\\]+@[^\s<>\"'(),;:\[\]{}|\\@]+\.[^\W\d_]{2,24}\b")
_SEVEN_DIGITS = re.compile(r"\d(?:[^\d\w\n]{0,3}\d){6}")
_LONG_NUMBER = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_TOKEN = re.compile(r"\b[A-Z]{0,2}\d[\d .-]{4,20}[A-Z0-9]\b")
# Beginnings and lengths of the payment networks' numbers (ISO/IEC 7812): Visa, Mastercard, American Express, Discover
# and JCB.
_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}"
    r"|6(?:011\d{12}|4[4-9]\d{13}|5\d{14})|35(?:2[89]|[3-8]\d)\d{12}"
)
# Names kept for documents (RFC 2606, RFC 6761): nobody's address.
_RESERVED = ("example.com", "example.org", "example.net", "example", "test", "invalid", "localhost")

Finder = Callable[[str], int]


def finders(config: PiiConfig) -> dict[str, Finder]:
    """Return what counts each kind of personal data in a text.

    Raises:
        FinetuneError: for a name in `identity_numbers` that python-stdnum does not have.
    """
    return {
        EMAIL: _emails,
        PHONE: _phone_finder(config.phone_regions),
        CARD: _cards,
        IBAN: _ibans,
        **{name: _number_finder(name) for name in config.identity_numbers},
    }


def personal_data(folder: Path, config: PiiConfig) -> QualityFinding:
    """Find rows that hold personal data, in any turn, the target included.

    Phone numbers by phonenumbers, strictly grouped as their region groups them, so that DOIs and article numbers are
    none; cards and accounts by their check digits (python-stdnum) and the numbering of the networks.

    Args:
        folder: the split dataset.
        config: regions, further numbers, limit.

    Returns:
        The rows, each with the kinds and the fields, and the number of finds by kind.

    Raises:
        FinetuneError: for an unknown kind of identity number.
        OSError: when the file cannot be read.
    """
    find = finders(config)
    return scan(
        folder,
        lambda text: {kind: count for kind, finder in find.items() if (count := finder(text))},
        config.max_rows,
        "personal data (names are not looked for)",
    )


def scan(folder: Path, kinds_in: Callable[[str], dict[str, int]], max_rows: int, what: str) -> QualityFinding:
    """Look through every row's turns and answers.

    Args:
        folder: the split dataset.
        kinds_in: returns the finds in a text by kind.
        max_rows: most rows that may have a find.
        what: what is looked for, for the summary.

    Returns:
        Rows and kinds; `numbers` holds the finds by kind.
    """
    finding = QualityFinding()
    finds: Counter[str] = Counter()
    rows = 0
    # One system turn stands in every row of most tasks.
    cached = lru_cache(maxsize=64)(lambda text: tuple(kinds_in(text).items()))
    for row in written_rows(folder):
        rows += 1
        texts = _fields(row)
        by_field = {name: found for name, text in texts if (found := _kinds(name, text, kinds_in, cached))}
        if by_field:
            kinds = sorted({kind for found in by_field.values() for kind in found})
            finding.note(row, field=", ".join(by_field), problem=", ".join(kinds))
            for found in by_field.values():
                finds.update(found)
    if not rows:
        return unmeasured("there are no rows")
    finding.passed = finding.flagged <= max_rows
    finding.numbers = {"rows_with_finds": finding.flagged, **{kind: finds[kind] for kind in sorted(finds)}}
    spoken = ", ".join(f"{kind} {count}" for kind, count in sorted(finds.items())) or "none"
    finding.summary = f"{finding.flagged} of {rows} rows hold {what} (at most {max_rows}): {spoken}"
    return finding


def _kinds(
    name: str,
    text: str,
    kinds_in: Callable[[str], dict[str, int]],
    cached: Callable[[str], tuple[tuple[str, int], ...]],
) -> dict[str, int]:
    return dict(cached(text)) if name == SYSTEM else kinds_in(text)


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    """Yield every text that rendered rows hold: what the assistant said before and a worse answer are learned too."""
    yield "input", asked(row)
    yield "target", row["target"]
    for role, name in (("assistant", "earlier answers"), ("system", SYSTEM)):
        if text := "\n".join(turn["content"] for turn in row["messages"] if turn["role"] == role):
            yield name, text
    if isinstance(rejected := row["facts"].get("rejected"), str):
        yield "rejected", rejected


def _emails(text: str) -> int:
    return sum(_is_email(match.group()) for match in _EMAIL.finditer(text)) if "@" in text else 0


def _is_email(candidate: str) -> bool:
    try:
        domain = Address(addr_spec=candidate.rstrip(".")).domain.casefold()
    except (ValueError, IndexError):
        # What the standard library's parser of RFC 5322 refuses: ValueError, and IndexError for some broken quotes.
        return False
    return not any(domain == name or domain.endswith(f".{name}") for name in _RESERVED)


def _phone_finder(regions: Sequence[str]) -> Finder:
    def count(text: str) -> int:
        # Looking for a candidate first: the library's own search takes a hundred times as long.
        if not _SEVEN_DIGITS.search(text):
            return 0
        from phonenumbers import Leniency, PhoneNumberMatcher

        # ZZ is no region: numbers in international spelling only.
        found = set()
        for region in regions or ("ZZ",):
            for match in PhoneNumberMatcher(text, region, leniency=Leniency.STRICT_GROUPING):
                found.add((match.start, match.end))
        return len(found)

    return count


def _cards(text: str) -> int:
    return sum(_is_card(match.group()) for match in _LONG_NUMBER.finditer(text))


def _is_card(candidate: str) -> bool:
    from stdnum import luhn

    digits = candidate.replace(" ", "").replace("-", "")
    return _CARD.fullmatch(digits) is not None and luhn.is_valid(digits)


def _ibans(text: str) -> int:
    found = [match.group() for match in _IBAN.finditer(text)]
    if not found:
        return 0
    from stdnum import iban

    return sum(any(iban.is_valid(part) for part in _beginnings(candidate)) for candidate in found)


def _beginnings(candidate: str) -> Iterator[str]:
    """Yield the candidate and, where words follow it, its shorter beginnings."""
    words = candidate.split(" ")
    for end in range(len(words), 0, -1):
        yield "".join(words[:end])


def _number_finder(name: str) -> Finder:
    module = _stdnum_module(name)
    return lambda text: sum(bool(module.is_valid(match.group())) for match in _TOKEN.finditer(text))


def _stdnum_module(name: str) -> Any:
    if re.fullmatch(r"[a-z_]+(?:\.[a-z_0-9]+)?", name):
        try:
            module = importlib.import_module(f"stdnum.{name}")
        except ModuleNotFoundError:
            module = None
        if hasattr(module, "is_valid"):
            return module
    raise FinetuneError(
        "kind of identity number is unknown",
        where="dataset.quality.pii.identity_numbers",
        found=name,
        expected="a module of python-stdnum, for instance nl.bsn",
        mend="take a name from python-stdnum's list of formats",
    )
