"""Explain the requests that aiohttp cannot even make, most of them for a proxy that is no URL."""

from __future__ import annotations

import sys
from traceback import walk_tb
from typing import Final
from urllib.request import getproxies

from yarl import URL

from ghl_voice_async.errors import TransportError

__all__ = ["is_raised_by_aiohttp", "unsendable_error"]

_LIBRARIES: Final = sys.stdlib_module_names | {
    "aiohappyeyeballs",
    "aiohttp",
    "ghl_voice_async",
    "idna",
    "multidict",
    "propcache",
    "uvloop",
    "yarl",
}
_PROXY_SCHEMES: Final = ("https", "http", "wss", "ws")  # aiohttp reads all of them for every request


def is_raised_by_aiohttp(error: Exception, *, called_from: str) -> bool:
    """Return True if aiohttp, or a library that it uses, raised `error` when the module `called_from` called it.

    A middleware, a rate limiter and a tracing callback raise errors of the user. Those leave a frame of the user's
    code further in than the call.
    """
    is_within = False
    for frame, _ in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module == called_from:
            is_within = True
        elif module.partition(".")[0] not in _LIBRARIES:
            is_within = False
    return is_within


def unsendable_error(error: Exception, *, session_proxy: object, trusts_environment: bool) -> TransportError:
    """Make the error of a request that aiohttp cannot make. Another attempt cannot help.

    It says where a proxy was given, and never shows the value, which may hold a password.
    """
    if session_proxy is not None:
        problem = "the proxy of the aiohttp session cannot be used"
        advice = "" if _is_proxy(session_proxy) else ": it is not a URL such as http://proxy.example.com:3128"
    elif trusts_environment:
        proxies = getproxies()
        wrong = [name for name in _PROXY_SCHEMES if name in proxies and not _is_proxy(proxies[name])]
        problem = "the proxy settings or the netrc file of the environment cannot be used"
        advice = ""
        if wrong:
            problem = f"the proxy that {wrong[0].upper()}_PROXY names cannot be used"
            advice = ": it is not a URL such as http://proxy.example.com:3128"
    else:
        problem, advice = "aiohttp cannot make the request with this session", ""
    return TransportError(f"{problem}{advice} ({type(error).__name__})", retryable=False)


def _is_proxy(value: object) -> bool:
    if not isinstance(value, str | URL):
        return False
    try:
        host = URL(value).raw_host
        return bool(host) and bool(str(host).encode("idna"))  # as the look-up of names encodes it
    except ValueError:
        return False
