from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ghl_voice_async import InvalidInputError, TokenProvider
from ghl_voice_async.auth import BearerToken, Secret, StaticToken

LONG = "eyJhbGciOiJSUzI1NiJ9." + ".".join(f"marked{number:03d}" for number in range(40))


async def test_a_static_token_serves_every_location() -> None:
    provider = StaticToken(Secret("pit-marked"))

    await provider.token_refused("LOC", "pit-marked")

    assert isinstance(provider, TokenProvider)
    assert await provider.get_token("LOC") == "pit-marked"
    assert provider.bearer_token == BearerToken("pit-marked")


@pytest.mark.parametrize("secret", [Secret(LONG), BearerToken(LONG), Secret([LONG]), Secret({"token": LONG})])
def test_a_secret_shows_nothing_in_any_text_of_it(secret: Secret) -> None:
    texts = [repr(secret), str(secret), f"{secret}", f"{secret!a}", repr([secret])]

    assert not isinstance(secret, str)
    assert [text for text in texts if "marked" in text] == []


def test_a_secret_is_equal_to_one_that_holds_the_same() -> None:
    assert Secret("pit-marked") == BearerToken("pit-marked")
    assert hash(Secret("pit-marked")) == hash(BearerToken("pit-marked"))
    assert Secret("pit-marked") != Secret("pit-other")
    assert Secret("pit-marked") != "pit-marked"


def test_a_copy_of_a_secret_is_the_secret_and_a_pickle_is_refused() -> None:
    secret = Secret("pit-marked")

    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="__dict__"):
        vars(secret)


def test_the_header_of_a_token_is_whole_and_shows_nothing_in_part() -> None:
    header = BearerToken(LONG).authorization

    assert header == f"Bearer {LONG}"
    assert "marked" not in repr({"Authorization": header})
    assert "marked" not in header[:80]


@pytest.mark.parametrize("bad", ["", " ", "pit marked", "marked\n", "\x00marked", "márked", None, 7, b"marked"])
def test_guarantee_24_a_bad_token_is_refused_without_showing_it(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="token") as caught:
        BearerToken(bad)

    assert "marked" not in str(caught.value)
