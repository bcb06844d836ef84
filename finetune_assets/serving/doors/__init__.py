"""Who may come in: keys and their roles, loopback, Host and Origin, and how often.

Here belongs everything that the gateway asks before it looks at a request's body. `caller_of` says who asks, `needs` is
what a route declares. What a caller is then allowed to decide is not this room's business.
"""

from finetune_assets.serving.doors.callers import caller_of
from finetune_assets.serving.doors.roles import everybody, needs

__all__ = ["caller_of", "everybody", "needs"]
