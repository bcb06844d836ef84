"""What a route needs: a role, or nothing. A route that does not say so cannot be added to the gateway."""

# No `from __future__ import annotations`: FastAPI reads the annotation of the dependency below.

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from finetune_assets.serving.doors.callers import caller_of
from finetune_assets.serving.doors.refusals import no_key, not_allowed
from finetune_assets.storage.api_keys import Caller, Role


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of its callers.

    Attributes:
        role: the role, None where everybody may come in.
        or_loopback: whether a caller on loopback without a key may come in as well.
    """

    role: Role | None
    or_loopback: bool = False

    def check(self, request: Request) -> Caller:
        """Return who asks.

        Raises:
            ApiProblem: 401 for a caller without a key, 403 for a key without the role.
        """
        caller = caller_of(request)
        if self.role is None or self.role in caller.roles:
            return caller
        if self.or_loopback and request.scope["state"].get("from_here", False) and not caller.key_id:
            return caller
        raise not_allowed(self.role) if caller.key_id else no_key(self.role)


_NEEDS: dict[Callable[..., Any], Need] = {}
"""What each dependency made by `needs` stands for; one for each need, made once."""


def needs(role: Role | None, *, or_loopback: bool = False) -> Callable[[Request], Awaitable[Caller]]:
    """Return a FastAPI dependency that lets in who has a role and gives the caller.

    A route of the gateway has exactly one: `@app.post(path, dependencies=[Depends(needs("feedback"))])`, or
    `caller: Annotated[Caller, Depends(needs("approve"))]`. It is asked before the body is read.

    Args:
        role: the role, by name; `admin` implies no other. None lets everybody in.
        or_loopback: let callers on loopback without a key in as well.
    """
    need = Need(role, or_loopback)
    known = next((dependency for dependency, other in _NEEDS.items() if other == need), None)
    if known is not None:
        return known

    async def let_in(request: Request) -> Caller:
        return need.check(request)

    _NEEDS[let_in] = need
    return let_in


everybody = needs(None)
"""The dependency of a route that everybody may ask."""


def need_of(route: APIRoute) -> Need:
    """Return what a route needs.

    Raises:
        ValueError: when it declares nothing, or two things: a bug, found when the route is added.
    """
    found = [_NEEDS[call] for call in _dependencies(route.dependant) if call in _NEEDS]
    if len(found) != 1:
        raise ValueError(f"{route.path} declares {len(found)} needs; give it exactly one `Depends(needs(role))`")
    return found[0]


class GuardedRoute(APIRoute):
    """A route that asks for its role, and counts the request, before the body is parsed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler behind the door."""
        handle = self.get_body_handler()
        need = need_of(self)

        async def guarded(request: Request) -> Response:
            caller = need.check(request)
            if need.role is not None:
                request.app.state.rates.spend(need.role, caller.key_id or request.scope["state"].get("address", ""))
            return await handle(request)

        return guarded

    def get_body_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what stands behind the door: FastAPI's own handler."""
        return super().get_route_handler()


def _dependencies(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inner.call
        yield from _dependencies(inner)
