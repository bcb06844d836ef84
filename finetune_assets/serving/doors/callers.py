"""Who asks: what the doors found out about a request, kept beside it."""

from __future__ import annotations

import ipaddress

from starlette.requests import HTTPConnection
from starlette.types import Scope

from finetune_assets.storage.api_keys import Caller

LOOPBACK_CALLER = Caller(name="", roles=frozenset({"predict"}), key_id="")
"""Who asks from this machine without a key."""
STRANGER = Caller(name="", roles=frozenset(), key_id="")
"""Who asks from elsewhere without a key."""

_FORWARDING = (b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip", b"x-client-ip")
_LOOPBACK_NAME = "localhost"
_IPV6_NETWORK_BITS = 64


def caller_of(request: HTTPConnection) -> Caller:
    """Return who asks; a caller without roles where no door has looked."""
    found = request.scope.get("state", {}).get("caller", STRANGER)
    return found if isinstance(found, Caller) else STRANGER


def is_loopback(host: str) -> bool:
    """Return whether an address or a name is this machine's loopback."""
    if host == _LOOPBACK_NAME:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def is_address(host: str) -> bool:
    """Return whether this is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
    if client is None:
        return ""
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))


def headers_named(scope: Scope, name: bytes) -> list[str]:
    """Return every value of a header, in the order in which they came."""
    return [value.decode("latin-1") for known, value in scope["headers"] if known == name]


def single(scope: Scope, name: bytes) -> str | None:
    """Return a header's value, "" when it is missing, None when it came more than once."""
    values = headers_named(scope, name)
    return (values[0] if values else "") if len(values) <= 1 else None
