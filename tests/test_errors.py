from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import ghl_voice_async as ghl
from ghl_voice_async import errors
from ghl_voice_async.response import Headers

CONTEXT: dict[str, Any] = {"call_id": "c1", "location_id": "l1", "attempts": 3}
STATUS: dict[str, Any] = {"status": 429, "body": "{}", "headers": Headers({"X-A": "1"}), "retry_after": 2.5}
EVERY_ERROR = [getattr(errors, name) for name in errors.__all__]


def made(error: type[ghl.GHLVoiceError]) -> ghl.GHLVoiceError:
    if issubclass(error, ghl.StatusError):
        return error("no", **STATUS, **CONTEXT)
    if issubclass(error, ghl.DecodeError):
        return error(["$.id: required, but missing", "$.duration: expected number, got string"], **CONTEXT)
    return error("no", **CONTEXT)


@pytest.mark.parametrize("error_class", EVERY_ERROR)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_pickles_whole(error_class: type[ghl.GHLVoiceError], protocol: int) -> None:
    error = made(error_class)
    error.add_note("seen in the worker")

    loaded = pickle.loads(pickle.dumps(error, protocol))

    assert type(loaded) is error_class
    assert (str(loaded), loaded.args) == (str(error), error.args)
    assert {**vars(loaded), "headers": None} == {**vars(error), "headers": None}
    assert dict(getattr(loaded, "headers", {})) == dict(getattr(error, "headers", {}))


def test_every_error_can_be_copied() -> None:
    error = made(ghl.DeadlineExceededError)
    assert vars(copy.copy(error)) == vars(error)
    assert str(copy.deepcopy(error)) == str(error)


@pytest.mark.parametrize(
    ("error_class", "builtin"),
    [
        (ghl.InvalidInputError, ValueError),
        (ghl.ClientClosedError, RuntimeError),
        (ghl.DeadlineExceededError, TimeoutError),
        (ghl.AttemptTimeoutError, ghl.TransportError),
        (ghl.DailyLimitError, ghl.RateLimitError),
        (ghl.RateLimitError, ghl.StatusError),
    ],
)
def test_errors_are_caught_as_what_they_are(error_class: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error_class, builtin)


@pytest.mark.parametrize("error_class", EVERY_ERROR)
def test_every_error_is_of_the_one_root(error_class: type[Exception]) -> None:
    assert issubclass(error_class, ghl.GHLVoiceError)


def test_the_text_says_what_happened_to_which_call_and_what_to_do() -> None:
    error = ghl.AuthenticationError("Invalid token", status=401, call_id="c1", location_id="l1", attempts=1)
    assert str(error) == (
        "HTTP 401: Invalid token [call 'c1' of location 'l1', 1 attempt] "
        "Check the token, and that it belongs to this location."
    )


def test_a_refused_id_can_neither_forge_a_log_line_nor_flood_it() -> None:
    text = str(ghl.InvalidInputError("no", call_id="a\nERROR forged", location_id="x" * 10_000))
    assert "\n" not in text
    assert len(text) < 200


@pytest.mark.parametrize("error_class", EVERY_ERROR)
def test_no_text_of_an_error_breaks_a_line(error_class: type[ghl.GHLVoiceError]) -> None:
    forged = "oops\nERROR forged\x1b[2J\u2028"
    if issubclass(error_class, ghl.StatusError):
        error: ghl.GHLVoiceError = error_class(forged, **STATUS)
    elif issubclass(error_class, ghl.DecodeError):
        error = error_class([forged])
    else:
        error = error_class(forged)

    texts = [str(error), error.args[0], getattr(error, "message", ""), *getattr(error, "problems", ())]
    assert [text for text in texts if not text.isprintable()] == []
    assert "oops ERROR forged [2J" in texts[0]


def test_an_error_of_no_call_names_none() -> None:
    assert str(ghl.InvalidInputError("timeout must be above 0")) == "timeout must be above 0"
    assert str(ghl.GHLVoiceError()) == ""
    assert ghl.GHLVoiceError.__new__(ghl.GHLVoiceError).args == ()


def test_a_decode_error_shows_the_first_problems_and_keeps_all() -> None:
    problems = [f"$.a{number}: expected string, got null" for number in range(5)]
    error = ghl.DecodeError(problems)
    assert error.problems == tuple(problems)
    assert str(error).endswith("$.a2: expected string, got null; and 2 more in .problems")


def test_the_text_of_an_error_without_its_arguments_is_empty() -> None:
    error = ghl.TransportError("reset")
    error.args = ()
    assert str(error) == ""
