"""What a defs.yaml says about a task of questions and answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.datasets.cleaning import CleaningConfig
from finetune_assets.task_types.prompts import PromptConfig


class QuestionPromptConfig(PromptConfig):
    """The wording of the question, with and without a context."""

    system: str = Field(
        default="Answer the question.",
        description="System prompt, taken literally; a record's own system turn takes its place. Empty for models "
        "whose chat template takes no system turn.",
    )
    user_with_context: str = Field(
        default="{question}\n\n{context}",
        min_length=1,
        description="User prompt for records with a context (or an instruction's input); {field} stands for a "
        "canonical field. `user` is for those without.",
    )


class QuestionAnsweringConfig(BaseModel):
    """What a defs.yaml says about a task of questions and answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in records and live requests, best first; replaces "
        "the default list of that field, and may declare further fields.",
    )
    prompt: QuestionPromptConfig = Field(
        default_factory=QuestionPromptConfig, description="The wording of the question."
    )
    cleaning: CleaningConfig = Field(
        default_factory=CleaningConfig, description="What is done to texts, in training and in live questions alike."
    )
    languages: list[str] = Field(
        default_factory=list,
        description="Languages that take part, as ISO 639-1 codes such as en; records found to be in another one are "
        "left out, those too short to tell stay. Empty takes all.",
    )
    language_confidence: float = Field(
        default=0.9,
        ge=0.0,
        le=1.0,
        description="Likelihood from which a record is believed to be in another language than `languages`; below it "
        "stays, since short questions are easily mistaken: `What day do I get paid?` comes out as Nigerian Pidgin.",
    )
    stratum: list[str] = Field(
        default=["category", "topic", "tags"],
        description="Fields whose value divides the records for the split and the statistics, the first that a record "
        "has; without any, its language. Fields with a value of its own for almost every record divide nothing.",
    )
