"""When an endpoint was last asked, as Cloud Monitoring counts it.

Whether an endpoint counts as idle is decided in `endpoint_state.idle`, from this and from what the caller knows.
"Nobody asked" and "nobody knows" are two answers: an endpoint must not be taken down because Monitoring was away. The
metric's name and labels could not be tried on a real project; a name that Monitoring does not know is "nobody knows".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from finetune_assets.tuning.cloud.clients import CloudClients

MONITORING = "https://monitoring.googleapis.com"
METRIC = "aiplatform.googleapis.com/prediction/online/prediction_count"
_SCOPES = ("https://www.googleapis.com/auth/monitoring.read",)
_TIMEOUT_S = 30.0
_PAGES = 100


def last_asked(
    clients: CloudClients, now: datetime, hours: float, *, session: Any = None, base: str = MONITORING
) -> dict[str, datetime] | None:
    """Return when endpoints of a location were last asked within the last `hours`, by endpoint name.

    Args:
        clients: project and location. With a stand-in there is no Monitoring.
        now: the present, with a time zone.
        hours: how far back.
        session: an authorised `requests` session; None makes one from the machine's credentials.
        base: Monitoring's host.

    Returns:
        The endpoints that were asked; None when it cannot be known: no Monitoring, no permission, no answer.
    """
    import requests
    from google.auth.exceptions import GoogleAuthError

    if clients.emulator and session is None:
        return None
    found: dict[str, datetime] = {}
    query = {
        "filter": f'metric.type="{METRIC}" AND resource.labels.location="{clients.location}"',
        "interval.startTime": (now - timedelta(hours=hours)).astimezone(UTC).isoformat(),
        "interval.endTime": now.astimezone(UTC).isoformat(),
    }
    try:
        session = session or _session()
        for _ in range(_PAGES):
            answer = session.get(f"{base}/v3/projects/{clients.project}/timeSeries", params=query, timeout=_TIMEOUT_S)
            if answer.status_code != 200:
                return None
            body = answer.json()
            _note(clients, body, found)
            if not body.get("nextPageToken"):
                return found
            query = {**query, "pageToken": str(body["nextPageToken"])}
    except (requests.exceptions.RequestException, GoogleAuthError, ValueError):
        return None
    return None  # more pages than anybody has


def _note(clients: CloudClients, body: Mapping[str, Any], found: dict[str, datetime]) -> None:
    for series in body.get("timeSeries", []):
        endpoint = series.get("resource", {}).get("labels", {}).get("endpoint_id", "")
        name = f"{clients.parent}/endpoints/{endpoint}"
        for point in series.get("points", []):
            value = point.get("value", {})
            count = float(value.get("int64Value", value.get("doubleValue", 0)))
            if endpoint and count > 0:
                at = datetime.fromisoformat(point["interval"]["endTime"])
                found[name] = max(at, found.get(name, at))


def _session() -> Any:
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=list(_SCOPES))
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
