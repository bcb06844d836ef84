"""What a defs.yaml may say about synthetic rows; the options of `finetune data synthesize` come over it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class GenerationConfig(BaseModel):
    """The endpoint that writes rows, and how patiently it is asked. Defaults are those of the router's source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(
        default="", description="Base URL of an OpenAI-compatible API, such as http://localhost:8000/v1."
    )
    model: str = Field(default="", description="The model's name at that endpoint.")
    api_key_variable: str = Field(
        default="OPENAI_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the API key; unset means no key. The key itself stands nowhere.",
    )
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = Field(default=0.85, description="Sampling temperature.")
    max_tokens: int = Field(default=2048, ge=16, le=131_072, description="Longest answer in tokens.")
    seed: int = Field(
        default=7, ge=0, le=(1 << 63) - 1, description="Seed of subjects, of waiting times and the model."
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="Requests under way at once.")
    retries: int = Field(default=4, ge=0, le=20, description="Further tries of a request that failed for the moment.")
    backoff_s: float = Field(
        default=1.5, ge=0.0, le=60.0, description="Seconds before the first further try; each next waits twice as long."
    )
    longest_wait_s: float = Field(
        default=60.0, ge=0.0, le=3600.0, description="Longest wait in seconds, whatever the endpoint asks for."
    )
    timeout_s: float = Field(default=120.0, gt=0.0, le=3600.0, description="Seconds to wait for one answer.")
    attempts: int = Field(
        default=4, ge=1, le=20, description="Answers asked for one row; each after the first is told what was wrong."
    )
