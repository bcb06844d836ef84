"""VertexAsker: one question to a Gemini model, or a tuned one's endpoint, on Vertex AI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from finetune_assets.datasets.generation.wire import PASSING, retry_after
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion, Finish
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.patient import Reply

_FINISHES: dict[str, Finish] = {"STOP": "stop", "MAX_TOKENS": "length"}
# Reasons of Gemini that mean that an answer is held back, whatever it may have been.
_HELD_BACK = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"})
_NEVER = frozenset({301, 302, 303, 307, 308, 401, 403, 404})
_SHOWN = 160


class VertexAsker:
    """Asks one model through google-genai; an `engines.patient.Asker`.

    The client's own retries stay off: it would retry a POST past every deadline. Redirects are not followed, as the
    access token goes with every request.

    Args:
        config: where and how to ask; its `kind` is `vertex`.
        token: an access token, "" for the credentials of the machine.
        stand_in: URL of a stand-in of Vertex AI on this machine, "" for the real one; no part of the identity.
    """

    def __init__(self, config: EndpointConfig, token: str, *, stand_in: str = "") -> None:
        import httpx
        from google import genai
        from google.auth.exceptions import DefaultCredentialsError
        from google.genai import types
        from google.oauth2.credentials import Credentials

        self._config = config
        self._token = token
        # A proxy of the environment has no business between us and this machine.
        self._http = httpx.Client(follow_redirects=False, trust_env=not (stand_in or config.is_loopback))
        options: dict[str, Any] = {"httpx_client": self._http}
        if stand_in or config.base_url:
            options["base_url"] = stand_in or config.base_url
        try:
            # A custom base_url without project and location would switch the client to another mode.
            self._client = genai.Client(
                vertexai=True,
                project=config.project,
                location=config.location,
                credentials=Credentials(token=token) if token else None,  # type: ignore[no-untyped-call]
                http_options=types.HttpOptions(**options),
            )
        except DefaultCredentialsError as error:
            raise FinetuneError(
                "no credentials for Vertex AI",
                where=config.place,
                found=str(error)[:_SHOWN],
                expected="application default credentials, or a token in key_env",
                mend="run `gcloud auth application-default login`, or give the workload an identity",
            ) from error

    @property
    def identity(self) -> dict[str, Any]:
        """Model, place and decoding; no token."""
        return {
            "engine": "vertex",
            "model": self._config.model,
            "place": self._config.place,
            "project": self._config.project,
            "location": self._config.location,
            "context_length": self._config.context_length,
            **self._config.decoding(),
        }

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, messages: Sequence[Message], *, timeout_s: float) -> Reply:
        """Ask once; see `engines.patient.Asker`.

        A question without an answer has one of these problems: `timeout`, `unreachable`, `rate_limited`,
        `provider_error`, `bad_answer`, `prompt_too_long`, `filtered`, `refused`.
        """
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.genai import errors
        from pydantic import ValidationError

        contents, options = self._request(messages, timeout_s)
        return _guarded(
            lambda: reply_of(
                self._client.models.generate_content(model=self._config.model, contents=contents, config=options)
            ),
            self._api_error,
            self._no_credentials,
            api_error=errors.APIError,
            auth_error=GoogleAuthError,
            transport_error=TransportError,
            unreadable=(ValidationError, ValueError, KeyError),
        )

    def _request(self, messages: Sequence[Message], timeout_s: float) -> tuple[list[Any], Any]:
        from google.genai import types

        config = self._config
        system = [turn["content"] for turn in messages if turn["role"] == "system"]
        contents = [
            types.Content(
                role="model" if turn["role"] == "assistant" else "user", parts=[types.Part(text=turn["content"])]
            )
            for turn in messages
            if turn["role"] != "system"
        ]
        thinking = config.thinking_budget
        options = types.GenerateContentConfig(
            system_instruction="\n\n".join(system) or None,
            temperature=config.temperature,
            seed=config.seed,
            max_output_tokens=config.max_tokens,
            stop_sequences=list(config.stop) or None,
            candidate_count=1,
            thinking_config=None if thinking is None else types.ThinkingConfig(thinking_budget=thinking),
            # Milliseconds; below one the client would wait for ever.
            http_options=types.HttpOptions(timeout=max(1, round(timeout_s * 1000))),
        )
        return contents, options

    def _api_error(self, error: Any) -> Reply:
        code = error.code if isinstance(error.code, int) else 0
        if code in _NEVER:
            raise FinetuneError(
                "the endpoint refuses",
                where=self._config.place,
                found=self._shown(error),
                expected="an answer of the model",
                mend="check model, project, location and that this identity may call Vertex AI",
            ) from None
        if code in PASSING:
            problem = "rate_limited" if code == 429 else "timeout" if code in (408, 504) else "provider_error"
            headers = getattr(error.response, "headers", None) or {}
            wait_s = retry_after(str(headers.get("Retry-After", "")))
            return Reply(Completion.failed(problem), passing=True, wait_s=wait_s)
        too_long = "token count" in str(error.message).lower()
        return Reply(Completion.failed("prompt_too_long" if too_long else "refused"), detail=self._shown(error))

    def _no_credentials(self, error: Exception) -> FinetuneError:
        return FinetuneError(
            "the credentials for Vertex AI are not taken",
            where=self._config.place,
            found=str(error)[:_SHOWN],
            mend="log in again with `gcloud auth application-default login`, or renew the token",
        )

    def _shown(self, error: Any) -> str:
        text = f"{error.code} {error.status or ''}: {error.message or ''}"
        return (text.replace(self._token, "[token]") if self._token else text)[:_SHOWN]


def _guarded(
    ask: Callable[[], Reply],
    refused: Callable[[Any], Reply],
    no_credentials: Callable[[Exception], FinetuneError],
    *,
    api_error: type[Exception],
    auth_error: type[Exception],
    transport_error: type[Exception],
    unreadable: tuple[type[Exception], ...],
) -> Reply:
    """Turn what the client and its transport may raise into a reply."""
    import httpx

    try:
        return ask()
    except api_error as error:
        return refused(error)
    except transport_error:
        return Reply(Completion.failed("unreachable"), passing=True)
    except auth_error as error:
        raise no_credentials(error) from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        return Reply(Completion.failed("unreachable"), passing=True)
    except httpx.TimeoutException:
        return Reply(Completion.failed("timeout"), passing=True)
    except httpx.TransportError:
        return Reply(Completion.failed("provider_error"), passing=True)
    except unreadable:
        return Reply(Completion.failed("bad_answer"), passing=True)


def reply_of(response: Any) -> Reply:
    """Read a `types.GenerateContentResponse`."""
    candidate = (response.candidates or [None])[0]
    if candidate is None:
        feedback = response.prompt_feedback
        held_back = feedback is not None and feedback.block_reason is not None
        return Reply(Completion.failed("filtered" if held_back else "bad_answer"), passing=not held_back)
    reason = str(getattr(candidate.finish_reason, "value", candidate.finish_reason or ""))
    if reason in _HELD_BACK:
        return Reply(Completion.failed("filtered"))
    parts = (candidate.content.parts if candidate.content else None) or []
    usage = response.usage_metadata
    return Reply(
        Completion(
            text="".join(part.text for part in parts if part.text and not part.thought),
            prompt_tokens=(usage.prompt_token_count or 0) if usage else 0,
            # Thoughts are paid for like the answer.
            completion_tokens=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else 0,
            finish=_FINISHES.get(reason, ""),
        )
    )
