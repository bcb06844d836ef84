"""Who decided, as one person: whatever the channel, a name is a name."""

from __future__ import annotations

import unicodedata

LOGIN = "user:"
"""What stands before a login name: `user:ana@host`."""
KEY = "key:"
"""What stands before an API key's name: `key:ana`."""


def person_of(approver: str) -> str:
    """Return the person behind an approver, for counting people.

    Login names and names of API keys are one namespace: the administrator gives out both, and gives a person's key the
    person's login name. What follows an `@` (a host, a domain) and letter case make no other person. Where two people
    would thus be taken for one, a second approval is missing; never is one person counted twice for it.

    Args:
        approver: `user:ana@host`, `key:ana`, or a bare name.

    Returns:
        The name, case-folded.
    """
    name = approver.removeprefix(LOGIN) if approver.startswith(LOGIN) else approver.removeprefix(KEY)
    folded = unicodedata.normalize("NFKC", name).casefold().strip()
    return folded.partition("@")[0] or folded
