"""Routing: a query in, the way through the tools out.

Here belong the section `routing:` of a defs.yaml and the task type that it makes. What a record holds and what an
answer looks like is the business of its form: `routing_traces.py`, `routing_calls.py`, `routing_route.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.datasets.tools import Tool, ToolConfig, catalogue
from finetune_assets.datasets.traces.config import TraceRulesConfig
from finetune_assets.records.doubts import Signal, doubts_of_reading
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message, RawRecord, Rejection
from finetune_assets.records.measure import Marks, Measure
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.fields import ask_fault, canonical_fields, record_id_of
from finetune_assets.task_types.prompts import FieldFault, Prompt, PromptConfig, build_prompt
from finetune_assets.task_types.rejections import Rejecter
from finetune_assets.task_types.routing_calls import Calls
from finetune_assets.task_types.routing_forms import QUERY, TOOLS, Form, Unusable
from finetune_assets.task_types.routing_marks import MARKERS, mark_routes
from finetune_assets.task_types.routing_route import OneRoute
from finetune_assets.task_types.routing_traces import COMPLETION_ONLY, Traces
from finetune_assets.task_types.shapes import Shape

NAME = "routing"
SCHEMA = "routing/1"


class RoutingPromptConfig(PromptConfig):
    """The wording of the question."""

    system: str = Field(
        default="Route the query.",
        description="System prompt, taken literally; empty for models whose chat template takes no system turn.",
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="User prompt; {user_query} stands for the query, and for calls {tools} for the tools as JSON. By "
        "default the query, with the tools below it where each record brings its own.",
    )


class RoutingConfig(BaseModel):
    """What a defs.yaml says about a routing task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: Literal["traces", "calls", "route"] = Field(
        description="What a record holds: traces are whole plans, calls are tools with arguments (its own tools or the "
        "catalogue's), route is one name out of the catalogue, blank for none."
    )
    tools: list[ToolConfig] = Field(
        default_factory=list,
        description="The catalogue. Needed for traces and route; without it, records of calls bring their own tools.",
    )
    no_route: str = Field(
        default="no_route", min_length=1, description="The answer for records of kind route that have none."
    )
    rules: TraceRulesConfig = Field(
        default_factory=TraceRulesConfig,
        description="Rules that traces must keep; strict or completion alone stands for that level with all defaults.",
    )
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in records and live requests, best first; replaces "
        "the default list of that field, and may declare further fields.",
    )
    prompt: RoutingPromptConfig = Field(default_factory=RoutingPromptConfig, description="The wording of the question.")

    @field_validator("rules", mode="before")
    @classmethod
    def _level_alone(cls, value: Any) -> Any:
        return {"level": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class RoutingTask:
    """The task type `routing`.

    Attributes:
        config: the section of the YAML, or of a manifest.
        tools: the catalogue by name.
    """

    Config: ClassVar[type[BaseModel]] = RoutingConfig

    config: RoutingConfig
    tools: Mapping[str, Tool]

    @classmethod
    def from_config(cls, config: RoutingConfig, folder: Path) -> RoutingTask:  # noqa: ARG003 -- the protocol's
        """Build the task type from its section of a defs.yaml.

        Raises:
            FinetuneError: when the catalogue or the prompt cannot be used.
        """
        tools = catalogue(config.tools)
        if isinstance(tools, RuleFault):
            _refuse(tools.field, tools.found, tools.expected, "correct the tool in defs.yaml")
        if not tools and config.records != "calls":
            _refuse("tools", "no tools", f"the tools that records of kind {config.records} speak of", "list them")
        if config.records == "route" and config.no_route in tools:
            _refuse("no_route", config.no_route, "a name that no tool has", "rename one of the two")
        return cls(config, tools)._checked()

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> RoutingTask:
        """Build the task type from what `manifest` returned.

        Raises:
            FinetuneError: when another version wrote the manifest.
        """
        try:
            if manifest.get("schema") != SCHEMA:
                raise ValueError(f"schema {manifest.get('schema')!r}")
            config = RoutingConfig.model_validate(manifest["config"])
        except (KeyError, ValueError, ValidationError) as error:
            raise FinetuneError(
                "task type manifest cannot be read",
                where="task type manifest",
                found=str(error),
                expected=f"schema {SCHEMA}",
                mend="serve this release with the version that made it",
            ) from error
        return cls.from_config(config, Path())

    def _checked(self) -> RoutingTask:
        """Compute what can fail now, so that a mistake in the YAML shows before any record is read."""
        _ = self.prompt
        return self

    @property
    def name(self) -> str:
        """The task type's name."""
        return NAME

    @cached_property
    def form(self) -> Form:
        """What a record holds."""
        if self.config.records == "traces":
            return Traces(self.tools, self.config.rules)
        if self.config.records == "calls":
            return Calls(self.tools)
        return OneRoute(self.tools, self.config.no_route)

    def _form_of(self, record: RawRecord) -> Form:
        """Return how a record is read: a corrected plan has none of the fields that only a source's traces have."""
        if isinstance(self.form, Traces) and record.fields.get(COMPLETION_ONLY) is True:
            return Traces(self.tools, self.config.rules.model_copy(update={"level": "completion"}))
        return self.form

    @property
    def label_levels(self) -> tuple[str, ...]:
        """One level: the difficulty of a trace, the kind of a call, the route."""
        return (self.form.level,)

    @property
    def text_field(self) -> str:
        """The canonical field that holds the query."""
        return QUERY

    @cached_property
    def aliases(self) -> dict[str, list[str]]:
        """Canonical field → the names it may have, best first: the form's, overlaid by the YAML's."""
        return {name: list(names) for name, names in {**self.form.aliases, **self.config.aliases}.items()}

    @cached_property
    def _shape(self) -> Shape:
        return Shape((self.form.level,), "id", QUERY, (), {}, {})

    @cached_property
    def _further(self) -> tuple[str, ...]:
        """Fields that only the YAML declares. The prompt may name them, but no field that holds an answer."""
        return tuple(name for name in self.config.aliases if name not in self.form.aliases)

    def _asked(self, fields: Mapping[str, Any]) -> dict[str, Any] | FieldFault:
        asked = self.form.asked(fields)
        if isinstance(asked, FieldFault) or not self._further:
            return asked
        return {**{name: fields.get(name) for name in self._further}, **asked}

    @cached_property
    def prompt(self) -> Prompt:
        """The question."""
        config, own_tools = self.config.prompt, self.config.records == "calls" and not self.tools
        if config.user is None and own_tools:
            config = config.model_copy(update={"user": f"{{{QUERY}}}\n\nTools: {{{TOOLS}}}"})
        choices = self.choices()
        if config.list_labels and choices is None:
            _refuse("prompt.list_labels", "true", "a task of kind route, whose answers can be listed", "leave it out")
        known = (QUERY, *([TOOLS] if self.config.records == "calls" else []), *self._further)
        prompt = build_prompt(
            config, text_field=QUERY, known=known, whole_numbers=(), labels=choices or (), section=NAME
        )
        if own_tools and TOOLS not in prompt.fields:
            _refuse("prompt.user", prompt.user, f"the placeholder {{{TOOLS}}}", "add it: the tools differ by record")
        return prompt

    def choices(self) -> tuple[str, ...] | None:
        """Return every legal answer, sorted, for a task of kind `route`; None where answers are free."""
        return self.form.choices()

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask about one live query; the very code that `example` uses.

        Raises:
            FinetuneError: when the query, or the tools where they come with it, are missing or cannot be used.
        """
        asked = self._asked(canonical_fields(fields, self.aliases))
        messages = asked if isinstance(asked, FieldFault) else self.prompt.messages(asked)
        if isinstance(messages, FieldFault):
            raise ask_fault(messages, self.aliases)
        return messages

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        """Turn a record into its one example, or say why not. Never raises for bad input."""
        return [self.example(record)]

    def example(self, record: RawRecord) -> Example | Rejection:
        """Turn a record into an example, or say why not. Never raises for bad input."""
        fields = canonical_fields(record.fields, self.aliases)
        reject = Rejecter(record, fields, self._shape)
        record_id = record_id_of("id", fields.get("id"), record.source)
        if isinstance(record_id, FieldFault):
            return reject.for_field(record_id)
        asked = self._asked(fields)
        if isinstance(asked, FieldFault):
            return reject.for_field(asked)
        messages = self.prompt.messages(asked)
        if isinstance(messages, FieldFault):
            return reject.for_field(messages)
        reading = self._form_of(record).read(fields, asked)
        if isinstance(reading, Unusable):
            return reject.for_field(reading.fault, reading.mend)
        return Example(
            record_id=record_id,
            content_key=content_key(reading.question),
            messages=tuple(messages),
            target=reading.target,
            label=reading.label,
            label_path=(reading.label,),
            source=record.source,
            groups=reading.groups,
            slices=reading.slices,
            facts=reading.facts,
        )

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer, out of a code fence or prose where need be. Never raises."""
        return self.form.parse(text)

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:  # noqa: ARG002
        """Return that an answer is blank or no legal one; nothing else can be told without the right answer."""
        return doubts_of_reading(text, valid=answer.valid)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by, as the records are; the first is the primary one."""
        return MARKERS[self.config.records][0]

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        """Read the answer to one example; calls are held against the tools that its question offers."""
        return self.form.parse_for(example, text) if isinstance(self.form, Calls) else self.form.parse(text)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row; see `task_types/routing_marks.py`."""
        return mark_routes(self.config.records, examples, answers)

    def prompt_manifest(self) -> dict[str, Any]:
        """Return the task's half of what `datasets.render.template_hash` covers: wording, answer and catalogue."""
        tools = [tool.to_json() for tool in self.tools.values()] if TOOLS in self.prompt.fields else []
        return {"task_type": NAME, **self.prompt.manifest(), "records": self.config.records, "tools": tools}

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON."""
        return {"task_type": NAME, "schema": SCHEMA, "config": self.config.model_dump(mode="json")}


def _refuse(place: str, found: str, expected: str, mend: str) -> NoReturn:
    raise FinetuneError("routing cannot be set up", where=f"{NAME}.{place}", found=found, expected=expected, mend=mend)
