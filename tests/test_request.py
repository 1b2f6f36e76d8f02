from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from ghl_voice_async import InvalidInputError
from ghl_voice_async.request import call_log_request, check_base_url, request_headers

BASE = "https://services.leadconnectorhq.com"
BY_EITHER = "(cannot be parsed|not a name or an address)"  # newer versions of Python parse more strictly
BAD_IDS = [
    "", " ", "   ", ".", "..", "a/b", "../x", "a%2Fb", "a?b", "a#b", "a\x00", "a\n", "\ta", "é", "①", "a b",
    "a" * 257, None, 7, b"abc", ["a"],
]  # fmt: skip


def test_the_url_is_the_one_of_the_api_page() -> None:
    request = call_log_request(BASE, {}, "507f1f77bcf86cd799439011", "LOC123456789ABCDEF")
    assert request.base_url == BASE
    assert request.path == "/voice-ai/dashboard/call-logs/507f1f77bcf86cd799439011"
    assert request.query == "locationId=LOC123456789ABCDEF"
    assert request.path_template == "/voice-ai/dashboard/call-logs/{callId}"
    assert (request.call_id, request.location_id) == ("507f1f77bcf86cd799439011", "LOC123456789ABCDEF")


@pytest.mark.parametrize("good", ["a", "-", "_", "a" * 256, "Z9_-"])
def test_ids_of_the_known_alphabet_are_taken(good: str) -> None:
    request = call_log_request(BASE, {}, good, good)
    assert (request.path.rpartition("/")[2], request.query) == (good, f"locationId={good}")


@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
def test_promise_23_a_bad_id_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^call_id must be 1 to 256 of the characters"):
        call_log_request(BASE, {}, bad, "LOC")
    with pytest.raises(InvalidInputError, match=r"^location_id must be 1 to 256 of the characters"):
        call_log_request(BASE, {}, "abc", bad)


def test_the_error_of_a_bad_id_names_the_call() -> None:
    with pytest.raises(InvalidInputError) as caught:
        call_log_request(BASE, {}, "a/b", "LOC")
    assert (caught.value.call_id, caught.value.location_id, caught.value.attempts) == ("a/b", "LOC", 0)
    with pytest.raises(InvalidInputError) as caught:
        call_log_request(BASE, {}, 7, None)  # type: ignore[arg-type]  # the point
    assert (caught.value.call_id, caught.value.location_id) == (None, None)


def test_a_long_bad_id_is_shown_in_part() -> None:
    with pytest.raises(InvalidInputError) as caught:
        call_log_request(BASE, {}, "/" * 5000, "LOC")
    assert "(5000 characters)" in str(caught.value.args[0])
    assert len(caught.value.args[0]) < 200


def test_every_request_carries_these_headers() -> None:
    headers = request_headers("v3")
    assert headers["Version"] == "v3"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("ghl-voice-async/")


@pytest.mark.parametrize("bad", ["", "2021 04 15", "v3\r\nX: 1", "ü", None, 3])
def test_a_bad_version_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInputError, match="api_version"):
        request_headers(bad)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (BASE, BASE),
        (BASE + "/", BASE),
        ("https://proxy.example.com:8443/ghl/", "https://proxy.example.com:8443/ghl"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("https://[fe80::1%eth0]", "https://[fe80::1%eth0]"),
        ("https://a_b.example.", "https://a_b.example."),
        ("https://1.example", "https://1.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://xn--strae-oqa.example", "https://xn--strae-oqa.example"),
        (f"https://{'a' * 63}.example", f"https://{'a' * 63}.example"),
        ("https://example.com:", "https://example.com:"),
        ("https://example.com/a[b]c", "https://example.com/a[b]c"),
    ],
)
def test_base_urls_that_can_be_used(given: str, used: str) -> None:
    assert check_base_url(given) == used


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("", "empty"),
        (None, "must be a str"),
        ("services.leadconnectorhq.com", "https://"),
        ("ftp://example.com", "https://"),
        ("https://", "a host"),
        ("https://user:marked@example.com", "user or a password"),
        ("https://example.com/?key=marked", "query"),
        ("https://example.com/#marked", "fragment"),
        ("https://example.com/a/../b", r"\.\."),
        ("https://example.com/%2e%2E/b", r"\.\."),
        ("https://exämple.com", "character"),
        ("https://example.com/a b", "character"),
        ("https://example.com\n", "character"),
        ("https://example.com:99999", "cannot be parsed"),
        ("https://example.com:0", "port"),
        ("https://example.com:65536", "cannot be parsed"),
        ("https://example.com:abc", "port is not a number"),
        ("https://example.com:-1", "port is not a number"),
        ("https://example.com:8_0", "port is not a number"),
        ("https://example.com:80:80", "port is not a number"),
        ("https://[::1", "cannot be parsed"),
        ("https://[]", BY_EITHER),
        ("https://[v1.x]", BY_EITHER),
        ("https://[::1]x", BY_EITHER),
        ("https://[::1]]", BY_EITHER),
        ("http://example.com[::1]", BY_EITHER),
        ("https://example.com[::1]", BY_EITHER),
        ("https://ex ample", "character"),
        ("https://ex%20ample", "not a name or an address"),
        ("https://a,b", "not a name or an address"),
        ("https://.", "not a name or an address"),
        ("https://.a", "not a name or an address"),
        ("https://a..b", "not a name or an address"),
        ("https://a..", "not a name or an address"),
        (f"https://{'a' * 64}.example", "not a name or an address"),
        (f"https://{'a' * 300}", "not a name or an address"),
        (f"https://{'.'.join(['a' * 60] * 5)}", "not a name or an address"),
        ("https://256.256.256.256", "cannot be parsed"),
        ("https://1.2.3", "cannot be parsed"),
        ("https://xn--", "cannot be parsed"),
        ("https://xn--a.example", "cannot be parsed"),
        ("http://services.leadconnectorhq.com", "clear text"),
        ("http://192.168.1.1", "clear text"),
        ("http://127.0.0.1.example.com", "clear text"),
    ],
)
def test_promise_24_a_bad_base_url_is_refused_saying_why_and_without_its_secrets(bad: Any, why: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^base_url cannot be used: .*{why}") as caught:
        check_base_url(bad)
    assert "marked" not in str(caught.value)


@given(st.text("aAnx1.-_:[]%08/@\\ ", max_size=12))
def test_guarantee_24_whatever_base_url_is_taken_can_be_sent_to(text: str) -> None:
    try:
        base_url = check_base_url(f"https://{text}")
    except InvalidInputError:
        return

    request = call_log_request(base_url, {}, "a", "b")
    url = URL(request.base_url + request.path, encoded=True)

    assert url.host is not None
    assert str(url.raw_host).encode("idna")
    assert url.port is not None
