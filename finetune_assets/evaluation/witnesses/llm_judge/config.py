"""Configuration of the judging model: what a task's YAML says under `evaluation.llm_judge`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.evaluation.endpoint_config import EndpointConfig

Share = Annotated[float, Field(ge=0.0, le=1.0)]
CRITERIA_OF_THE_FORM = frozenset({"nonce", "winner", "tie"})


class Criterion(BaseModel):
    """One thing that answers are judged by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="Name in verdicts and reports, snake_case.")
    description: str = Field(
        min_length=1, max_length=1000, description="What a good answer does, in words for the judging model."
    )

    @model_validator(mode="after")
    def _is_no_word_of_the_form(self) -> Self:
        if self.name in CRITERIA_OF_THE_FORM:
            raise ValueError(f"criteria: {self.name} is a word of the verdict's own form; choose another name")
        return self


class LlmJudgeConfig(BaseModel):
    """A model that compares or rates answers. It advises, unless its agreement with people was measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=False, description="Whether answers are judged by a model at all.")
    endpoint: EndpointConfig | None = Field(
        default=None, description="The judging model: an OpenAI-compatible endpoint or Vertex."
    )
    mode: Literal["pairwise", "rubric"] = Field(
        default="pairwise", description="pairwise: which of two answers is better; rubric: 1 to 5 by criterion."
    )
    votes: int = Field(
        default=2, ge=1, le=20, description="Votes on each row; even for pairwise, half of them in each order."
    )
    criteria: tuple[Criterion, ...] = Field(
        default=(Criterion(name="correctness", description="It answers the question and agrees with the reference."),),
        min_length=1,
        max_length=10,
        description="What answers are judged by.",
    )
    sample_rows: int = Field(
        default=100, ge=1, le=100_000, description="Test rows that are judged, drawn by label and seed."
    )
    human_labels: str = Field(
        default="",
        description="JSONL or CSV file of verdicts by people, relative to defs.yaml, that the model is held against.",
    )
    min_agreement: Share = Field(
        default=0.8, description="What the lower bound (Wilson, 95 %) of its agreement with people must reach."
    )
    min_kappa: Share = Field(
        default=0.4,
        description="Cohen's kappa with people that it must reach as well: where one verdict is frequent, a judge that "
        "always gives it agrees plainly and sees nothing.",
    )
    blocking: bool = Field(
        default=False, description="Whether its verdict is a gate; needs human_labels and agreement above the bar."
    )
    max_loss: Share = Field(
        default=0.05,
        description="Loss against the baseline that a blocking judge tolerates, as a share of rows, or of the scale.",
    )
    hijack_probes: int = Field(
        default=8,
        ge=0,
        le=200,
        description="Rows on which a planted text tries to win the judge over; a call each, two for a rubric.",
    )
    max_calls: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Most calls of the judging model; more are refused before the first.",
    )
    max_characters: int = Field(
        default=8000, ge=100, le=200_000, description="Characters of a text that the judge sees; the rest is cut."
    )
    batch_size: int = Field(default=16, ge=1, le=256, description="Calls handed to the endpoint at once.")
    seed: int = Field(default=0, ge=0, description="Seed of the sample, the fences and the answers' names.")

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError("criteria: a name stands twice")
        if self.mode == "pairwise" and self.votes % 2:
            raise ValueError("votes: pairwise judging needs an even number, half of the votes in each order")
        if self.enabled and self.endpoint is None:
            raise ValueError("endpoint: an enabled judge needs one")
        if self.blocking and not self.enabled:
            raise ValueError("blocking: the judge is not enabled")
        if self.blocking and not self.human_labels:
            raise ValueError("blocking: needs human_labels; a judge whose agreement nobody measured may only advise")
        if self.blocking and not self.hijack_probes:
            raise ValueError("blocking: needs hijack_probes of 1 or more; texts in data must be shown not to steer it")
        return self
