"""VertexPredictAsker: one question to a model of one's own at an endpoint of Vertex AI (`:predict`).

REST by google-auth's session rather than the generated client: the container answers chat requests with an object
where the generated message has a list, and an endpoint may have a host of its own, which the SDK reaches by REST too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from finetune_assets.datasets.generation.wire import PASSING, retry_after
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.patient import Reply
from finetune_assets.serving.engines.vertex_wire import Form, completion_of, instance_of, one_prediction, refusal_of

_NEVER = frozenset({300, 301, 302, 303, 307, 308, 401, 403, 404, 405})
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_SHOWN = 160


class VertexPredictAsker:
    """Asks one endpoint; an `engines.patient.Asker`. Each completion says which deployed model answered.

    Redirects are not followed and nothing is retried here: the access token goes with every request.

    Args:
        config: where and how to ask; its `kind` is `vertex_endpoint` and its `model` the endpoint's resource name.
        token: an access token, "" for the credentials of the machine.
        form: see `vertex_wire.instance_of`.
        chat_template: for the form `prompt`.
        stand_in: URL of a stand-in of Vertex AI on this machine, "" for the real one; no part of the identity.
    """

    def __init__(
        self, config: EndpointConfig, token: str, *, form: Form = "chat", chat_template: str = "", stand_in: str = ""
    ) -> None:
        self._config = config
        self._token = token
        self._form: Form = form
        self._template = chat_template
        self._session = _session(config, token, is_local=bool(stand_in) or config.is_loopback)
        base = stand_in or config.base_url or f"https://{config.place}"
        self._url = f"{base.rstrip('/')}/v1/{config.model}:predict"

    @property
    def identity(self) -> dict[str, Any]:
        """Endpoint, form and decoding; no token."""
        return {
            "engine": "vertex_endpoint",
            "model": self._config.model,
            "place": self._config.place,
            "project": self._config.project,
            "location": self._config.location,
            "form": self._form,
            "context_length": self._config.context_length,
            **self._config.decoding(),
        }

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, messages: Sequence[Message], *, timeout_s: float) -> Reply:
        """Ask once; see `engines.patient.Asker`.

        A question without an answer has one of these problems: `timeout`, `unreachable`, `rate_limited`,
        `provider_error`, `bad_answer`, `prompt_too_long`, `refused`.
        """
        import requests
        from google.auth.exceptions import GoogleAuthError, TransportError

        question = instance_of(messages, self._config, form=self._form, chat_template=self._template)
        try:
            answer = self._session.post(
                self._url, json={"instances": [question]}, timeout=max(0.001, timeout_s), allow_redirects=False
            )
        except (requests.exceptions.ConnectTimeout, TransportError):
            return Reply(Completion.failed("unreachable"), passing=True)
        except requests.exceptions.Timeout:
            return Reply(Completion.failed("timeout"), passing=True)
        except requests.exceptions.ConnectionError as error:
            # A connection that ends in the midst may be a server that died of this very question.
            lost = "RemoteDisconnected" in str(error) or "Connection reset" in str(error) or "aborted" in str(error)
            return Reply(Completion.failed("provider_error" if lost else "unreachable"), passing=True)
        except requests.exceptions.RequestException:
            return Reply(Completion.failed("provider_error"), passing=True)
        except GoogleAuthError as error:
            raise self._no_credentials(error) from error
        return self._read(answer.status_code, answer.content, str(answer.headers.get("Retry-After", "")))

    def _read(self, status: int, content: bytes, wait: str) -> Reply:
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if status in _NEVER:
            raise FinetuneError(
                "the endpoint refuses",
                where=self._config.model,
                found=self._shown(status, body),
                expected="an answer of the model",
                mend="check that a model is deployed there and that this identity may call Vertex AI",
            )
        if status in PASSING:
            problem = "rate_limited" if status == 429 else "timeout" if status in (408, 504) else "provider_error"
            return Reply(Completion.failed(problem), passing=True, wait_s=retry_after(wait))
        if status != 200:
            return Reply(Completion.failed(refusal_of(content[:10_000].decode(errors="replace"))), detail=str(status))
        completion = completion_of(one_prediction(body))
        served_by = str(body.get("deployedModelId", "")) if isinstance(body, dict) else ""
        # What is no answer may be a passing fault of a proxy.
        return Reply(replace(completion, served_by=served_by), passing=completion.problem == "bad_answer")

    def _shown(self, status: int, body: object) -> str:
        error = body.get("error") if isinstance(body, dict) else None
        message = str(error.get("message", "")) if isinstance(error, dict) else ""
        text = f"{status}: {message}"
        return (text.replace(self._token, "[token]") if self._token else text)[:_SHOWN]

    def _no_credentials(self, error: Exception) -> FinetuneError:
        return FinetuneError(
            "the credentials for Vertex AI are not taken",
            where=self._config.place,
            found=str(error)[:_SHOWN],
            mend="log in again with `gcloud auth application-default login`, or renew the token",
        )


def _session(config: EndpointConfig, token: str, *, is_local: bool) -> Any:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials
    from requests.adapters import HTTPAdapter

    try:
        credentials: Any = (
            Credentials(token=token)  # type: ignore[no-untyped-call]
            if token
            else google.auth.default(scopes=list(_SCOPES))[0]
        )
    except DefaultCredentialsError as error:
        raise FinetuneError(
            "no credentials for Vertex AI",
            where=config.place,
            found=str(error)[:_SHOWN],
            expected="application default credentials, or a token in key_env",
            mend="run `gcloud auth application-default login`, or give the workload an identity",
        ) from error
    session: Any = AuthorizedSession(credentials, max_refresh_attempts=0 if token else 2)  # type: ignore[no-untyped-call]
    adapter = HTTPAdapter(pool_maxsize=config.concurrency, max_retries=0)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    if is_local:
        session.trust_env = False  # a proxy of the environment has no business here
    return session
