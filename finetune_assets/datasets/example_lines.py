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
from finetune_assets.records.json_lines import encode_line, encode_texts


class _Closing(NamedTuple):
    """What stands behind the question, by answer. Every part begins with the quote that closes the question.

    Attributes:
        canonical: in the canonical JSON that the example's id is the hash of.
        line: in the example's line, up to its groups.
        formats: in the line of each format, and on to the question of the next one.
    """

    canonical: bytes
    line: bytes
    formats: tuple[bytes, ...]


class _Opening(NamedTuple):
    """What stands before the question, by system prompt. Every part ends with the quote that opens the question.

    Attributes:
        canonical: in the canonical JSON, hashed already.
        turns: in the example's line, from behind its content key.
        formats: in the line of each format.
        plain: the end of a plain example's line, and on to the question of the first format.
        closings: what stands behind the question, by answer, label and label path.
    """

    canonical: Any
    turns: bytes
    formats: tuple[bytes, ...]
    plain: bytes
    closings: dict[tuple[str, str, tuple[str, ...]], _Closing]


class ExampleLines:
    """Writes the lines of the examples of one batch.

    Args:
        formats: the formats that each example is rendered to, of `render.RENDERERS`; at least one.
    """

    def __init__(self, formats: Sequence[str]) -> None:
        self._renderers = [RENDERERS[name] for name in formats]
        self._short = all(render in _OPENINGS for render in self._renderers)
        self._openings: dict[str | None, _Opening] = {}

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
        openings = [None if row.attachments else self._opening(row.messages) for row in rows]
        asked = [row.messages[-1]["content"] if opening else "" for row, opening in zip(rows, openings, strict=True)]
        try:
            questions, names = encode_texts(asked), encode_texts([row.record_id for row in rows])
        except TypeError:
            return [self._long(row, *known) for row, known in zip(rows, named, strict=True)]
        return [
            self._line(row, opening, question, name, *known) if opening else self._long(row, *known)
            for row, opening, question, name, known in zip(rows, openings, questions, names, named, strict=True)
        ]

    def _line(
        self,
        row: PlainExample,
        opening: _Opening,
        question: bytes,
        name: bytes,
        groups: Sequence[str],
        slices: Sequence[str],
    ) -> bytes:
        """Write an example of one question in text; `question` and `name` are JSON without its quotes."""
        _, key, _, target, label, path, source, _, _, _, origin, facts = row
        before, turns, formats, plain, closings = opening
        answer = target, label, path
        behind, line, after = closings.get(answer) or self._closing(opening, *answer)
        try:
            place, tied, cut = _dumps(source), _dumps(groups) if groups else b"[]", _dumps(slices) if slices else b"[]"
        except TypeError:
            return self._long(row, groups, slices)
        content = before.copy()
        content.update(question + behind)
        parts = [
            b'{"example_id":"',
            content.hexdigest().encode(),
            b'","record_id":"',
            name,
            b'","content_key":"',
            key.encode(),
            turns,
            question,
            line,
            tied,
            b',"slices":',
            cut,
            b',"attachments":[],"source":',
            place,
            plain if origin == "observed" and not facts else _end(origin, facts) + formats[0],
        ]
        for rest in after:
            parts += question, rest
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
        formats = tuple([_OPENINGS[render](first) for render in self._renderers])
        found = self._openings[system] = _Opening(
            _sha256(b'{"attachments":[],"messages":[' + by_name + b'{"content":"'),
            b'","messages":[' + by_role + b'{"role":"user","content":"',
            formats,
            _PLAIN_END + formats[0],
            {},
        )
        return found

    def _closing(self, opening: _Opening, *name: *tuple[str, str, tuple[str, ...]]) -> _Closing:
        target, label, path = map(_text, name)
        ends = [_CLOSINGS[render] % target for render in self._renderers]
        found = opening.closings[name] = _Closing(
            b'","role":"user"}],"target":%b}' % target,
            b'"}],"target":%b,"label":%b,"label_path":%b,"groups":' % (target, label, path),
            tuple([end + following for end, following in zip(ends, (*opening.formats[1:], b""), strict=True)]),
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
    return b'{"messages":[' + first + b'{"role":"user","content":"'


def _gemini_opening(system: bytes) -> bytes:
    first = b'"systemInstruction":{"role":"system","parts":[{"text":%b}]},' % system if system else b""
    return b"{" + first + b'"contents":[{"role":"user","parts":[{"text":"'


# What `to_chat` and `to_gemini` write before and behind a question in text; a format that is not here goes by its
# renderer.
_OPENINGS: Mapping[Callable[[Example], Any], Callable[[bytes], bytes]] = {
    to_chat: _chat_opening,
    to_gemini: _gemini_opening,
}
_CLOSINGS: Mapping[Callable[[Example], Any], bytes] = {
    to_chat: b'"},{"role":"assistant","content":%b}]}\n',
    to_gemini: b'"}]},{"role":"model","parts":[{"text":%b}]}]}\n',
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
