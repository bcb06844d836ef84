"""What javac's own parser found in the real files, and the same view of what is found here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune_assets.datasets.code.doc_comments import description_of
from finetune_assets.datasets.code.extract import read_code
from finetune_assets.datasets.code.languages import DEFAULT_LANGUAGES
from finetune_assets.datasets.code.model import CodeField, CodeFile, CodeMethod, CodeType

JAVA = DEFAULT_LANGUAGES["java"]


def read_java(text: str) -> CodeFile:
    return read_code("java", JAVA, text)


def oracle_files(real_data: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield what javac says of each file, and the file's text."""
    folder = real_data / "java"
    known = json.loads((folder / "oracle_jdk25_dev.json").read_text(encoding="utf-8"))
    for file in known["files"]:
        yield file, (folder / "src" / file["file"]).read_text(encoding="utf-8")


def _doc(comment: str | None) -> dict[str, Any]:
    text = None if comment is None else description_of(comment)
    return {"javadoc": comment is not None, "javadoc_text": text}


def type_view(item: CodeType) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "name": item.name,
        "owner": item.owner,
        "local": item.local,
        "in_anonymous": item.in_anonymous,
        "modifiers": list(item.modifiers),
        "annotations": list(item.annotations),
        "type_params": list(item.type_params),
        "extends": item.extends,
        "implements": list(item.implements),
        "permits": list(item.permits),
        "line": item.span.line,
        "end_line": item.span.end_line,
        **_doc(item.doc),
    }


def method_view(item: CodeMethod) -> dict[str, Any]:
    return {
        "name": item.name,
        "owner": item.owner,
        "constructor": item.constructor,
        "returns": item.returns,
        "params": [list(param) for param in item.params],
        "throws": list(item.throws),
        "type_params": list(item.type_params),
        "modifiers": list(item.modifiers),
        "annotations": list(item.annotations),
        "has_body": item.body is not None,
        "in_anonymous": item.in_anonymous,
        "line": item.span.line,
        "end_line": item.span.end_line,
        **_doc(item.doc),
    }


def field_view(item: CodeField) -> dict[str, Any]:
    return {
        "name": item.name,
        "owner": item.owner,
        "type": item.type,
        "enum_constant": item.enum_constant,
        "record_component": item.record_component,
        "in_anonymous": item.in_anonymous,
        "modifiers": list(item.modifiers),
        "annotations": list(item.annotations),
        "line": item.line,
        **_doc(item.doc),
    }


def differences(known: Mapping[str, Any], found: CodeFile) -> list[str]:
    """Return every difference between what javac says of a file and what was found."""
    wrong: list[str] = []
    views = {
        "types": [type_view(item) for item in found.types],
        "methods": [method_view(item) for item in found.methods],
        "fields": [field_view(item) for item in found.fields],
    }
    for name, ours in views.items():
        theirs = [json.dumps(item, sort_keys=True) for item in known[name]]
        spelt = [json.dumps(item, sort_keys=True) for item in ours]
        for line in sorted({*theirs, *spelt}):
            if theirs.count(line) != spelt.count(line):
                wrong.append(f"{known['file']} {name}: javac {theirs.count(line)}, found {spelt.count(line)}: {line}")
    for name, value in (("imports", found.imports), ("package", found.package)):
        if (known[name] or value) != value:
            wrong.append(f"{known['file']} {name}: javac {known[name]!r}, found {value!r}")
    return wrong
