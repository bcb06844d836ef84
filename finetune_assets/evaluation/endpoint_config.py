"""What YAML says about a model behind an endpoint that judging asks: where it is, how it decodes, how one waits."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class EndpointConfig(BaseModel):
    """One model behind an endpoint. The key itself stands nowhere: only the name of its environment variable does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["openai", "vertex", "vertex_endpoint"] = Field(
        default="openai",
        description="openai: any OpenAI-compatible chat API; vertex: Gemini on Vertex AI; vertex_endpoint: a model of "
        "one's own at an endpoint of Vertex AI.",
    )
    base_url: str = Field(
        default="",
        description="Base URL, such as http://localhost:8000/v1. For vertex: empty for Google's own, or a host under "
        "googleapis.com or on the loopback; an endpoint with a host of its own under prediction.vertexai.goog.",
    )
    model: str = Field(
        min_length=1,
        description="The model's name at the endpoint; for a tuned Gemini or a model of one's own the endpoint's name, "
        "projects/…/endpoints/….",
    )
    project: str = Field(default="", description="Google Cloud project; not for openai.")
    location: str = Field(default="", description="Region of Vertex AI, such as us-central1; not for openai.")
    key_env: str = Field(
        default="",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="Environment variable that holds the API key (openai) or an access token (vertex). Empty means no "
        "key, and for vertex the credentials of the machine.",
    )
    temperature: float = Field(
        default=0.0, ge=0.0, le=2.0, description="Sampling temperature; 0 so that answers repeat."
    )
    seed: int | None = Field(
        default=0, ge=0, lt=1 << 31, description="Seed sent along; null for endpoints that refuse one."
    )
    max_tokens: int = Field(default=512, ge=1, le=131_072, description="Longest answer in tokens.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="What an OpenAI-compatible API calls that limit."
    )
    stop: tuple[str, ...] = Field(default=(), max_length=4, description="Texts that end an answer.")
    thinking_budget: int | None = Field(
        default=None, ge=-1, description="Tokens that Gemini may think before it answers, 0 for none; vertex only."
    )
    context_length: int | None = Field(
        default=None, ge=1, description="Longest conversation in tokens, for the report; null when unknown."
    )
    timeout_s: float = Field(default=60.0, gt=0.0, le=3600.0, description="Seconds to wait for one try.")
    question_deadline_s: float = Field(
        default=300.0, gt=0.0, le=86_400.0, description="Seconds that one question may take with all its tries."
    )
    run_deadline_s: float | None = Field(
        default=None, gt=0.0, description="Seconds that all questions of a run may take together; null for no limit."
    )
    retries: int = Field(default=4, ge=0, le=20, description="Further tries of a question that failed for the moment.")
    backoff_s: float = Field(
        default=1.0, ge=0.0, le=60.0, description="Seconds before the first further try; each next waits twice as long."
    )
    longest_wait_s: float = Field(
        default=60.0, ge=0.0, le=3600.0, description="Longest wait in seconds, whatever the endpoint asks for."
    )
    concurrency: int = Field(default=4, ge=1, le=64, description="Questions under way at once.")
    max_response_bytes: int = Field(
        default=4_000_000, ge=1_000, le=100_000_000, description="Largest answer in bytes that is read; openai only."
    )

    @model_validator(mode="after")
    def _names_a_place(self) -> Self:
        parts = urlsplit(self.base_url)
        if self.base_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("base_url must be an http or https URL")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("base_url must hold no user, password, query or fragment")
        if parts.scheme == "http" and self.key_env and not self.is_loopback:
            raise ValueError("base_url must be https where a key is sent: http shows it to everybody on the way")
        if self.kind == "openai":
            if not self.base_url:
                raise ValueError("base_url is missing")
        else:
            self._check_vertex(parts.hostname or "")
        return self

    def _check_vertex(self, host: str) -> None:
        if not self.project or not self.location:
            raise ValueError(f"{self.kind} needs project and location")
        # The machine's credentials go with every request, so that another host would be given them.
        own = (".googleapis.com", *([".prediction.vertexai.goog"] if self.kind == "vertex_endpoint" else []))
        if host and not self.is_loopback and (not host.endswith(own) or self.base_url[:5] != "https"):
            raise ValueError("base_url of vertex must be https under googleapis.com, or on the loopback")
        if self.is_loopback and not self.key_env:
            raise ValueError("vertex on the loopback needs key_env: the machine's own credentials are not sent there")

    @property
    def is_loopback(self) -> bool:
        """True when the endpoint is on this machine."""
        return urlsplit(self.base_url).hostname in _LOOPBACK

    @property
    def place(self) -> str:
        """Host and path of the endpoint, without scheme and key."""
        parts = urlsplit(self.base_url)
        return f"{parts.netloc}{parts.path.rstrip('/')}" or f"{self.location}-aiplatform.googleapis.com"

    def decoding(self) -> dict[str, object]:
        """Return what decides an answer beside model and question."""
        return {
            "temperature": self.temperature,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
            "thinking_budget": self.thinking_budget,
        }
