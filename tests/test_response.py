from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

import ghl_voice_async as ghl
from ghl_voice_async.printable import printable
from ghl_voice_async.redaction import Redaction
from ghl_voice_async.response import (
    DailyHeaders,
    Headers,
    Response,
    WindowHeaders,
    daily_headers,
    is_of_another_call,
    retry_after,
    status_error,
    truncation_error,
    window_headers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def error_of(
    status: int,
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    *,
    reason: str = "",
    redact: Callable[[str], str] = str,
) -> ghl.StatusError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = Response(status=status, body=raw, headers=headers or {}, reason=reason)
    error = status_error(response, redact=redact)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, ghl.StatusError),
        (400, ghl.BadRequestError),
        (401, ghl.AuthenticationError),
        (403, ghl.PermissionDeniedError),
        (404, ghl.NotFoundError),
        (408, ghl.StatusError),
        (409, ghl.StatusError),
        (422, ghl.UnprocessableEntityError),
        (425, ghl.StatusError),
        (429, ghl.RateLimitError),
        (500, ghl.ServerError),
        (501, ghl.ServerError),
        (530, ghl.ServerError),
    ],
)
def test_a_status_becomes_its_error(status: int, expected: type[ghl.StatusError]) -> None:
    error = error_of(status)
    assert type(error) is expected
    assert error.status == status


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id":"asked"}', False),
        (b'{"id": "asked", "summary": ""}', False),
        (b'\xef\xbb\xbf{"id":"asked"}', False),
        (b' {"summary": "", "id" : "asked"}', False),
        (b'{"summary": "", "id":"asked"}', False),
        (b'{"\\u0069d": "asked"}', False),
        (b'{"actions": [{"id": "other"}], "id": "asked"}', False),
        (b'{"id": "other"}', True),
        (b'{"id": "asked2"}', True),
        (b'{"actions": [{"id": "asked"}], "id": "other"}', True),
        (b'{"summary": "\\"id\\": \\"asked\\"", "id": "other"}', True),
        (b'{"\\u0069d": "other"}', True),
        (b"{}", False),
        (b'{"id": 5}', False),
        (b'["other"]', False),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_guarantee_17_a_body_that_names_another_call_is_found(body: bytes, expected: bool) -> None:
    assert is_of_another_call(Response(200, body=body), "asked") is expected


def test_an_error_names_no_call() -> None:
    assert not is_of_another_call(Response(404, body=b'{"id": "other"}'), "asked")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_no_error(status: int) -> None:
    assert status_error(Response(status=status)) is None


def test_a_429_with_nothing_left_of_the_day_is_the_daily_limit() -> None:
    assert type(error_of(429, headers={"x-ratelimit-daily-remaining": "0"})) is ghl.DailyLimitError
    assert type(error_of(429, headers={"x-ratelimit-daily-remaining": "7"})) is ghl.RateLimitError


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        ({"message": "Invalid token"}, "Unauthorized", "Invalid token"),
        ({"message": ["a is empty", "b is empty", 7]}, "", "a is empty; b is empty"),
        ({"message": []}, "Whatever", "Whatever"),
        ({"message": 7}, "Whatever", "Whatever"),
        ({"error": "x"}, "", "Unauthorized"),
        (["x"], "", "Unauthorized"),
        (b'\xef\xbb\xbf{"message": "m"}', "", "m"),
        (b"<html>", "", "Unauthorized"),
        (b"", "", "Unauthorized"),
    ],
)
def test_the_message_is_that_of_the_body_or_else_the_reason_phrase(body: Any, reason: str, message: str) -> None:
    assert error_of(401, body, reason=reason).message == message


def test_a_status_that_nobody_named_has_a_message_too() -> None:
    assert error_of(530).message == "status without a name"


@pytest.mark.parametrize("body", [b"x" * 5000, "é".encode() * 5000, b"\xff" * 5000])
def test_promise_1_the_body_is_kept_up_to_2_kib(body: bytes) -> None:
    assert 2000 < len(error_of(500, body).body.encode()) <= 2048


def test_a_long_message_is_cut_as_well() -> None:
    assert len(error_of(400, {"message": "x" * 5000}).message) == 2048


def test_a_secret_is_redacted_in_all_that_an_error_keeps() -> None:
    redact = Redaction("marked-token").redact
    headers = CIMultiDict([("X-Echo", "Bearer marked-token"), ("Marked-Token", "1"), ("X-marked-token", "2")])

    error = error_of(400, {"message": "bad token marked-token"}, headers, reason="marked-token", redact=redact)

    assert "marked" not in repr((str(error), vars(error)))
    assert error.message == "bad token [redacted]"
    assert error.body == '{"message": "bad token [redacted]"}'
    assert dict(error.headers) == {"x-echo": "Bearer [redacted]", "[redacted]": "1", "x-[redacted]": "2"}
    assert error_of(400, reason="marked-token", redact=redact).message == "[redacted]"


def test_guarantee_1_a_secret_where_the_body_is_cut_is_redacted() -> None:
    error = error_of(400, b"x" * 2045 + b"marked-token", redact=Redaction("marked-token").redact)

    assert error.body == "x" * 2045 + "[re"


def test_a_header_keeps_its_meaning_where_a_part_of_it_is_redacted() -> None:
    headers = {"Retry-After": "00000012", "X-RateLimit-Daily-Remaining": "00000000"}

    error = error_of(429, b"", headers, redact=lambda _: "[redacted]")

    assert type(error) is ghl.DailyLimitError
    assert error.retry_after == 12


def test_no_more_of_many_headers_is_searched_than_can_be_kept() -> None:
    searched: list[str] = []
    headers = CIMultiDict({"Retry-After": "7", "X-Long": "a" * 16_384, **{f"X-{n}": "b" * 8000 for n in range(8)}})

    def redact(text: str) -> str:
        searched.append(text)
        return text

    error = status_error(Response(503, headers), redact=redact)

    assert error is not None
    assert list(error.headers) == ["retry-after", "x-0", "x-1"]
    assert sum(map(len, searched)) < 20_000


def test_no_more_of_a_long_body_is_searched_than_can_be_kept() -> None:
    searched = []

    def redact(text: str) -> str:
        searched.append(len(text))
        return text

    error_of(400, {"message": "x" * 60_000}, redact=redact)

    assert max(searched) <= 16 * 1024


@pytest.mark.parametrize(
    "hidden", ["\n", "\r\n", "\u2028", "\x85", "\x1b[2J", "\x9b31m", "\x7f", "\u202e", "\ud800", "\u061c"]
)
def test_no_message_of_a_server_breaks_a_line_or_steers_a_terminal(hidden: str) -> None:
    in_body = error_of(422, {"message": f"oops{hidden} CRITICAL forged"})
    in_list = error_of(422, {"message": ["oops", f"{hidden} CRITICAL forged"]})
    in_reason = error_of(422, reason=f"oops{hidden} CRITICAL forged")

    for error in (in_body, in_list, in_reason):
        for text in (str(error), error.message, str(error.args)):
            assert text.isprintable()


def test_headers_are_found_in_any_case_and_cannot_be_changed() -> None:
    headers = Headers(CIMultiDict([("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "1")]))
    assert headers["SET-COOKIE"] == "a, b"
    assert dict(headers) == {"set-cookie": "a, b", "x": "1"}
    assert len(headers) == 2
    assert repr(Headers({"X": "1"})) == "Headers({'x': '1'})"
    with pytest.raises(TypeError):
        headers["X"] = "2"  # type: ignore[index]  # the point


def test_the_repr_of_a_response_shows_none_of_the_servers_words() -> None:
    response = Response(status=200, body=b"marked", headers={"A": "marked"}, reason="marked")
    assert repr(response) == "Response(status=200, body=<6 bytes>, length_known=True)"


@pytest.mark.parametrize(
    ("body", "length_known", "is_cut"),
    [
        (b'{"id": "1"}', False, False),
        (b'\xef\xbb\xbf{"id": "1"}', False, False),
        (b"7", False, False),
        (b'{"id": "1', False, True),
        (b"", False, True),
        (b"<html>", False, True),
        (b'{"id": "1', True, False),
    ],
)
def test_promise_14_a_success_of_no_stated_length_that_does_not_parse_counts_as_cut(
    body: bytes, length_known: bool, is_cut: bool
) -> None:
    error = truncation_error(Response(status=200, body=body, length_known=length_known))
    assert (error is not None) is is_cut
    if error is not None:
        assert error.retryable
        assert error.__context__ is None


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, (None, None, None)),
        ({"X-RateLimit-Max": "100"}, (100, None, None)),
        ({"X-RateLimit-Interval-Milliseconds": "10000"}, (None, 10.0, None)),
        ({"X-RateLimit-Interval-Milliseconds": "86400000"}, (None, 86400.0, None)),
        ({"X-RateLimit-Remaining": "0"}, (None, None, 0)),
        (
            {"x-ratelimit-max": " 7 ", "x-ratelimit-interval-milliseconds": "1500", "x-ratelimit-remaining": "7"},
            (7, 1.5, 7),
        ),
        ({"X-RateLimit-Max": "0"}, None),
        ({"X-RateLimit-Max": "-5"}, None),
        ({"X-RateLimit-Max": "5.0"}, None),
        ({"X-RateLimit-Max": "\u0665"}, None),
        ({"X-RateLimit-Max": "1" * 4301}, None),
        ({"X-RateLimit-Interval-Milliseconds": "0"}, None),
        ({"X-RateLimit-Interval-Milliseconds": "86400001"}, None),
        ({"X-RateLimit-Max": "5", "X-RateLimit-Remaining": "6"}, None),
        ({"X-RateLimit-Max": "5", "X-RateLimit-Remaining": ""}, None),
    ],
)
def test_promise_11_the_windows_headers_are_read_where_all_of_them_make_sense(
    headers: dict[str, str], said: tuple[int | None, float | None, int | None] | None
) -> None:
    assert window_headers(Headers(headers)) == (None if said is None else WindowHeaders(*said))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, None),
        ({"X-RateLimit-Limit-Daily": "200000"}, None),
        ({"X-RateLimit-Daily-Remaining": "0"}, (None, 0)),
        ({"x-ratelimit-daily-remaining": " 5 ", "x-ratelimit-limit-daily": "5"}, (5, 5)),
        ({"X-RateLimit-Daily-Remaining": "6", "X-RateLimit-Limit-Daily": "5"}, None),
        ({"X-RateLimit-Daily-Remaining": "0", "X-RateLimit-Limit-Daily": "0"}, None),
        ({"X-RateLimit-Daily-Remaining": "-1"}, None),
        ({"X-RateLimit-Daily-Remaining": "1e3"}, None),
        ({"X-RateLimit-Daily-Remaining": "1" * 10}, None),
    ],
)
def test_promise_11_the_days_headers_are_read_where_both_make_sense(
    headers: dict[str, str], said: tuple[int | None, int] | None
) -> None:
    assert daily_headers(Headers(headers)) == (None if said is None else DailyHeaders(*said))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        (" 5 ", 5),
        ("1.5", 1.5),
        ("3600", 3600),
        ("86400", 86400),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 86400),
        ("Sun, 06 Nov 1994 08:49:47 +0000", 10),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
        ("Sunday, 06-Nov-94 08:49:47 GMT", 10),
        ("Sun Nov  6 08:49:47 1994", 10),
    ],
)
def test_promise_9_retry_after_is_read_in_all_its_forms(value: str, seconds: float) -> None:
    assert retry_after(Headers({"Retry-After": value, "Date": DATE})) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "0", "0.0", "-1", DATE, "Sun, 06 Nov 1994 08:49:30 GMT", "", "abc", "nan", "inf", "1e400", "\u0665", "5, 6",
        "[5]", "Sun, 06 Nov 99999 08:49:47 GMT", "9" * 400, "1.", ".5", "+5", "Thu, 99 Foo 2026 99:99:99 GMT",
        "86401", "999999999", "Mon, 07 Nov 1994 08:49:38 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun Nov  6 08:49:37 2094", "Sun, \u0660\u0666 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:47",
        "Sun, 06 Nov 1994 08:49:47 GMT, Sun, 06 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:47 GMT; x",
        "06 Nov 1994 08:49:47 GMT", "1994-11-06T08:49:47Z", "Sun, 06 Nov 1994 24:00:00 GMT",
    ],
)  # fmt: skip
def test_promise_9_a_retry_after_that_makes_no_sense_is_ignored(value: str) -> None:
    assert retry_after(Headers({"Retry-After": value, "Date": DATE})) is None


def test_a_date_is_measured_against_our_clock_where_the_answer_has_none() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wait = retry_after(Headers({"Retry-After": soon}))
    assert wait is not None
    assert 3500 < wait <= 3600


@given(st.text() | st.from_regex(r"[A-Za-z]{3}, [0-9]{1,3} [A-Za-z]{3} [0-9]{1,6} [0-9:]{1,9} [A-Z+0-9-]*"), st.text())
def test_promise_9_no_header_ever_turns_an_answer_into_an_exception(value: str, date: str) -> None:
    wait = retry_after(Headers({"Retry-After": value, "Date": date}))
    assert wait is None or wait > 0


NOT_UTF_8 = [b"Zur\xfcck", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xe2\x98\x83 \xfc"]


def as_aiohttp_reads(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("raw", NOT_UTF_8)
def test_text_of_a_head_that_is_not_utf_8_is_read_as_latin_1(raw: bytes) -> None:
    text = as_aiohttp_reads(raw)

    error = error_of(500, headers=CIMultiDict([("X-A", text), (f"X-{text}", "1")]), reason=text)

    assert error.message == printable(raw.decode("latin-1"))
    assert dict(error.headers) == {"x-a": raw.decode("latin-1"), f"x-{raw.decode('latin-1')}".lower(): "1"}


@pytest.mark.parametrize("raw", [b"Gr\xc3\xbc\xc3\x9fe", b"\xe2\x98\x83", b"plain"])
def test_text_of_a_head_that_is_utf_8_stays(raw: bytes) -> None:
    error = error_of(500, headers={"X-A": as_aiohttp_reads(raw)}, reason=as_aiohttp_reads(raw))

    assert (error.message, error.headers["x-a"]) == (raw.decode(), raw.decode())


@pytest.mark.parametrize("text", [*map(as_aiohttp_reads, NOT_UTF_8), "\ud800", "a\udfff\u2603"])
def test_no_text_of_a_server_makes_an_error_that_cannot_be_written(text: str, tmp_path: Path) -> None:
    error = error_of(500, headers={"X-A": text}, reason=text)

    shown = [str(error), repr(error), error.message, *error.headers, *error.headers.values()]
    (tmp_path / "log").write_text("\n".join(shown), encoding="utf-8")

    assert json.dumps(shown, ensure_ascii=False).encode()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_body_that_costs_too_much_is_no_truncated_one() -> None:
    response = Response(200, body=b"[" + b"{}," * 1_000_000, length_known=False)

    assert truncation_error(response) is None
