"""What a defs.yaml says about a source_code task."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.code.languages import DEFAULT_LANGUAGES, LanguageConfig
from finetune_assets.task_types.prompts import PromptConfig

Strategy = Literal["explanation", "generation", "review", "template"]
STRATEGIES: tuple[Strategy, ...] = ("explanation", "generation", "review", "template")
WORDINGS: dict[Strategy, list[str]] = {
    "explanation": [
        "Explain what this {language} code does.",
        "What is this {language} code for, and how is it used?",
        "Document this {language} code: its purpose, its inputs and its results.",
        "Describe the behaviour of the following {language} code.",
        "Read this {language} code and say what it does.",
        "Summarise this {language} code for somebody who has to use it.",
    ],
    "generation": [
        "Write the {language} code that is described here.",
        "Implement this in {language}.",
        "Give the {language} implementation for this description and signature.",
        "Turn this specification into {language} code.",
    ],
    "review": [
        "Review this {language} code and list what should be improved.",
        "Which maintenance problems does this {language} code have?",
        "Check the size and the documentation of this {language} code.",
        "List the review findings for this {language} code.",
    ],
    "template": [
        "Describe the structure of this {language} code as JSON.",
        "Give the JSON template of this {language} type.",
        "Extract name, kind, fields and methods of this {language} code as JSON.",
    ],
}
Wording = Annotated[str, Field(min_length=3, max_length=400)]


class CodePromptConfig(PromptConfig):
    """The wording around a question about code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str = Field(
        default="You answer questions about source code.",
        description="System prompt, taken literally; empty for models whose chat template takes no system turn.",
    )
    user: str | None = Field(
        default="{question}\n\n{text}",
        min_length=1,
        description="User prompt; {question} stands for one of the wordings, {text} for the code or the description "
        "that is asked about, {language} for the language's name.",
    )


class ReviewConfig(BaseModel):
    """What is worth a finding in a review; each limit is the largest number without one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_methods: int = Field(default=15, ge=1, description="Methods of a type.")
    max_method_lines: int = Field(default=30, ge=1, description="Lines of a method, from its first modifier on.")
    max_parameters: int = Field(default=5, ge=1, description="Parameters of a method or constructor.")
    max_undocumented: int = Field(default=3, ge=0, description="Public methods of a type without documentation.")
    max_fields: int = Field(default=5, ge=0, description="Fields of a type that are no constants.")


class SourceCodeConfig(BaseModel):
    """What a defs.yaml says about a source_code task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategies: list[Strategy] = Field(
        default=["explanation", "generation", "review", "template"],
        min_length=1,
        description="What is asked about each piece of code; a release answers the kinds of question that it learned.",
    )
    units: list[Literal["type", "method"]] = Field(
        default=["type", "method"],
        min_length=1,
        description="Which pieces of a file are asked about: types, methods (and functions), or both.",
    )
    languages: dict[str, LanguageConfig] = Field(
        default=dict(DEFAULT_LANGUAGES),
        min_length=1,
        description="Language name, as the reader gives it by the file's ending, to its grammar; replaces the default "
        "list of java, python and typescript.",
    )
    prompt: CodePromptConfig = Field(default_factory=CodePromptConfig, description="The wording around the question.")
    wordings: dict[Strategy, list[Wording]] = Field(
        default_factory=dict,
        description="Strategy to the questions that are asked, {language} in them standing for the language's name; "
        "replaces the default list of that strategy. Which one is asked follows from the seed and the code's hash.",
    )
    seed: int = Field(default=0, ge=0, le=(1 << 63) - 1, description="Decides which wording asks about which code.")
    min_code_length: int = Field(default=50, ge=0, description="Shortest piece of code in characters.")
    max_code_length: int = Field(default=50_000, ge=1, description="Longest piece of code in characters.")
    min_body_length: int = Field(
        default=50, ge=0, description="Shortest body of a method in characters, braces and white space not counted."
    )
    min_documentation: int = Field(
        default=15, ge=1, description="Shortest documentation in characters that is worth learning."
    )
    require_docstring: bool = Field(
        default=False, description="Leave out code without documentation altogether, also from review and template."
    )
    include_private: bool = Field(default=True, description="Whether private types and methods take part.")
    include_accessors: bool = Field(
        default=False,
        description="Whether methods that only return or set a field take part; told by their body, never by their "
        "name.",
    )
    licences: list[str] = Field(
        default_factory=list,
        description="SPDX identifiers of the licences whose files take part, `unknown` for a header that names none "
        "known here and `none` for files without a header; empty takes all.",
    )
    review: ReviewConfig = Field(default_factory=ReviewConfig, description="The limits of the review.")
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name (path, language, text, strategy, description, signature) to the names it may "
        "have in records and live requests, best first; replaces the default list of that field.",
    )

    @model_validator(mode="after")
    def _lists_are_sound(self) -> Self:
        if len(set(self.strategies)) < len(self.strategies) or len(set(self.units)) < len(self.units):
            raise ValueError("strategies and units name each thing once")
        if self.min_code_length > self.max_code_length:
            raise ValueError(f"min_code_length {self.min_code_length} is above max_code_length {self.max_code_length}")
        empty = [name for name, wordings in self.wordings.items() if not wordings]
        if empty:
            raise ValueError(f"wordings of {', '.join(empty)} are empty: without a question there is no example")
        return self

    def questions(self, strategy: Strategy) -> list[str]:
        """Return the wordings of a strategy."""
        return list(self.wordings.get(strategy) or WORDINGS[strategy])
