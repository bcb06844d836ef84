"""The chat-completions wire of OpenAI-compatible APIs: one request, one reply, no patience.

Writing rows and judging share it; each waits in its own way. TLS is verified, a redirect is never followed, an answer
has a largest size and a time for the whole of it, and the key stands in no message.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

# Answers after which the same request may succeed: time-outs, conflicts, too many requests, failing servers.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
DEFAULT_MAX_BYTES = 16_000_000
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class WireReply:
    """What came of one request.

    Attributes:
        status: the HTTP status, 0 when there is none.
        error: why there is no whole answer: an exception's name such as `ConnectError`, `too_large`, `too_late`, "".
        reached: False when no connection could be made, so that the endpoint never saw the request.
        wait_s: seconds that the endpoint asks to wait, None when it does not say.
        body: the answer's bytes, whole when `error` is empty.
        key: what `shown` hides.
    """

    status: int
    error: str = ""
    reached: bool = True
    wait_s: float | None = None
    body: bytes = b""
    key: str = ""

    @property
    def passing(self) -> bool:
        """True when the same request may succeed later."""
        return self.status in PASSING or bool(self.error and self.error != "too_large")

    def json(self) -> Any:
        """Return the body as JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def shown(self) -> str:
        """Return status and the beginning of the body for a message, without the key."""
        text = self.body[:10_000].decode(errors="replace")
        text = text.replace(self.key, "[key]") if self.key else text
        return (f"status {self.status}: {text}" if self.status else self.error)[:_SHOWN]


class ChatWire:
    """Posts to `<base_url>/chat/completions`. Safe to be used by several threads.

    Args:
        base_url: http or https URL.
        api_key: sent as a bearer token, "" for none; shown nowhere.
        max_bytes: largest body that is read.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import httpx

        # Identity: a small packed body must not unfold beyond the limit in one step.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self.url = base_url.rstrip("/") + "/chat/completions"
        self._key = api_key
        self._max_bytes = max_bytes
        self._clock = clock
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._client = httpx.Client(headers=headers, follow_redirects=False, limits=limits)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(self, body: Mapping[str, Any], *, timeout_s: float) -> WireReply:
        """Send one request.

        Args:
            body: the request as JSON.
            timeout_s: seconds for the whole exchange, above 0.

        Returns:
            The reply or the failure; never raises for what a network or an endpoint may do.
        """
        import httpx

        ends = self._clock() + timeout_s
        try:
            # ASCII escapes carry lone surrogates that a question may hold and UTF-8 cannot.
            content = json.dumps(body).encode("ascii")
            headers = {"Content-Type": "application/json"}
            with self._client.stream("POST", self.url, content=content, headers=headers, timeout=timeout_s) as response:
                return self._read(response, ends)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return WireReply(0, type(error).__name__, reached=False, key=self._key)
        except (httpx.TimeoutException, httpx.TransportError, httpx.DecodingError) as error:
            return WireReply(0, type(error).__name__, key=self._key)

    def _read(self, response: httpx.Response, ends: float) -> WireReply:
        parts: list[bytes] = []
        size = 0
        error = ""
        # Raw and unchunked: a drip is noticed at each drop, and what is packed unasked is never unfolded.
        for part in response.iter_raw():
            size += len(part)
            parts.append(part)
            if size > self._max_bytes:
                error = "too_large"
            elif self._clock() > ends:
                error = "too_late"
            if error:
                break
        wait_s = retry_after(response.headers.get("Retry-After", ""))
        return WireReply(response.status_code, error, wait_s=wait_s, body=b"".join(parts), key=self._key)


def retry_after(value: str, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (a number or an HTTP date), None for none or nonsense."""
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
