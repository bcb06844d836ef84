"""TaskConfig: everything that one defs.yaml may say, composed from the configuration of the lower rooms."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.task_types.classification import ClassificationConfig
from finetune_assets.task_types.question_answering import QuestionAnsweringConfig
from finetune_assets.task_types.routing import RoutingConfig
from finetune_assets.task_types.source_code_config import SourceCodeConfig
from finetune_assets.task_types.transcription import TranscriptionConfig
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.config import TuningConfig

# The section of each task type in defs.yaml.
SECTIONS: dict[str, type[BaseModel]] = {
    "classification": ClassificationConfig,
    "question_answering": QuestionAnsweringConfig,
    "routing": RoutingConfig,
    "source_code": SourceCodeConfig,
    "transcription": TranscriptionConfig,
}
TASK_PATTERN = r"^[a-z][a-z0-9_]{0,40}$"


class TaskConfig(BaseModel):
    """One task: what is read, how it becomes examples, how a model is tuned, judged and released."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(
        default="",
        pattern=r"^$|" + TASK_PATTERN,
        description="Name of the task and of its group in the graph; empty takes the folder's name.",
    )
    task_type: Literal["classification", "question_answering", "routing", "source_code", "transcription"] = Field(
        description="The shape of the task, which decides how records are read."
    )
    description: str = Field(default="", description="What the task is for, shown in the graph.")
    owners: list[str] = Field(default_factory=list, description="Owners as `team:name` or an e-mail address.")
    dataset: DatasetConfig = Field(description="Source, cleaning rules, split and slices.")
    classification: ClassificationConfig | None = Field(
        default=None, description="Taxonomy, fields and prompt; needed when task_type is classification."
    )
    question_answering: QuestionAnsweringConfig | None = Field(
        default=None, description="Fields, cleaning, languages and prompt of a task of questions and answers."
    )
    routing: RoutingConfig | None = Field(
        default=None, description="Kind of records, tools, rules and prompt; needed when task_type is routing."
    )
    source_code: SourceCodeConfig | None = Field(
        default=None, description="Strategies, languages, filters, review limits and prompt of a task on source code."
    )
    transcription: TranscriptionConfig | None = Field(
        default=None, description="Filters, error detector and prompt of a task of that type."
    )
    tuning: TuningConfig = Field(default_factory=TuningConfig, description="Base model and hyperparameters.")
    cloud: CloudConfig = Field(
        default_factory=CloudConfig, description="Project, region, bucket, deadlines and budget of managed jobs."
    )
    evaluation: GateConfig = Field(default_factory=GateConfig, description="What a candidate must show to be released.")
    release: ReleaseConfig = Field(default_factory=ReleaseConfig, description="Approval and rollout.")
    feedback: FeedbackConfig = Field(
        default_factory=FeedbackConfig,
        description="What is kept of live traffic, for how long, and what counts as one error.",
    )
    triggers: TriggerPolicy | None = Field(
        default=None,
        description="Which evidence asks for a new run, how often and at what cost; null: only a person asks for one.",
    )

    @model_validator(mode="after")
    def _type_section_fits(self) -> "TaskConfig":
        for name, model in SECTIONS.items():
            given = getattr(self, name)
            if name != self.task_type and given is not None:
                raise ValueError(f"the section `{name}:` belongs to tasks of that type; this one is {self.task_type}")
            if name == self.task_type and given is None:
                required = [field for field, info in model.model_fields.items() if info.is_required()]
                if required:
                    raise ValueError(f"task_type {name} needs a section `{name}:` with {', '.join(required)}")
        return self

    @model_validator(mode="after")
    def _tuning_gets_its_rows(self) -> "TaskConfig":
        for name, config in self.tuning.by_variant().items():
            if config.rows_format not in self.dataset.render.formats:
                told = f" of variant {name}" if name else ""
                raise ValueError(
                    f"dataset.render.formats needs `{config.rows_format}`: backend {config.backend}{told} reads it"
                )
        return self

    @model_validator(mode="after")
    def _cloud_has_a_place(self) -> "TaskConfig":
        backends = sorted({config.backend for config in self.tuning.by_variant().values() if config.is_cloud})
        missing = [name for name in ("project", "bucket") if not getattr(self.cloud, name)]
        if backends and missing:
            raise ValueError(f"tuning.backend {', '.join(backends)} needs cloud.{' and cloud.'.join(missing)}")
        if "open_model" in backends and self.cloud.inference == "online":
            raise ValueError("cloud.inference: open models are judged by batch prediction; take auto or batch")
        return self

    def type_section(self) -> BaseModel:
        """Return the section of the task's own type; its defaults where defs.yaml has none."""
        section: BaseModel = getattr(self, self.task_type) or SECTIONS[self.task_type]()
        return section


class TaskSpec(BaseModel):
    """A task as the component hands it to the lineage: its configuration and the folder that its paths start from."""

    model_config = ConfigDict(frozen=True)

    config: TaskConfig
    folder: str

    @property
    def name(self) -> str:
        """The task's name."""
        return self.config.task
