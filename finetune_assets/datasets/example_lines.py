"""The lines of one example: itself, and what it renders to in each format, as the bytes that the files hold.

Here belongs the only writer of an example's JSON in a build. `Example.to_json` and the renderers say the same in
values. Most examples are one question in text after a system prompt or none: their lines differ in the question and
the answer alone, so that the rest is written once. A test holds the short way and the long one together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256 as _sha256
from typing import Any, NamedTuple

from orjson import dumps as _dumps

from finetune_assets.datasets.render import RENDERERS, to_chat, to_gemini
from finetune_assets.records.example import Example, Message, PlainExample, content_digest
from finetune_assets.records.json_lines import encode_line


class _Opening(NamedTuple):
    """What stands before the JSON text of the question, by system prompt.

    Attributes:
        canonical: in the canonical JSON that the example's id is the hash of.
        turns: in the example's line.
        formats: in the line of each format.
    """

    canonical: bytes
    turns: bytes
    formats: tuple[bytes, ...]


class _Closing(NamedTuple):
    """What stands behind the JSON text of the question, by answer; `line` ends where the groups begin."""

    canonical: bytes
    line: bytes
    formats: tuple[bytes, ...]


class ExampleLines:
    """Writes the lines of the examples of one batch.

    Args:
        formats: the formats that each example is rendered to, of `render.RENDERERS`.
    """

    def __init__(self, formats: Sequence[str]) -> None:
        self._renderers = [RENDERERS[name] for name in formats]
        self._short = all(render in _OPENINGS for render in self._renderers)
        self._openings: dict[str | None, _Opening] = {}
        self._closings: dict[tuple[str, str, tuple[str, ...]], _Closing] = {}

    def write(self, rows: Sequence[PlainExample], named: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[bytes]:
        """Return the lines of each example: its own, and one for each format, each ended by a line feed.

        Args:
            rows: the examples.
            named: leak groups and slices of each, in place of its own.

        Returns:
            The bytes of each; a format that has nothing to say of an example gives an empty line.

        Raises:
            ValueError: for a value that UTF-8 or JSON cannot hold.
        """
        return [self._lines(row, groups, slices) for row, (groups, slices) in zip(rows, named, strict=True)]

    def _lines(self, row: PlainExample, groups: Sequence[str], slices: Sequence[str]) -> bytes:
        record_id, key, turns, target, label, path, source, _, _, attachments, origin, facts = row
        opening = None if attachments else self._opening(turns)
        if opening is None:
            return self._long(row, groups, slices)
        closing = self._closings.get((target, label, path)) or self._closing(target, label, path)
        try:
            question, name, place = _dumps(turns[-1]["content"]), _dumps(record_id), _dumps(source)
        except TypeError:
            return self._long(row, groups, slices)
        parts = [
            b'{"example_id":"',
            _sha256(opening.canonical + question + closing.canonical).hexdigest().encode(),
            b'","record_id":',
            name,
            b',"content_key":"',
            key.encode(),
            opening.turns,
            question,
            closing.line,
            _dumps(groups) if groups else b"[]",
            b',"slices":',
            _dumps(slices) if slices else b"[]",
            b',"attachments":[],"source":',
            place,
            _PLAIN_END if origin == "observed" and not facts else _end(origin, facts),
        ]
        for before, after in zip(opening.formats, closing.formats, strict=True):
            parts += before, question, after
        return b"".join(parts)

    def _opening(self, turns: Sequence[Message]) -> _Opening | None:
        """Return the opening of a question in text after a system prompt or none; None for other conversations."""
        count = len(turns)
        if count == 2 and turns[0]["role"] == "system":
            system = turns[0]["content"]
        elif count == 1:
            system = None
        else:
            return None
        if turns[-1]["role"] != "user" or not self._short:
            return None
        return self._openings.get(system) or self._new_opening(system)

    def _new_opening(self, system: str | None) -> _Opening:
        first = b"" if system is None else _text(system)
        by_name = b'{"content":%b,"role":"system"},' % first if first else b""
        by_role = b'{"role":"system","content":%b},' % first if first else b""
        found = self._openings[system] = _Opening(
            b'{"attachments":[],"messages":[' + by_name + b'{"content":',
            b'","messages":[' + by_role + b'{"role":"user","content":',
            tuple(_OPENINGS[render](first) for render in self._renderers),
        )
        return found

    def _closing(self, *name: *tuple[str, str, tuple[str, ...]]) -> _Closing:
        target, label, path = map(_text, name)
        found = self._closings[name] = _Closing(
            b',"role":"user"}],"target":%b}' % target,
            b'}],"target":%b,"label":%b,"label_path":%b,"groups":' % (target, label, path),
            tuple(_CLOSINGS[render] % target for render in self._renderers),
        )
        return found

    def _long(self, row: PlainExample, groups: Sequence[str], slices: Sequence[str]) -> bytes:
        """Write any example."""
        line = (
            b'{"example_id":"%b","record_id":%b,"content_key":"%b","messages":%b,"target":%b,"label":%b,'
            b'"label_path":%b,"groups":%b,"slices":%b,"attachments":%b,"source":%b%b'
        ) % (
            content_digest(row.messages, row.target, row.attachments).encode(),
            _text(row.record_id),
            row.content_key.encode(),
            _text(list(row.messages)),
            _text(row.target),
            _text(row.label),
            _text(row.label_path),
            _text(groups),
            _text(slices),
            _text([{"uri": item.uri, "mime_type": item.mime_type} for item in row.attachments]),
            _text(row.source),
            _end(row.origin, row.facts),
        )
        example = row.to_example()
        rendered = [render(example) for render in self._renderers]
        return b"".join([line, *(b"\n" if found is None else encode_line(found) + b"\n" for found in rendered)])


def _chat_opening(system: bytes) -> bytes:
    first = b'{"role":"system","content":%b},' % system if system else b""
    return b'{"messages":[' + first + b'{"role":"user","content":'


def _gemini_opening(system: bytes) -> bytes:
    first = b'"systemInstruction":{"role":"system","parts":[{"text":%b}]},' % system if system else b""
    return b"{" + first + b'"contents":[{"role":"user","parts":[{"text":'


# What `to_chat` and `to_gemini` write before and behind a question in text; a format that is not here goes by its
# renderer.
_OPENINGS: Mapping[Callable[[Example], Any], Callable[[bytes], bytes]] = {
    to_chat: _chat_opening,
    to_gemini: _gemini_opening,
}
_CLOSINGS: Mapping[Callable[[Example], Any], bytes] = {
    to_chat: b'},{"role":"assistant","content":%b}]}\n',
    to_gemini: b'}]},{"role":"model","parts":[{"text":%b}]}]}\n',
}


def _text(value: Any) -> bytes:
    """Return the JSON of texts and lists of them; of these orjson writes the bytes of `json`."""
    try:
        return _dumps(value)
    except TypeError:
        return encode_line(value)


def _end(origin: str, facts: Mapping[str, Any]) -> bytes:
    return b',"origin":"%b","facts":%b}\n' % (origin.encode(), encode_line(dict(facts)))


_PLAIN_END = _end("observed", {})
