"""KeyColumn: content keys in one block of memory, a third of what a list of them takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY_BYTES = 32


class KeyColumn(Sequence[bytes]):
    """Content keys (32 bytes each), by number.

    Args:
        block: the keys, one after another; a `bytearray` grows by `append`.
    """

    def __init__(self, block: bytes | bytearray | memoryview | None = None) -> None:
        self._block = bytearray() if block is None else block

    def __len__(self) -> int:
        return len(self._block) // KEY_BYTES

    def __getitem__(self, number: Any) -> Any:
        """Return the key of that number (32 bytes)."""
        begin = number * KEY_BYTES
        if not 0 <= begin < len(self._block):
            raise IndexError(number)
        return bytes(self._block[begin : begin + KEY_BYTES])

    def __iter__(self) -> Iterator[bytes]:
        block = self._block
        return (bytes(block[begin : begin + KEY_BYTES]) for begin in range(0, len(block), KEY_BYTES))

    def append(self, key: bytes) -> None:
        """Add a key.

        Raises:
            ValueError: when it has not 32 bytes.
            TypeError: for a column that was made of bytes, which do not grow.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"a content key has {KEY_BYTES} bytes, found {len(key)}")
        if not isinstance(self._block, bytearray):
            raise TypeError("this column does not grow")
        self._block += key

    def take(self, numbers: NDArray[np.int64]) -> KeyColumn:
        """Return the column of some of the keys, in the order of `numbers`."""
        import numpy as np

        rows = np.frombuffer(self._block, np.uint8).reshape(-1, KEY_BYTES)
        return KeyColumn(rows[numbers].reshape(-1).data)

    def order(self) -> NDArray[np.int64]:
        """Return the numbers of the keys in ascending order of the keys, equal ones in the order of their numbers."""
        return ordered(self._block, KEY_BYTES)

    def repeated(self) -> int:
        """Count the keys that stand in the column before."""
        words, order = _words(self._block, KEY_BYTES), self.order()
        held = words[:, 0][order]
        alike = (held[1:] == held[:-1]).nonzero()[0]
        return int((words[order[alike]] == words[order[alike + 1]]).all(axis=1).sum())


def ordered(
    block: bytes | bytearray | memoryview, width: int, *, within: Sequence[int] | None = None
) -> NDArray[np.int64]:
    """Return the numbers of the texts of `width` bytes in a block in ascending order; ties keep their order.

    Args:
        block: the texts, one after another.
        width: bytes of each, a multiple of 8.
        within: a whole number for each text that comes before it in the order.
    """
    import numpy as np

    words = _words(block, width)
    # The first eight bytes tell all but one in 10^13 hashes apart; the others are looked at only where they do not.
    order = np.argsort(words[:, 0].astype("u8"), kind="stable")
    held = words[:, 0][order]
    if (held[1:] == held[:-1]).any():
        order = np.lexsort([words[:, place].astype("u8") for place in reversed(range(words.shape[1]))])
    if within is not None:
        order = order[np.argsort(np.asarray(within)[order], kind="stable")]
    return order


def _words(block: bytes | bytearray | memoryview, width: int) -> Any:
    import numpy as np

    return np.frombuffer(block, ">u8").reshape(-1, width // 8)
