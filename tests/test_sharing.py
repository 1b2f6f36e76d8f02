from __future__ import annotations

from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async.ranking import Ranking
from ghl_voice_async.sharing import Location, Sharing


@define(eq=False)
class Member:
    places: int = 0


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["put", "drop", "more", "less", "take"])), max_size=300))
def test_the_first_of_a_ranking_has_the_fewest_places_and_came_first(steps: list[tuple[int, str]]) -> None:
    ranking, members, came = Ranking[Member](), [Member() for _ in range(5)], list[Member]()

    for number, step in steps:
        member = members[number]
        if step == "put":
            came += [] if member in came else [member]
            ranking.put(member)
        elif step == "drop":
            came = [other for other in came if other is not member]
            ranking.drop(member)
        elif step == "take" and (first := ranking.first()) is not None:
            came.remove(first)
            ranking.drop(first)
        else:
            member.places = max(0, member.places + (1 if step == "more" else -1))
            if member in came:
                ranking.put(member)

        assert ranking.first() is min(came, key=lambda other: other.places, default=None)
        assert len(ranking._heap) <= 2 * len(came) + 64 + 5


def test_a_ranking_forgets_stale_entries_when_they_are_many() -> None:
    ranking, low, high = Ranking[Member](), Member(0), Member(5)
    ranking.put(low)

    for places in range(1000):
        high.places = 5 + places % 7
        ranking.put(high)

    assert len(ranking._heap) <= 2 * 2 + 64
    assert ranking.first() is low


def opened(sharing: Sharing, *names: str) -> list[Location]:
    locations = [sharing.open(name) for name in names]
    for location in locations:
        sharing.offer(location)
    return locations


def begun(sharing: Sharing, count: int, *, others_may_come: bool = True) -> str:
    """Begin as many calls as there are places for, up to a number, each of a location that has more."""
    names = ""
    for _ in range(count):
        location = sharing.next_to_begin(others_may_come=others_may_come)
        if location is None:
            break
        sharing.take_place(location)
        names += location.id
    return names


def test_guarantee_40_a_location_gets_two_places_until_it_responds() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")

    assert begun(sharing, 8) == "AA"

    sharing.hear(location, 200)
    assert begun(sharing, 8) == "AAAAAA"


def test_guarantee_40_an_attempt_that_leaves_the_token_open_allows_one_more() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")
    begun(sharing, 8)

    sharing.hear(location, 503)

    assert begun(sharing, 8) == "A"


def test_guarantee_40_a_refusal_leaves_one_place_until_a_request_is_accepted() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")
    sharing.hear(location, 200)
    sharing.hear(location, 401)

    assert not sharing.refuse(location, ("token",))
    assert begun(sharing, 8) == "A"
    sharing.hear(location, 503)
    assert begun(sharing, 8) == ""
    sharing.hear(location, 404)

    assert begun(sharing, 3) == "AAA"
    assert not sharing.refuse(location, ("token",))


def test_guarantee_40_another_token_starts_anew() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")

    refusals = [sharing.refuse(location, (token,)) for token in ("old", "new", "newer", "newer")]

    assert refusals == [False, False, False, True]


def test_guarantee_40_calls_that_share_one_of_several_refused_tokens_are_two() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")

    refusals = [sharing.refuse(location, tokens) for tokens in (("a", "b"), ("c", "d"), ("e", "d"))]

    assert refusals == [False, False, True]


def test_guarantee_40_a_refused_call_that_waits_for_a_token_counts_as_sent() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")
    assert begun(sharing, 8) == "AA"

    sharing.hold(location, 1)
    sharing.leave_place(location)
    assert begun(sharing, 8) == ""
    sharing.hold(location, -1)

    assert begun(sharing, 8) == "A"


def test_a_location_that_does_not_respond_gets_its_share_after_all_others() -> None:
    sharing = Sharing(8)
    sick, _, well = opened(sharing, "A", "B", "C")
    for location in (sick, well):
        sharing.hear(location, 200)
    sharing.hear(sick, None)
    sharing.withdraw(sharing.open("B"))

    assert begun(sharing, 2) == "CC"
    sharing.withdraw(well)
    assert begun(sharing, 8) == "AA"

    sharing.hear(sick, 200)
    assert begun(sharing, 8) == "AAAA"


def test_a_location_is_silent_while_others_have_many_responses() -> None:
    sharing = Sharing(4)
    slow, quick = opened(sharing, "A", "B")
    sharing.hear(slow, 200)
    begun(sharing, 1)

    for _ in range(4):
        sharing.hear(quick, 200)
    sharing.withdraw(quick)

    assert begun(sharing, 4) == "A"
    assert slow.is_silent


def test_silent_locations_alone_get_all_places() -> None:
    sharing = Sharing(8)
    (location,) = opened(sharing, "A")
    for _ in range(8):
        sharing.hear(location, None)

    assert begun(sharing, 8) == "AAAA"
    assert begun(sharing, 8, others_may_come=False) == "AAAA"


def test_what_is_over_is_forgotten_unless_it_refused_calls() -> None:
    sharing = Sharing(8)
    fine, refused = opened(sharing, "A", "B")
    sharing.hear(fine, None)
    sharing.refuse(refused, ("token",))

    for location in (fine, refused):
        sharing.end(location)

    assert [*sharing.locations] == ["B"]
    assert not sharing.open_locations
    assert not sharing.are_all_refused()
