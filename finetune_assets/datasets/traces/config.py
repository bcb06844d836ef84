"""Limits and words of the trace rules, as a defs.yaml may set them. The defaults are those of the router's source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from finetune_assets.datasets.traces.names import RULES

Tiers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=3, max_length=3)]

FILLER = (
    "Define at least one domain-specific performance metric with formulas and acceptance thresholds.",
    "Report runtime/memory usage and summarize failure cases discovered during evaluation.",
)
"""The two sentences that the source's generator writes where it has no metric of its own."""

KEYWORDS = (
    *("algorithm", "analy", "attention", "bayes", "bound", "classif", "cluster", "complexity", "converge", "deriv"),
    *("diffusion", "distribution", "eigenvalue", "entropy", "estimat", "evaluat", "gradient", "graph", "inference"),
    *("kernel", "latency", "learning", "likelihood", "loss", "markov", "matrix", "model", "network", "optimi"),
    *("policy", "predict", "privacy", "probab", "proof", "prove", "regression", "reinforcement", "robust", "sampl"),
    *("simulat", "spectral", "statisti", "stochastic", "theorem", "train", "transformer", "variance", "vector"),
)
"""Word stems of the source's domain, mathematics and machine learning. The source's own list is not published."""


class TraceRulesConfig(BaseModel):
    """Which rules a trace must keep. Three numbers stand for introductory, intermediate and advanced."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["strict", "completion"] = Field(
        default="strict",
        description="strict asks for all nineteen fields; completion for the query and the ten fields of the answer. "
        "Each rule applies wherever its fields are present.",
    )
    waive: list[str] = Field(
        default_factory=list,
        description="Names of rules whose breach is noted in the example's facts instead of rejecting the trace.",
    )
    min_query: Tiers = Field(default=(60, 80, 100), description="Fewest characters of user_query.")
    min_summary: Tiers = Field(default=(35, 40, 50), description="Fewest characters of task_summary.")
    min_context: Tiers = Field(default=(30, 35, 40), description="Fewest characters between a step's brackets.")
    min_keywords: Tiers = Field(
        default=(1, 1, 2), description="Fewest different domain keywords in user_query and task_summary together."
    )
    keywords: list[str] = Field(
        default_factory=lambda: list(KEYWORDS),
        description="Domain keywords or stems, in lower case; found anywhere in a word.",
    )
    min_todos: Tiers = Field(default=(3, 4, 5), description="Fewest entries of todo_list.")
    max_todos: Tiers = Field(default=(6, 7, 8), description="Most entries of todo_list.")
    min_todo_characters: int = Field(default=15, ge=0, description="Fewest characters of an entry of todo_list.")
    min_verifications: Tiers = Field(
        default=(1, 1, 2), description="Fewest entries of todo_list that verify something."
    )
    verification_words: list[str] = Field(
        default=["verif", "valid", "check", "confirm", "audit", "test", "compare", "review"],
        min_length=1,
        description="Words or stems, in lower case, that make an entry of todo_list a verification.",
    )
    final_todo: str = Field(default="router qa", description="What the last entry of todo_list names, in lower case.")
    min_thinking: Tiers = Field(default=(3, 4, 4), description="Fewest steps of thinking_outline.")
    min_artifacts: int = Field(default=3, ge=0, description="Fewest expected_artifacts.")
    max_artifacts: int = Field(default=5, ge=1, description="Most expected_artifacts.")
    min_handoff: int = Field(default=40, ge=0, description="Fewest characters of handoff_plan.")
    handoff_words: list[str] = Field(
        default=["verif", "fallback", "loop"],
        min_length=1,
        description="handoff_plan must hold one of these words or stems, in lower case.",
    )
    step_words: dict[str, str] = Field(
        default={"general-search": "mode=", "code": "Python"},
        description="Tool to what each of its steps must say, spelt exactly.",
    )
    rationale_words: dict[str, str] = Field(
        default={"general-search": "blue"},
        description="Tool to the word, in lower case, that route_rationale must hold where the tool is used.",
    )
    filler: list[str] = Field(
        default_factory=lambda: list(FILLER),
        description="Sentences that a generator writes for lack of a metric; noted in the example's facts.",
    )

    @field_validator("waive")
    @classmethod
    def _known_rules(cls, value: list[str]) -> list[str]:
        if unknown := [name for name in value if name not in RULES]:
            raise ValueError(f"no rules of these names: {', '.join(unknown)}; expected some of {', '.join(RULES)}")
        return value
