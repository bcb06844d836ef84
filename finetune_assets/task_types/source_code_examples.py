"""From one source file to its examples: which questions its pieces are asked, with which answers and leak groups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.code.extract import parses, read_code
from finetune_assets.datasets.code.model import CodeFile, CodeType
from finetune_assets.datasets.code.prose import mask_addresses
from finetune_assets.datasets.render import neutralise
from finetune_assets.records.example import Example, Message, Rejection, SourceRef
from finetune_assets.task_types.labels import join
from finetune_assets.task_types.prompts import FieldFault
from finetune_assets.task_types.source_code_answers import description, explanation, signature, template
from finetune_assets.task_types.source_code_config import SourceCodeConfig, Strategy
from finetune_assets.task_types.source_code_review import findings
from finetune_assets.task_types.source_code_units import Inspection, LeftOut, Unit, filtered, undocumented, units_of

Ask = Callable[[Strategy, str, str], list[Message] | FieldFault]
_MENDS: Mapping[str, str] = {
    "secret": "take the secret out of the source and revoke it",
    "bidi_control": "remove the control character from the source",
    "look_alike_name": "rename it with letters of one script",
    "control_token": "nothing: such a text cannot be told from the chat template's own signs",
    "syntax_error": "correct the source, or leave the file out by `exclude`",
}


@dataclass(frozen=True, slots=True)
class FileWork:
    """One file on its way to examples.

    Attributes:
        config: the section of the YAML.
        ask: makes the question of a strategy, a language and the code or specification that is asked about.
        source: where the file stands.
        path: its path within the source.
        file: what it declares.
        licence: the licence that its header names, "" without one.
    """

    config: SourceCodeConfig
    ask: Ask
    source: SourceRef
    path: str
    file: CodeFile
    licence: str

    def items(self) -> Iterator[Example | Rejection]:
        """Yield a rejection for each part that does not parse, then what each piece of code gives."""
        for fault in self.file.faults:
            where = f"`{fault.name}` in lines {fault.line} to {fault.end_line}" if fault.name else f"line {fault.line}"
            yield self._reject(
                LeftOut(
                    "syntax_error", f"{fault.detail}: {where}", f"{language_title(self.file.language)} that parses"
                ),
                fault.name,
                fault.line,
            )
        inspection = Inspection.of(self.file)
        for unit in units_of(self.file, self.config):
            left_out = inspection.fault(unit) or filtered(unit, self.config)
            if left_out is not None:
                yield self._reject(left_out, unit.node.path, unit.node.span.line)
                continue
            for strategy in self.config.strategies:
                yield from self._about(unit, strategy)

    def _about(self, unit: Unit, strategy: Strategy) -> Iterator[Example | Rejection]:
        """Yield the example of one piece and one strategy; nothing where the strategy is not about such a piece."""
        if strategy == "template" and not isinstance(unit.node, CodeType):
            return
        answer = _answer(unit, strategy, self.config)
        if answer is None:
            return
        example = answer if isinstance(answer, LeftOut) else self._example(unit, strategy, *answer)
        yield example if isinstance(example, Example) else self._reject(example, unit.node.path, unit.node.span.line)

    def _example(self, unit: Unit, strategy: Strategy, material: str, target: str) -> Example | LeftOut:
        messages = self.ask(strategy, self.file.language, material)
        if isinstance(messages, FieldFault):
            return LeftOut(messages.reason, messages.found, messages.expected)
        if _has_control_token(target):
            return LeftOut("control_token", "a control token of chat templates in the answer", "text without one")
        path = (strategy, unit.kind)
        return Example(
            record_id=f"{self.path}#{unit.node.path}@{unit.node.span.start}/{strategy}",
            content_key=_digest(strategy, self.file.language, _folded(material)),
            messages=tuple(messages),
            target=target,
            label=join(path),
            label_path=path,
            source=SourceRef(self.source.file, line=unit.node.span.line),
            groups=self._groups(unit),
            facts=self._facts(unit, strategy),
        )

    def _groups(self, unit: Unit) -> tuple[str, ...]:
        groups = [f"file={self.path}", f"code={_digest(_folded(unit.code))[:32]}"]
        if self.file.language == "java":
            outermost = unit.node.path.split(".")[0]
            groups.append(f"class={self.file.package}.{outermost}".replace("=.", "="))
        return tuple(sorted(groups))

    def _facts(self, unit: Unit, strategy: Strategy) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "path": self.path,
            "code_language": self.file.language,
            "unit": unit.node.path,
            "lines": unit.node.span.lines,
            "documented": not unit.documentation.is_blank,
            "code_length": len(unit.code),
        }
        if self.file.package:
            facts["package"] = self.file.package
        if self.licence:
            facts["licence"] = self.licence
        if strategy == "review":
            facts["findings"] = sorted({item.rule for item in findings(unit, self.config.review)})
        return facts

    def _reject(self, left_out: LeftOut, unit: str, line: int) -> Rejection:
        source = SourceRef(self.source.file, line=line)
        record_id = f"{self.path}#{unit}" if unit else self.path
        return rejection(source, left_out.reason, record_id, found=left_out.found, expected=left_out.expected)


def _answer(unit: Unit, strategy: Strategy, config: SourceCodeConfig) -> tuple[str, str] | LeftOut | None:
    """Return what is asked about and its answer, why there is none, or None where there is nothing to ask."""
    language = unit.file.language
    if strategy == "review":
        found = findings(unit, config.review)
        text = "\n".join(str(item) for item in found)
        return (
            (fenced(unit.documented_code, language), text)
            if found
            else LeftOut("no_finding", "code within all limits", "something to say in a review")
        )
    if strategy == "template":
        return _template(unit, config)
    if left_out := undocumented(unit, config):
        return left_out
    if strategy == "explanation":
        return fenced(unit.code, language), explanation(unit)
    if not parses(config.languages[language], unit.code):
        return LeftOut("syntax_error", "code that does not parse by itself", "code that does")
    return specification(description(unit), signature(unit)), fenced(unit.code, language)


def _template(unit: Unit, config: SourceCodeConfig) -> tuple[str, str] | LeftOut:
    """Return a type's template, provided that the code as shown has the very same one."""
    if not isinstance(unit.node, CodeType):
        return LeftOut("no_declaration", unit.kind, "a type")
    language = unit.file.language
    made = template(unit.file, unit.node)
    again = read_code(language, config.languages[language], unit.code)
    if not again.types or _outermost(template(again, again.types[0])) != _outermost(made):
        return LeftOut("not_reproducible", "another structure when the code is read by itself", "the same structure")
    return fenced(unit.code, language), json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def _outermost(made: Mapping[str, Any]) -> dict[str, Any]:
    return dict(made)


def specification(text: str, head: str) -> str:
    """Return what code is to be written: the description and, where there is one, the signature."""
    text = mask_addresses(text.strip())
    return f"{text}\n\nSignature:\n```\n{head.strip()}\n```" if head.strip() else text


def fenced(code: str, language: str) -> str:
    """Return code in a fence that no line of it can close."""
    ticks = "```"
    while ticks in code:
        ticks += "`"
    return f"{ticks}{language}\n{code}\n{ticks}"


def language_title(language: str) -> str:
    """Return a language's name as people write it."""
    return {"java": "Java", "python": "Python", "typescript": "TypeScript"}.get(language, language)


def _has_control_token(target: str) -> bool:
    """True when an answer holds what a chat template would take for its own sign, or U+0000."""
    return neutralise(target) != target or "\0" in target


def _folded(code: str) -> str:
    """Return code with white space folded: two spellings of one code are equal, two codes never are by this alone."""
    return " ".join(code.split())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def rejection(
    source: SourceRef, reason: str, record_id: str = "", *, field: str = "", found: str = "", expected: str = ""
) -> Rejection:
    """Return a rejection with the mend that fits its reason."""
    mend = _MENDS.get(reason, "nothing, unless the configuration should let it take part")
    return Rejection(reason, source, record_id, field or "text", found, expected, mend)
