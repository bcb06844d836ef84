"""The section `classification:` of a defs.yaml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.task_types.labels import LabelsConfig
from finetune_assets.task_types.prompts import PromptConfig


class ClassificationConfig(BaseModel):
    """What a defs.yaml says about a classification task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: str = Field(
        min_length=1,
        description="The taxonomy file, relative to the task's folder or absolute: JSON of domains with attributes and "
        "progression points, of domains with labels, or of labels alone.",
    )
    include_hidden: bool = Field(
        default=False, description="Whether progression points that the taxonomy marks hidden are legal labels."
    )
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in records and live requests, best first; replaces "
        "the default list of that field, and may declare further fields.",
    )
    prompt: PromptConfig = Field(default_factory=PromptConfig, description="The wording of the question.")
    target_keys: dict[str, str] = Field(
        default_factory=dict,
        description="Level name to its key in the answer's JSON, for instance {domain: area}; levels that are left out "
        "keep their default key.",
    )
    labels: LabelsConfig = Field(default_factory=LabelsConfig, description="Which labels of the taxonomy take part.")
    label_map: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="A label as found in the last level to the level names and values that replace it, for instance "
        "{oos: {domain: meta, label: repeat}}.",
    )
    require_record_id: bool = Field(
        default=True, description="Reject records without an id; otherwise their place in the source becomes their id."
    )
    require_photos: bool = Field(default=False, description="Reject records without a photo.")
    photo_folder: str = Field(
        default=".", description="Folder of local photos, relative to the task's folder; no photo outside it is used."
    )
    identity: list[str] = Field(
        default_factory=list,
        description="Fields that, with the photos, make two records the same question; by default the text alone.",
    )
