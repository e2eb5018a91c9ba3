"""Which addresses may be asked for videos: those of the internet, and of inner networks only what the user has asked for.

A manifest, a page or a redirect from elsewhere could else let this machine ask servers that only it can reach. An address counts as inner
unless it is globally reachable (the registries of RFC 6890; so loopback, private and link-local ones are inner). Asked for are

- the address that stands in the manifest's uri itself, as in http://10.0.0.7/a.mp4 (not a name that leads there, and not a link-local
  address, where clouds keep the credentials of their machines);
- the networks that the environment variable LUS_INNER_NETWORKS lists, such as `10.0.0.0/8 192.168.1.7`;
- the proxies that the environment names, which then decide themselves what they ask for.

The check is an audit hook (PEP 578) on the connections of the threads that fetch: whichever library connects, after a redirect too, and to
the very address that the name was resolved to.
"""

import contextlib
import contextvars
import dataclasses
import functools
import ipaddress
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from components.core.errors import UsageError
from components.ingest.outcomes import MissingError

NETWORKS_VARIABLE = "LUS_INNER_NETWORKS"

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Egress:
    """What the threads of a run may connect to when they fetch."""

    def __init__(self) -> None:
        """Reads the environment.

        Raises:
            UsageError: LUS_INNER_NETWORKS is not a list of networks.
        """
        self._networks = _networks_of(os.environ.get(NETWORKS_VARIABLE, ""))
        proxies = [url for scheme, url in urllib.request.getproxies().items() if scheme != "no"]
        self._proxies = frozenset(address for url in proxies for address in _addresses_of(url))
        _watch_connections()

    @contextlib.contextmanager
    def limited_for(self, url: str) -> Iterator[None]:
        """Lets the block, which fetches the video of a manifest's URL, connect only to what it may.

        Raises:
            MissingError: it tried something else.
        """
        limits = _Limits(urlsplit(url).hostname or "", frozenset({*self._proxies, *_literal_of(url)}), self._networks)
        token = _limits.set(limits)
        try:
            yield
        except Exception:  # libraries have words of their own for whatever comes out of a connection
            if limits.refused:
                raise MissingError(limits.refused) from None
            raise
        finally:
            _limits.reset(token)


@dataclasses.dataclass
class _Limits:
    """What a thread may connect to beside the internet: addresses with their ports, and networks; and why it was stopped."""

    host: str
    addresses: frozenset[tuple[_Address, int]]
    networks: tuple[_Network, ...]
    refused: str = ""

    def check(self, address: _Address, port: int) -> None:
        """Checks a connection that is about to be made.

        Raises:
            MissingError: it may not be made.
        """
        if address.is_global and not address.is_multicast:
            return
        if (address, port) in self.addresses or any(address in network for network in self.networks):
            return
        self.refused = f"{self.host} leads to {address}, an address of an inner network; if that is wanted, list it in {NETWORKS_VARIABLE}"
        raise MissingError(self.refused)


_limits: contextvars.ContextVar[_Limits | None] = contextvars.ContextVar("limits", default=None)


@functools.cache
def _watch_connections() -> None:
    """Adds the hook, which stays for the life of the process."""
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not (limits := _limits.get()):
        return
    connection, address = arguments
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        limits.check(_address_of(address[0]), address[1])


def _address_of(text: str) -> _Address:
    """Returns the address that a connection goes to: an IPv4 one may be written as an IPv6 one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address


def _literal_of(url: str) -> Iterator[tuple[_Address, int]]:
    """Yields the address and the port that stand in a URL itself, unless it names a host or a link-local address."""
    with contextlib.suppress(ValueError):
        address = _address_of(urlsplit(url).hostname or "")
        if not address.is_link_local:
            yield address, _port_of(url)


def _addresses_of(url: str) -> list[tuple[_Address, int]]:
    """Returns the addresses of a proxy, with its port."""
    with contextlib.suppress(OSError, ValueError):
        parts = url if "://" in url else f"http://{url}"
        found = socket.getaddrinfo(urlsplit(parts).hostname, _port_of(parts), type=socket.SOCK_STREAM)
        return [(_address_of(str(address[0])), int(address[1])) for *_, address in found]
    return []


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _networks_of(text: str) -> tuple[_Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise UsageError(f"{NETWORKS_VARIABLE}={text!r} is no list of networks ({error}); write it like 10.0.0.0/8 192.168.1.7.") from None
