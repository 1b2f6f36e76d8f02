"""Tokens: where they come from, and how they are kept out of sight.

A private integration token or an access token of a sub-account, both sent as a bearer token (RFC 6750).
"""

from __future__ import annotations

import re
from typing import NoReturn, Protocol, Self, runtime_checkable

from ghl_voice_async.errors import InvalidInputError
from ghl_voice_async.redaction import Redaction

__all__ = ["BearerToken", "Secret", "StaticToken", "TokenProvider"]

_TOKEN = re.compile(r"[!-~]+")


class Secret:
    """Something that its holder alone can see: no repr, traceback with local variables, copy or pickle shows it.

    It is no `str`. What prints tracebacks cuts a long `str` to pieces and prints these, whatever its repr is.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def reveal(self) -> object:
        """Return it. Leave it in no local variable."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


class BearerToken(Secret):
    """A token that a header can carry, and that header's value."""

    __slots__ = ("_redaction", "authorization")

    _value: str
    authorization: str
    """The value of the `Authorization` header."""

    def __init__(self, token: object) -> None:
        """Make it, or raise `InvalidInputError`, which does not show the token."""
        problem = _problem_with(token)
        if problem is not None:
            token = None
            raise InvalidInputError(problem)
        super().__init__(token)
        self.authorization = _HeaderValue(f"Bearer {token}")
        self._redaction: Redaction | None = None

    def reveal(self) -> str:
        """Return the token. Leave it in no local variable."""
        return self._value

    def redact(self, text: str) -> str:
        """Return a text of the server's with `[redacted]` in place of the token."""
        if self._redaction is None:
            self._redaction = Redaction(self._value)
        return self._redaction.redact(text)


class _HeaderValue(str):
    """The value of a header, which has to be a `str`. Neither its repr nor a part of it shows anything."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: object) -> str:
        # What prints tracebacks cuts a long text first, and prints what is left.
        return "***"


def _problem_with(token: object) -> str | None:
    if not isinstance(token, str):
        return f"the token must be a str, not {type(token).__name__}"
    if not token:
        return "the token is empty; pass token= or set GHL_ACCESS_TOKEN"
    if not _TOKEN.fullmatch(token):
        return "the token has a space, a control character or a non-ASCII character in it"
    return None


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

    __slots__ = ("bearer_token",)

    def __init__(self, token: Secret) -> None:
        self.bearer_token: BearerToken = BearerToken(token.reveal())

    async def get_token(self, location_id: str) -> str:  # noqa: ARG002  # the protocol's
        """Return the token."""
        return self.bearer_token.reveal()

    async def token_refused(self, location_id: str, token: str) -> None:
        """Do nothing: there is no other token to offer."""
