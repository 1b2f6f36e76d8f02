"""Tokens: where they come from, and how they are kept out of sight.

A private integration token or an access token of a sub-account, both sent as a bearer token (RFC 6750).
"""

from __future__ import annotations

import re
from typing import Protocol, Self, runtime_checkable

from ghl_voice_async.errors import InvalidInputError

__all__ = ["BearerToken", "Secret", "StaticToken", "TokenProvider", "bearer_token"]

_TOKEN = re.compile(r"[!-~]+")


class Secret(str):
    """Text whose repr is masked, so that no traceback with local variables, and no repr of headers, shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class BearerToken(Secret):
    """A token that a header can carry, and that header's value."""

    authorization: Secret

    def __new__(cls, token: str) -> Self:
        """Make it, or raise `InvalidInputError`, which does not show the token."""
        if not isinstance(token, str):
            raise InvalidInputError(f"the token must be a str, not {type(token).__name__}")
        if not token:
            raise InvalidInputError("the token is empty; pass token= or set GHL_ACCESS_TOKEN")
        if not _TOKEN.fullmatch(token):
            raise InvalidInputError("the token has a space, a control character or a non-ASCII character in it")
        self = super().__new__(cls, token)
        self.authorization = Secret(f"Bearer {token}")
        return self


@runtime_checkable
class TokenProvider(Protocol):
    """Gives the token to use for a location, and is told when the server refused one.

    For every request `get_token` is awaited, so it should answer from memory when it can. After a 401
    `token_refused` is awaited once with the refused token; if `get_token` then gives another one, the
    request is sent once more with that. What either raises reaches the caller as it is. Many calls may
    ask at the same time, and any of them may be cancelled.

    ::

        class TokensByLocation:
            def __init__(self, tokens: dict[str, str]) -> None:
                self._tokens = tokens

            async def get_token(self, location_id: str) -> str:
                return self._tokens[location_id]

            async def token_refused(self, location_id: str, token: str) -> None:
                self._tokens = await load_tokens()
    """

    async def get_token(self, location_id: str) -> str:
        """Return the token for this location."""
        ...  # pyright takes a docstring alone for a body that returns nothing

    async def token_refused(self, location_id: str, token: str) -> None:
        """Learn that the server answered 401 to this token."""


class StaticToken:
    """The one token given to the client, for every location."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = BearerToken(token)

    async def get_token(self, location_id: str) -> str:  # noqa: ARG002  # the protocol's
        """Return the token."""
        return self._token

    async def token_refused(self, location_id: str, token: str) -> None:
        """Do nothing: there is no other token to offer."""


def bearer_token(token: str) -> BearerToken:
    """Return the token of a provider, checked, or raise `InvalidInputError`, which does not show it."""
    return token if isinstance(token, BearerToken) else BearerToken(token)
