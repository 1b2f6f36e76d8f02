"""What is sent: the checks of what callers pass, and the request made from it. Pure functions.

Ids are checked before they are put into a URL, since URL libraries fold `..` into the parent path.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from multidict import CIMultiDict
from yarl import URL

from ghl_voice_async.errors import InvalidInputError
from ghl_voice_async.version import __version__

__all__ = ["Request", "call_log_request", "check_base_url", "check_id", "request_headers"]

_PATH = "/voice-ai/dashboard/call-logs/"
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
_API_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_URL_TEXT = re.compile(r"[A-Za-z0-9._~:/@\[\]%!$&'()*+,;=?#-]+")
_DOT_SEGMENT = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)", re.IGNORECASE)
# A host is a name of labels, with a dot at its end or without, or an address in brackets. Then comes the port.
_AUTHORITY = re.compile(r"([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[^]]+\])(:[0-9]{0,5})?")
_LONGEST_HOST = 253
_ENDS_WITH_NUMBER = re.compile(r"(.*\.)?[0-9]+\.?")
_SHOWN = 64


class Request(NamedTuple):
    """One GET to be sent, but for its `Authorization`, which belongs to the attempt."""

    base_url: str
    path: str
    query: str
    headers: Mapping[str, str]
    call_id: str
    location_id: str
    method: str = "GET"

    @property
    def path_template(self) -> str:
        """The path with the names of its parameters in place of their values."""
        return _PATH + "{callId}"


def call_log_request(base_url: str, headers: Mapping[str, str], call_id: str, location_id: str) -> Request:
    """Make the request for one call log, or raise `InvalidInputError` for an id that cannot be one."""
    if not (_is_id(call_id) and _is_id(location_id)):
        check_id("call_id", call_id, call_id=call_id, location_id=location_id)
        check_id("location_id", location_id, call_id=call_id, location_id=location_id)
    return Request(base_url, _PATH + call_id, f"locationId={location_id}", headers, call_id, location_id)


def request_headers(api_version: str) -> CIMultiDict[str]:
    """Make the headers that every request carries, or raise `InvalidInputError` for a bad version."""
    if not isinstance(api_version, str) or not _API_VERSION.fullmatch(api_version):
        raise InvalidInputError(f"api_version must be a name such as '2021-04-15', not {_shown(api_version)}")
    # What is asked for as `Accept-Encoding` is what the transport unfolds.
    return CIMultiDict(
        {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"ghl-voice-async/{__version__}",
            "Version": api_version,
        }
    )


def check_id(name: str, value: str, *, call_id: str | None, location_id: str) -> None:
    """Raise `InvalidInputError` unless `value` is 1 to 256 of `A-Z a-z 0-9 _ -`."""
    if not _is_id(value):
        raise InvalidInputError(
            f"{name} must be 1 to 256 of the characters A-Z a-z 0-9 _ -, not {_shown(value)}",
            call_id=call_id if isinstance(call_id, str) else None,
            location_id=location_id if isinstance(location_id, str) else None,
        )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_base_url(value: str) -> str:
    """Return `value` without a slash at its end, or raise `InvalidInputError` saying why it cannot be used.

    Plain `http` is for loopback addresses alone, since the token travels with each request.
    """
    try:
        reason = _wrong_with_url(value)
    except ValueError:
        reason = "it cannot be parsed"
    if reason is not None:
        value = ""  # a user, a password or a query may be secrets, and tracebacks show local variables
        raise InvalidInputError(f"base_url cannot be used: {reason}")
    return value.rstrip("/")


def _wrong_with_url(value: str) -> str | None:
    if not isinstance(value, str):
        return f"it must be a str, not {type(value).__name__}"
    if not _URL_TEXT.fullmatch(value):
        return "it is empty or has a character that a URL cannot have"
    url = urlsplit(value)
    # Nothing of a URL with a user, a password or a query is shown: they may be secrets.
    if "@" in url.netloc:
        return "it must not hold a user or a password"
    if "?" in value or "#" in value:
        return "it must not have a query or a fragment"
    if url.scheme not in {"http", "https"} or not url.hostname:
        return "it must begin with https:// and a host"
    if not _is_host(url.netloc, url.hostname):
        return "its host is not a name or an address, or its port is not a number"
    if url.port == 0:
        return "its port is 0"
    if _DOT_SEGMENT.search(url.path):
        return "its path must not have . or .. in it"
    if url.scheme == "http" and not _is_loopback(url.hostname):
        return "http:// would send the token in clear text; use https://"
    return None


def _is_host(authority: str, host: str) -> bool:
    """Return True if aiohttp and the look-up of names can use `host`. Raises ValueError for some that they cannot."""
    if not _AUTHORITY.fullmatch(authority) or len(host) > _LONGEST_HOST:
        return False
    if authority.startswith("["):
        ipaddress.IPv6Address(host)
    elif _ENDS_WITH_NUMBER.fullmatch(host):
        ipaddress.IPv4Address(host)
    # A name in punycode is decoded when it is first read.
    return URL.build(scheme="https", authority=authority, encoded=True).host is not None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(value: object) -> str:
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}… ({len(value)} characters)"
