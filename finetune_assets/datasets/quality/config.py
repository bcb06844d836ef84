"""What a defs.yaml may say under `dataset.quality`: one section for each check, with its mode and its limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _mode(value: Any) -> Any:
    # YAML 1.1 reads a bare `off` as false.
    return "off" if value is False else value


Mode = Annotated[Literal["off", "warn", "block"], BeforeValidator(_mode)]
_MODE = "off leaves the check out, warn shows its findings, block stops everything downstream when the limit is passed."


class CheckConfig(BaseModel):
    """What every check has: a mode. A section may be given as its mode alone, for instance `pii: block`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field(default="warn", description=_MODE)

    @model_validator(mode="before")
    @classmethod
    def _mode_alone(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str | bool) else value


class LabelConflictsConfig(CheckConfig):
    """Equal or nearly equal inputs with different labels."""

    max_share: Share = Field(
        default=0.02, description="Largest share of rows in a label conflict, near-duplicates included."
    )


class BoilerplateConfig(CheckConfig):
    """Targets that say the same whatever was asked, and targets that nobody filled in. Labels are never judged."""

    max_target_share: Share = Field(default=0.2, description="Largest share of rows with one and the same target.")
    max_sentence_share: Share = Field(
        default=0.5, description="Largest share of rows whose targets hold one and the same sentence or line."
    )
    max_placeholder_share: Share = Field(
        default=0.0, description="Largest share of rows whose target holds a placeholder such as TODO or lorem ipsum."
    )
    min_sentence_length: int = Field(
        default=25, ge=1, description="Shortest sentence, in characters, that counts as boilerplate when it recurs."
    )
    placeholders: list[str] = Field(
        default_factory=list, description="Further words that mark an unfinished target, compared without case."
    )


class SuspectLabelsConfig(CheckConfig):
    """Labels that a model trained on the other rows, and the most similar rows, both disagree with."""

    max_share: Share = Field(default=0.1, description="Largest share of rows with a suspect label.")
    max_confidence: Share = Field(
        default=0.05, description="A label is suspect when the other rows' model gives it at most this probability."
    )
    max_relative_confidence: Share = Field(
        default=0.2, description="And at most this share of the probability that the model gives its own answer."
    )
    neighbours: int = Field(
        default=5, ge=1, le=50, description="Most similar rows that are asked; fewer than half may hold the label."
    )
    folds: int = Field(default=5, ge=2, le=20, description="Parts of the cross-validation.")
    min_rows: int = Field(default=500, ge=20, description="Fewest rows that are judged; fewer say too little.")
    min_rows_per_label: int = Field(
        default=5, ge=2, description="Fewest rows of a label that is judged; rarer labels cannot be learned."
    )
    max_rows: int = Field(
        default=20_000, ge=100, description="Most rows that are judged; of more a sample is drawn by content."
    )


class PiiConfig(CheckConfig):
    """Personal data that has a form: phone numbers, e-mail addresses, card and account numbers. Names are not found."""

    max_rows: int = Field(default=0, ge=0, description="Most rows that may hold personal data.")
    phone_regions: list[str] = Field(
        default=["US", "GB"],
        description="Regions (ISO 3166) whose national spelling of phone numbers is known; +49 … is always known.",
    )
    identity_numbers: list[str] = Field(
        default_factory=list,
        description="Modules of python-stdnum whose numbers count, for instance nl.bsn or es.dni; by default none, "
        "since every tenth number of that length passes a check digit.",
    )


class SecretsConfig(CheckConfig):
    """Keys, tokens and passwords that have a form of their own. Nothing is sent anywhere to verify them."""

    mode: Mode = Field(default="block", description=_MODE)
    max_rows: int = Field(default=0, ge=0, description="Most rows that may hold a secret.")


class PoisonConfig(CheckConfig):
    """Signs that somebody steers the model: one source that outweighs all others, rare phrases tied to one label."""

    max_source_share: Share = Field(
        default=0.8, description="Largest share of rows from one value of a source field, where there are several."
    )
    source_fields: list[str] = Field(
        default_factory=list,
        description="Fields of the raw records that name a source, for instance educator_id; files always count.",
    )
    max_phrases: int = Field(
        default=0, ge=0, description="Most rare phrases tied to one label against what the rest of their rows says."
    )
    min_phrase_rows: int = Field(default=5, ge=2, description="Fewest rows with a phrase that is judged.")
    max_phrase_share: Share = Field(
        default=0.01, description="Largest share of rows with a phrase that counts as rare."
    )
    min_purity: Share = Field(default=0.95, description="Smallest share of a phrase's rows that hold its label.")
    alpha: float = Field(
        default=0.001, gt=0, lt=1, description="Chance of a false alarm over all phrases (Holm), by the exact binomial."
    )
    max_rows: int = Field(
        default=50_000, ge=100, description="Most rows that are read for phrases; of more a sample is drawn by content."
    )


class LanguageConfig(CheckConfig):
    """Rows in other languages than the task's."""

    max_other_share: Share = Field(default=0.05, description="Largest share of rows in another language.")
    min_length: int = Field(
        default=40, ge=1, description="Shortest text, in characters, whose language is judged; shorter ones pass."
    )
    min_confidence: Share = Field(
        default=0.9, description="Probability from which another language is believed; below, the row passes."
    )


class LengthConfig(CheckConfig):
    """Inputs and targets that are far longer or shorter than the others."""

    max_share: Share = Field(default=0.05, description="Largest share of rows with a text of unusual length.")
    fence: float = Field(
        default=3.0,
        gt=0,
        description="Distance from the quartiles, in interquartile ranges, from which on a text is "
        "an outlier (Tukey's outer fence).",
    )


class ScoresConfig(CheckConfig):
    """The dataset's scores, each from 0 to 1; a score that was not measured is absent and counts nowhere."""

    mode: Mode = Field(default="block", description=_MODE)
    completeness: Share = Field(default=0.95, description="Smallest share of records in which nothing required lacks.")
    consistency: Share = Field(
        default=0.90, description="Smallest share of records that contradict neither themselves nor one another."
    )
    validity: Share = Field(default=0.95, description="Smallest share of records whose every value is legal.")
    uniqueness: Share = Field(default=0.0, description="Smallest share of rows that repeat no earlier one.")
    accuracy: Share = Field(default=0.0, description="Smallest share of labels not suspect, where they were judged.")
    overall: Share = Field(default=0.90, description="Smallest mean of the scores that were measured.")


class LabelBalanceConfig(CheckConfig):
    """Labels with too few training rows, or far more than others. Synthetic rows and augmented copies do not count."""

    min_per_class: int = Field(default=2, ge=1, description="Fewest observed training rows of a label.")
    max_ratio: float | None = Field(
        default=None,
        ge=1,
        description="Largest ratio between the observed training rows of two labels; null sets no limit.",
    )


class QualityConfig(BaseModel):
    """The quality checks of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    languages: list[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]] = Field(
        default_factory=list,
        description="Languages (ISO 639-1) that rows may be in; empty judges only rows that state their own language.",
    )
    scores: ScoresConfig = Field(default_factory=ScoresConfig, description="Completeness, consistency, validity, …")
    label_conflicts: LabelConflictsConfig = Field(
        default_factory=LabelConflictsConfig, description="Equal or nearly equal inputs with different labels."
    )
    boilerplate: BoilerplateConfig = Field(
        default_factory=BoilerplateConfig, description="Repeated and unfinished targets."
    )
    suspect_labels: SuspectLabelsConfig = Field(
        default_factory=SuspectLabelsConfig, description="Labels that the other rows disagree with."
    )
    pii: PiiConfig = Field(default_factory=PiiConfig, description="Personal data that has a form.")
    secrets: SecretsConfig = Field(default_factory=SecretsConfig, description="Keys, tokens and passwords.")
    poison: PoisonConfig = Field(default_factory=PoisonConfig, description="Signs that somebody steers the model.")
    language: LanguageConfig = Field(default_factory=LanguageConfig, description="Rows in other languages.")
    length_outliers: LengthConfig = Field(default_factory=LengthConfig, description="Texts of unusual length.")
    label_balance: LabelBalanceConfig = Field(
        default_factory=LabelBalanceConfig, description="Labels with few training rows."
    )
