"""Who asks: what the doors found out about a request, kept beside it."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from finetune_assets.storage.api_keys import Caller

LOOPBACK_CALLER = Caller(name="", roles=frozenset({"predict"}), key_id="")
"""Who asks from this machine without a key."""
STRANGER = Caller(name="", roles=frozenset(), key_id="")
"""Who asks from elsewhere without a key."""

_FORWARDING = frozenset({b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip", b"x-client-ip"})
_LOOPBACK_NAME = "localhost"
_IPV6_NETWORK_BITS = 64
_LONGEST_ADDRESS = 64
"""Characters; an IPv6 address with the name of a network card has up to 55. What is longer is not kept."""
_ADDRESSES_KEPT = 1024


class _Address(NamedTuple):
    """What the doors ask of an address: whether it is loopback, and under which network it is counted."""

    is_loopback: bool
    counted_as: str


def caller_of(request: HTTPConnection) -> Caller:
    """Return who asks; a caller without roles where no door has looked."""
    found = request.scope.get("state", {}).get("caller", STRANGER)
    return found if isinstance(found, Caller) else STRANGER


def is_loopback(host: str) -> bool:
    """Return whether an address or a name is this machine's loopback."""
    if host == _LOOPBACK_NAME:
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_address(host: str) -> bool:
    """Return whether this is an IP address and no name."""
    return _address(host) is not None


def _address(host: str) -> _Address | None:
    return _read_address(host) if len(host) <= _LONGEST_ADDRESS else None


@lru_cache(maxsize=_ADDRESSES_KEPT)  # every request brings the same few, and reading one takes microseconds
def _read_address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return _Address(address.is_loopback, str(address))
    if address.ipv4_mapped is not None:
        return _Address(address.is_loopback or address.ipv4_mapped.is_loopback, str(address.ipv4_mapped))
    network = ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False)
    return _Address(address.is_loopback, str(network))


def comes_from_here(scope: Scope, host_name: str) -> bool:
    """Return whether a request comes from this machine itself, under one of its loopback names.

    A request that a proxy passed on says so by a header, or by the name that it was asked under; its first sender may
    be anybody, whatever the header claims.

    Args:
        scope: the ASGI scope; its `client` must be the other end of the connection, not what a header says.
        host_name: the name in the Host header.
    """
    client = scope.get("client")
    if client is None or not is_loopback(client[0]) or not is_loopback(host_name):
        return False
    return not any(name in _FORWARDING or name.startswith(b"x-forwarded-") for name, _ in scope["headers"])


def address_of(scope: Scope) -> str:
    """Return under which address a caller without a key is counted: an IPv4 address, or an IPv6 network of 64 bits.

    Who has one address of such a network has all of them.
    """
    client = scope.get("client")
    address = None if client is None else _address(client[0])
    return "" if address is None else address.counted_as


def headers_named(scope: Scope, name: bytes) -> list[str]:
    """Return every value of a header, in the order in which they came."""
    return [value.decode("latin-1") for known, value in scope["headers"] if known == name]


def single(scope: Scope, name: bytes) -> str | None:
    """Return a header's value, "" when it is missing, None when it came more than once."""
    values = headers_named(scope, name)
    return (values[0] if values else "") if len(values) <= 1 else None
