"""The wire of the Cloud Storage stand-in: requests, answers, and the forms in which Google's API writes things."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from finetune_assets_tests.fakes.gcs_state import ApiError


@dataclass
class Request:
    """One request; `blocks` gives its body in pieces, `body` as a whole."""

    method: str
    path: str
    query: dict[str, str]
    many: dict[str, list[str]]
    headers: Mapping[str, str]
    blocks: Callable[[], Any]
    host: str = ""

    def body(self) -> bytes:
        return b"".join(self.blocks())

    def json(self) -> dict[str, Any]:
        data = self.body()
        return dict(json.loads(data)) if data else {}


@dataclass
class Answer:
    """One answer: JSON, bytes, or a range of a file."""

    status: int = 200
    json: Any = None
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None
    first: int = 0
    length: int = 0


def hashes_of(request: Request) -> dict[str, str]:
    """Return what the x-goog-hash header says, under the names that an object has them by."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    entries = (item.strip().partition("=") for item in request.headers.get("x-goog-hash", "").split(",") if item)
    return {names[kind]: value for kind, _, value in entries if kind in names}


def split_multipart(request: Request) -> tuple[dict[str, Any], bytes]:
    """Split a multipart/related body into the object's metadata and its bytes."""
    kind = request.headers.get("Content-Type", "")
    match = re.search(r"boundary=\"?([^\";]+)\"?", kind)
    if match is None:
        raise ApiError(400, "multipart body has no boundary", "badRequest")
    mark = b"--" + match[1].encode()
    parts = request.body().split(mark)
    if len(parts) < 4:
        # The bytes may hold the boundary only when nobody chose it at random.
        raise ApiError(400, "Missing end boundary in multipart body.", "badRequest")
    metadata = json.loads(_part(parts[1])[1])
    headers, data = _part(mark.join(parts[2:-1]))
    metadata.setdefault("contentType", headers.get("content-type"))
    return metadata, data


def _part(text: bytes) -> tuple[Mapping[str, str], bytes]:
    head, _, data = text.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = {key.lower(): value for key, value in BytesParser().parsebytes(head + b"\r\n\r\n").items()}
    return headers, data.removesuffix(b"\r\n")


def asked_range(header: str, size: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size - 1
    return int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)


def glob_pattern(pattern: str) -> re.Pattern[str]:
    """Translate Google's matchGlob: `*` and `?` stop at slashes, `**` does not, `{a,b}` is one of two."""
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    tokens = re.findall(r"\*\*/|\*\*|\[[^\]]+\]|.", pattern, re.DOTALL)

    def meaning(token: str) -> str:
        if token in meanings:
            return meanings[token]
        return token.replace("[!", "[^") if len(token) > 1 else re.escape(token)

    return re.compile("".join(meaning(token) for token in tokens))
