from __future__ import annotations

from typing import Any

import pytest

from ghl_voice_async import InvalidInputError, TokenProvider
from ghl_voice_async.auth import Secret, StaticToken, bearer_token


async def test_a_static_token_serves_every_location() -> None:
    provider = StaticToken("pit-marked")
    assert isinstance(provider, TokenProvider)
    await provider.token_refused("LOC", "pit-marked")
    assert await provider.get_token("LOC") == "pit-marked"


def test_a_secret_masks_its_repr_and_is_a_str_otherwise() -> None:
    secret = bearer_token("pit-marked")
    assert "marked" not in repr({"Authorization": secret})
    assert secret == "pit-marked"
    assert f"Bearer {secret}" == "Bearer pit-marked"
    assert isinstance(secret, Secret)


@pytest.mark.parametrize("bad", ["", " ", "pit marked", "marked\n", "\x00marked", "márked", None, 7, b"marked"])
def test_promise_24_a_bad_token_is_refused_without_showing_it(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="token") as caught:
        bearer_token(bad)
    assert "marked" not in str(caught.value)
