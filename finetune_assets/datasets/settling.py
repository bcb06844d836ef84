"""Settling: which rows stay, once the last one was read. Whole columns at a time, a few dozen bytes a row.

Of equal rows the first in file order is kept, observed ones before others. Rows with equal input and different answers
all go, unless the first answer is to stay; but what a person corrected comes before what was found. Of rows with one
record id and different inputs, those stay whose content key was assigned earlier, else those with the smallest key: a
choice that does not depend on the order of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

KEPT, DUPLICATE, CONFLICT, DUPLICATE_ID, OVERRULED = range(5)
ABSENT = -1


def numbered(hashes: bytes | bytearray, width: int) -> tuple[Numbers, Numbers]:
    """Number equal hashes alike, in the order of their first row.

    Args:
        hashes: `width` bytes a row, a multiple of 8.
        width: bytes of one hash.

    Returns:
        The number by row, and the first row by number.
    """
    import numpy as np

    words = np.frombuffer(hashes, dtype=">u8").reshape(-1, width // 8)
    if not len(words):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # The first eight bytes tell all but one in 10^13 rows apart; the others are looked at only to be sure.
    order = np.argsort(words[:, 0].astype("u8"), kind="stable")
    new = _differs_from_the_one_before(words, order)
    if (new[1:] & (words[order[1:], 0] == words[order[:-1], 0])).any():
        order = np.lexsort(words.T[::-1].astype("u8"))
        new = _differs_from_the_one_before(words, order)
    # Stable sorting leaves equal rows in file order, so each run begins with its first row.
    first = order[new]
    by_first_row = np.argsort(first, kind="stable")
    number = np.empty(len(first), np.int64)
    number[by_first_row] = np.arange(len(first))
    found = np.empty(len(words), np.int64)
    found[order] = number[np.cumsum(new) - 1]
    return found, first[by_first_row]


def _differs_from_the_one_before(words: Any, order: Numbers) -> Flags:
    import numpy as np

    new = np.ones(len(order), np.bool_)
    new[1:] = False
    for column in range(words.shape[1]):
        held = words[:, column][order]
        new[1:] |= held[1:] != held[:-1]
    return new


def conflicting_keys(key_of: Numbers, first: Numbers, answer_of: Numbers, without: Flags | None = None) -> Flags:
    """Return, by key, whether its rows have different answers.

    Args:
        key_of: the number of its key, by row.
        first: the first row of each key.
        answer_of: the number of its answer, by row.
        without: rows that are left out of the comparison.
    """
    import numpy as np

    found = np.zeros(len(first), np.bool_)
    if without is not None:
        rows = np.flatnonzero(~without)
        first = first.copy()
        first[key_of[rows[::-1]]] = rows[::-1]
        key_of, answer_of, answers = key_of[rows], answer_of[rows], answer_of
        found[key_of[answer_of != answers[first[key_of]]]] = True
        return found
    found[key_of[answer_of != answer_of[first[key_of]]]] = True
    return found


def overruled(key_of: Numbers, answer_of: Numbers, corrected: Flags, judged: Flags) -> Flags:
    """Return, by row, whether it must yield to another row of equal input, or to an evaluation split.

    What a person corrected comes before rows as found, so that a wrong label does not live on beside its correction;
    where corrections contradict each other, they are a conflict like any other. An input that was assigned to
    validation or test before stays what it was: no correction of it may enter.

    Args:
        key_of: the number of its key, by row.
        answer_of: the number of its answer, by row.
        corrected: rows that are corrected cases.
        judged: keys that were assigned to validation or test earlier, by key.
    """
    import numpy as np

    said = np.full(len(judged), ABSENT, np.int64)
    agreed = np.ones(len(judged), np.bool_)
    speakers = np.flatnonzero(corrected & ~judged[key_of])
    said[key_of[speakers]] = answer_of[speakers]
    agreed[key_of[speakers[answer_of[speakers] != said[key_of[speakers]]]]] = False
    wrong = ((said != ABSENT) & agreed)[key_of] & (answer_of != said[key_of])
    found: Flags = wrong | (corrected & judged[key_of])
    return found


def lost_by_id(
    key_of: Numbers,
    id_of: Numbers,
    keys: Any,
    conflicting: Flags,
    previous: Mapping[bytes, int],
    *,
    keep_first: bool,
) -> Flags:
    """Return, by row, whether its record id belongs to another row with other content.

    Args:
        key_of: the number of its key, by row.
        id_of: the number of its record id, by row.
        keys: the content keys by number.
        conflicting: which keys have different answers; of those none is kept, unless `keep_first`.
        previous: earlier assignments: a key in them comes before one that is new.
        keep_first: keep the answer that comes first where answers differ.
    """
    import numpy as np

    lost = np.zeros(len(key_of), np.bool_)
    order = np.argsort(id_of, kind="stable")
    ids, held = id_of[order], key_of[order]
    begins = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))[: len(ids)]
    ends = np.append(begins[1:], len(ids))
    if not len(ids):
        return lost
    several = np.flatnonzero(np.maximum.reduceat(held, begins) != np.minimum.reduceat(held, begins))
    for place in several:
        rows = order[begins[place] : ends[place]]
        sharing = set(key_of[rows].tolist())
        alive = sharing if keep_first else {key for key in sharing if not conflicting[key]}
        losers = sorted(alive, key=lambda number: (keys[number] not in previous, keys[number]))[1:]
        lost[rows[np.isin(key_of[rows], losers)]] = True
    return lost


def settled(
    key_of: Numbers, answer_of: Numbers, lost: Flags, conflicting: Flags, observed: Flags, *, keep_first: bool
) -> tuple[Any, Numbers]:
    """Return the state of each row, as bytes, and the row that is kept by key, -1 for none.

    Args:
        key_of: the number of its key, by row.
        answer_of: the number of its answer, by row.
        lost: rows whose record id belongs to another.
        conflicting: keys with different answers.
        observed: rows that were found, not made; they come before others, which may not stand in an evaluation.
        keep_first: keep the answer that comes first where answers differ.
    """
    import numpy as np

    first = np.full(len(conflicting), ABSENT, np.int64)
    stays = ~lost if keep_first else ~lost & ~conflicting[key_of]
    rows = np.flatnonzero(stays)[::-1]
    # Backwards, so that the first row of each key is the last to be written.
    first[key_of[rows]] = rows
    rows = rows[observed[rows]]
    first[key_of[rows]] = rows
    states = np.full(len(key_of), DUPLICATE, np.uint8)
    states[conflicting[key_of]] = CONFLICT
    if keep_first:
        kept = first[key_of]
        same = (kept != ABSENT) & (answer_of == answer_of[kept])
        states[conflicting[key_of] & same] = DUPLICATE
    states[first[first != ABSENT]] = KEPT
    states[lost] = DUPLICATE_ID
    return states, first
