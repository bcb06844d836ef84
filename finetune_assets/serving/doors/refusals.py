"""What the doors say to those whom they do not let in. Nothing that was sent is repeated."""

from __future__ import annotations

from finetune_assets.serving.problems import ApiProblem
from finetune_assets.storage.api_keys import Role

REALM = 'Bearer realm="finetune"'


def no_key(role: Role | None = None) -> ApiProblem:
    """Return the refusal of a request without a key."""
    what = f"a key with the role {role}" if role else "a key"
    return _with_challenge(
        ApiProblem(
            401,
            "key_needed",
            f"This needs {what}; without one only predictions are given, and only to this machine.",
            "Send `Authorization: Bearer KEY`; `finetune keys create NAME --role ROLE` makes a key.",
        ),
        "",
    )


def wrong_key() -> ApiProblem:
    """Return the refusal of a key that is unknown, revoked or expired: which of them is nobody's business."""
    return _with_challenge(
        ApiProblem(
            401,
            "key_not_valid",
            "The key is not valid.",
            "Send one valid key as `Authorization: Bearer KEY`, or none for predictions from this machine.",
        ),
        ', error="invalid_token"',
    )


def not_allowed(role: Role) -> ApiProblem:
    """Return the refusal of a valid key that has not the role."""
    return _with_challenge(
        ApiProblem(
            403,
            "role_missing",
            f"The key has not the role {role}.",
            f"Ask with another key; `finetune keys create NAME --role {role}` makes one.",
        ),
        f', error="insufficient_scope", scope="{role}"',
    )


def too_often(retry_after_s: int) -> ApiProblem:
    """Return the refusal of one request too many."""
    return ApiProblem(
        429,
        "rate_limited",
        "More requests came than this gateway takes in a minute from one caller.",
        "Try again after the time in Retry-After.",
        retry_after_s=retry_after_s,
    )


def keys_out_of_reach() -> ApiProblem:
    """Return the refusal while nobody can tell whether a key is valid."""
    return ApiProblem(
        503,
        "keys_out_of_reach",
        "The keys cannot be read now, so no key is taken.",
        "Try again; if it happens often, look at the gateway's log and its database.",
        retry_after_s=5,
    )


def foreign_host() -> ApiProblem:
    """Return the refusal of a request under a name that is not the gateway's."""
    return ApiProblem(
        403,
        "foreign_host",
        "The Host header is none of this gateway's names.",
        "Ask it as 127.0.0.1 or localhost, or add the name to the gateway's `allowed_hosts`.",
    )


def foreign_origin() -> ApiProblem:
    """Return the refusal of a browser page from elsewhere."""
    return ApiProblem(
        403,
        "foreign_origin",
        "The request comes from a web page of another origin.",
        "Add the page's origin to the gateway's `allowed_origins`, if it is yours.",
    )


def _with_challenge(problem: ApiProblem, more: str) -> ApiProblem:
    problem.headers["WWW-Authenticate"] = REALM + more
    return problem
