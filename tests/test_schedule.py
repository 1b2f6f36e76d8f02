from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from ghl_voice_async import CallLog, CallLogResult, CallRef
from ghl_voice_async.schedule import Item, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator


def schedule(*, concurrency: int = 2, look_ahead: int = 10, ordered: bool = False) -> Schedule[CallLogResult]:
    return Schedule(concurrency=concurrency, look_ahead=look_ahead, ordered=ordered)


def add(to: Schedule[CallLogResult], *locations: str) -> None:
    for location_id in locations:
        to.add(CallRef(f"call-{to.read}", location_id))


def result(item: Item) -> CallLogResult:
    position, ref = item
    return CallLogResult(position, ref, CallLog(id=ref.call_id))


def begin(from_: Schedule[CallLogResult]) -> Item:
    """Begin a call and let it have its permit, at a location that is known to accept its token."""
    item = from_.begin()
    assert item is not None
    from_.hear(location_of(item), 200)
    from_.allow(location_of(item))
    return item


def location_of(item: Item) -> str:
    _, ref = item
    return ref.location_id


def finish(in_: Schedule[CallLogResult], item: Item) -> None:
    in_.leave_place(location_of(item))
    in_.end(location_of(item), result(item))


def delivered(by: Schedule[CallLogResult]) -> list[int]:
    return [given.index for given in iter(by.next_result, None)]


def test_locations_take_turns() -> None:
    schedule_ = schedule(concurrency=6)
    add(schedule_, *"AAABBC")
    assert [location_of(begin(schedule_)) for _ in range(6)] == [*"ABCABA"]


def test_the_calls_of_a_location_begin_in_the_order_of_the_input() -> None:
    schedule_ = schedule(concurrency=6)
    add(schedule_, *"ABABAA")
    begun = [begin(schedule_) for _ in range(6)]
    assert [position for position, ref in begun if ref.location_id == "A"] == [0, 2, 4, 5]


def test_one_call_at_a_time_asks_about_a_location() -> None:
    """Promise 35."""
    schedule_ = schedule(concurrency=5)
    add(schedule_, *"AAB")
    first, other = schedule_.begin(), schedule_.begin()
    assert first == (0, ("call-0", "A"))
    assert other == (2, ("call-2", "B"))
    assert schedule_.begin() is None
    schedule_.allow("A")
    assert schedule_.begin() == (1, ("call-1", "A"))


def test_a_call_read_while_its_location_is_asked_about_waits() -> None:
    schedule_ = schedule()
    add(schedule_, "A")
    schedule_.begin()
    add(schedule_, "A")
    assert schedule_.begin() is None


def test_no_more_are_begun_than_there_are_places() -> None:
    schedule_ = schedule(concurrency=2)
    add(schedule_, *"ABC")
    first, _ = begin(schedule_), begin(schedule_)
    assert schedule_.begin() is None
    finish(schedule_, first)
    assert location_of(begin(schedule_)) == "C"


def test_a_call_that_waits_leaves_its_place_and_needs_one_again() -> None:
    schedule_ = schedule(concurrency=1)
    add(schedule_, *"AB")
    schedule_.begin()
    schedule_.leave_place("A")
    other = begin(schedule_)
    schedule_.set_returning("A", is_returning=True)
    assert schedule_.next_to_return() is None
    finish(schedule_, other)
    assert schedule_.next_to_return() == "A"


def test_nothing_is_begun_or_read_while_the_consumer_has_enough_to_take() -> None:
    """Promise 37."""
    schedule_ = schedule(concurrency=2)
    add(schedule_, *"ABC")
    for item in [begin(schedule_), begin(schedule_)]:
        finish(schedule_, item)
    assert schedule_.begin() is None
    assert not schedule_.has_room
    schedule_.next_result()
    assert schedule_.has_room
    assert schedule_.begin() is not None


def test_in_order_a_result_waits_for_those_before_it() -> None:
    schedule_ = schedule(concurrency=3, ordered=True)
    add(schedule_, *"ABC")
    first, second, third = [begin(schedule_) for _ in range(3)]
    finish(schedule_, third)
    assert delivered(schedule_) == []
    finish(schedule_, first)
    assert delivered(schedule_) == [0]
    finish(schedule_, second)
    assert delivered(schedule_) == [1, 2]


def test_in_order_what_a_stop_leaves_without_a_result_is_passed_over_at_the_end() -> None:
    """Promise 40: what was fetched is delivered."""
    schedule_ = schedule(concurrency=4, ordered=True)
    add(schedule_, *"ABCD")
    first, _, third, fourth = [begin(schedule_) for _ in range(4)]
    schedule_.stop()
    finish(schedule_, fourth)
    finish(schedule_, third)
    schedule_.leave_place("B")
    schedule_.end("B", None)
    assert delivered(schedule_) == []
    finish(schedule_, first)
    assert delivered(schedule_) == [0, 2, 3]
    assert schedule_.is_over


def test_after_a_stop_nothing_is_begun_or_read() -> None:
    schedule_ = schedule()
    add(schedule_, "A")
    assert schedule_.has_room
    assert schedule_.is_short
    schedule_.stop()
    assert schedule_.begin() is None
    assert not schedule_.has_room
    assert not schedule_.is_short
    assert schedule_.is_over


def test_reading_goes_on_until_there_are_two_calls_a_place_and_begins_again_at_half_of_that() -> None:
    schedule_ = schedule(concurrency=2)
    add(schedule_, *"ABCD")
    assert not schedule_.has_room
    begin(schedule_)
    assert (schedule_.has_room, schedule_.is_short) == (True, False)
    begin(schedule_)
    assert (schedule_.has_room, schedule_.is_short) == (True, True)


def test_as_long_as_a_place_is_idle_it_is_read_on_for_another_location() -> None:
    schedule_ = schedule(concurrency=2, look_ahead=5)
    add(schedule_, "A")
    schedule_.begin()
    for _ in range(6):
        assert schedule_.is_short
        add(schedule_, "A")
        schedule_.wait("A")
    assert schedule_.read == 7
    assert not schedule_.has_room  # look_ahead and concurrency are read, and none delivered


def test_a_call_that_is_about_to_ask_leaves_no_place_idle() -> None:
    """Or an input of one location would be read ahead as far as it may be, item by item."""
    schedule_ = schedule(concurrency=2, look_ahead=100)
    add(schedule_, *"AAAAA")
    schedule_.hear("A", 200)
    schedule_.begin()
    assert (schedule_.has_room, schedule_.is_short) == (False, False)
    schedule_.wait("A")
    assert (schedule_.has_room, schedule_.is_short) == (True, True)
    schedule_.allow("A")
    assert (schedule_.has_room, schedule_.is_short) == (False, False)


def test_a_location_that_had_to_wait_is_not_taken_for_one_that_is_about_to_ask() -> None:
    schedule_ = schedule(concurrency=2, look_ahead=100)
    add(schedule_, *"AAAAAAA")
    schedule_.begin()
    schedule_.wait("A")
    schedule_.allow("A")
    schedule_.leave_place("A")
    schedule_.begin()
    assert (schedule_.has_room, schedule_.is_short) == (False, False)


def test_an_item_that_names_no_call_has_its_result_without_a_place() -> None:
    schedule_ = schedule(concurrency=1)
    schedule_.reject(CallLogResult(0, CallRef("?", ""), error=ValueError()))
    add(schedule_, "A")
    assert delivered(schedule_) == [0]
    position, _ = begin(schedule_)
    assert position == 1


def test_it_is_over_when_all_that_was_read_has_its_result() -> None:
    schedule_ = schedule()
    add(schedule_, "A")
    schedule_.read_up()
    assert not schedule_.is_over
    item = begin(schedule_)
    assert not schedule_.is_over
    finish(schedule_, item)
    assert schedule_.is_over


@define
class Run:
    """A bulk played by dice: every step is one of those that are possible, until nothing is left to do."""

    concurrency: int
    look_ahead: int
    ordered: bool
    locations: list[str]
    schedule: Schedule[CallLogResult] = field(init=False)
    delivered: list[int] = field(factory=list)
    asking: dict[str, Item] = field(factory=dict)
    returning: list[Item] = field(factory=list)
    sending: list[Item] = field(factory=list)
    begun: defaultdict[str, list[int]] = field(factory=lambda: defaultdict(list))

    def __attrs_post_init__(self) -> None:
        self.schedule = schedule(concurrency=self.concurrency, look_ahead=self.look_ahead, ordered=self.ordered)

    def steps(self) -> Iterator[Any]:
        if self.schedule.read < len(self.locations) and self.schedule.has_room:
            yield self.read
        if self.schedule._results:
            yield self.deliver
        if self.asking:
            yield self.permit
        if self.sending:
            yield self.respond

    def read(self, _: int) -> None:
        add(self.schedule, self.locations[self.schedule.read])
        if self.schedule.read == len(self.locations):
            self.schedule.read_up()

    def deliver(self, _: int) -> None:
        given = self.schedule.next_result()
        assert given is not None
        self.delivered.append(given.index)

    def permit(self, dice: int) -> None:
        location_id = [*self.asking][dice % len(self.asking)]
        item = self.asking.pop(location_id)
        self.schedule.allow(location_id)
        self.returning.append(item)
        self.schedule.set_returning(location_id, is_returning=True)

    def respond(self, dice: int) -> None:
        item = self.sending.pop(dice % len(self.sending))
        self.schedule.hear(location_of(item), [200, 503, 404, None][dice % 4])
        finish(self.schedule, item)

    def settle(self) -> None:
        """Do what is done at once: those that have a permit go first, then others begin and leave their place."""
        while (location_id := self.schedule.next_to_return()) is not None:
            first = next(item for item in self.returning if location_of(item) == location_id)
            self.schedule.take_place(location_id)
            self.returning.remove(first)
            self.sending.append(first)
            is_returning = any(location_of(item) == location_id for item in self.returning)
            self.schedule.set_returning(location_id, is_returning=is_returning)
        while (item := self.schedule.begin()) is not None:
            position, ref = item
            assert ref.location_id not in self.asking
            self.begun[ref.location_id].append(position)
            self.asking[ref.location_id] = item
            self.schedule.leave_place(ref.location_id)
            self.schedule.wait(ref.location_id)

    def check(self) -> None:
        assert len(self.sending) <= self.concurrency
        assert self.schedule.read - len(self.delivered) <= self.look_ahead + self.concurrency
        assert self.ordered is False or self.delivered == [*range(len(self.delivered))]


@given(
    st.integers(1, 4),
    st.integers(1, 8),
    st.booleans(),
    st.lists(st.sampled_from("ABCD"), min_size=1, max_size=30),
    st.data(),
)
def test_whatever_happens_in_whatever_order_every_item_is_delivered_once(
    concurrency: int, look_ahead: int, ordered: bool, locations: list[str], data: st.DataObject
) -> None:
    """Promises 36 and 37: within the bounds of reading and of places, without a standstill."""
    run = Run(concurrency, look_ahead, ordered, locations)
    for _ in range(5 * len(locations)):
        run.settle()
        run.check()
        if run.schedule.is_over and not run.schedule._results:
            break
        possible = [*run.steps()]
        assert possible, "standstill"
        data.draw(st.sampled_from(possible))(data.draw(st.integers(0, 10)))
    assert Counter(run.delivered) == Counter(range(len(locations)))
    for positions in run.begun.values():
        assert positions == sorted(positions)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_location_that_waits_holds_up_no_other_within_look_ahead(ordered: bool) -> None:
    schedule_ = schedule(concurrency=2, look_ahead=100, ordered=ordered)
    add(schedule_, "A")
    schedule_.begin()
    schedule_.leave_place("A")
    schedule_.wait("A")
    while schedule_.read < 100 and schedule_.has_room:
        add(schedule_, "A")
    add(schedule_, "B")
    assert schedule_.read == 101
    assert location_of(begin(schedule_)) == "B"
