"""Ids, state tables, who is acting."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from billing.kernel import ids
from billing.kernel.context import NOBODY, acting, become, current
from billing.kernel.errors import IllegalMove
from billing.kernel.ids import uuid7
from billing.kernel.models import DELIVERY_MOVES, JOB_MOVES, DeliveryState, JobState
from billing.kernel.states import move, next_state, pairs


def test_an_id_is_a_version_7_uuid_of_this_moment(time_machine):
    time_machine.move_to("2030-01-01T00:00:00.123Z", tick=False)
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 1893456000123


def test_ids_grow_within_a_process_also_when_the_clock_goes_back(time_machine):
    time_machine.move_to("2030-01-01T00:00:00Z", tick=False)
    later = [uuid7() for _ in range(5000)]  # more than one millisecond has room for
    time_machine.move_to("2029-12-31T00:00:00Z", tick=False)
    later.append(uuid7())

    assert all(one < other for one, other in pairwise(later))


def test_threads_never_get_the_same_id():
    with ThreadPoolExecutor(8) as pool:
        made = [
            one for batch in pool.map(lambda _: [uuid7() for _ in range(2000)], range(8)) for one in batch
        ]
    assert len(set(made)) == 16_000
    assert len({one.int >> 64 for one in made}) == 16_000  # by their order, not by luck


@pytest.fixture(autouse=True)
def fresh_clock(monkeypatch):
    """Ids made under a moved clock must not push the ids of other tests into the future."""
    monkeypatch.setattr(ids, "_last", 0)


MOVES = {"submit": move("draft", to="open"), "close": move("draft", "open", to="closed")}


@pytest.mark.parametrize(
    ("action", "state", "expected"),
    [("submit", "draft", "open"), ("close", "draft", "closed"), ("close", "open", "closed")],
)
def test_a_legal_move_leads_to_its_target(action, state, expected):
    assert next_state(MOVES, action=action, current=state) == expected


def test_an_illegal_move_says_where_it_would_be_legal():
    with pytest.raises(IllegalMove) as refusal:
        next_state(MOVES, action="submit", current="closed")

    assert refusal.value.detail == "Cannot submit from 'closed'."
    assert refusal.value.extra == {"action": "submit", "current": "closed", "allowed_from": ["draft"]}


def test_an_unknown_action_is_a_bug_and_no_refusal():
    with pytest.raises(KeyError):
        next_state(MOVES, action="fly", current="draft")


def test_pairs_are_the_table_read_the_other_way_round():
    assert pairs(MOVES) == [("draft", "closed"), ("draft", "open"), ("open", "closed")]


@pytest.mark.parametrize(("moves", "states"), [(DELIVERY_MOVES, DeliveryState), (JOB_MOVES, JobState)])
def test_the_kernels_tables_speak_of_their_own_states(moves, states):
    assert {state for pair in pairs(moves) for state in pair} <= set(states.values)


def test_nobody_acts_until_somebody_does():
    assert current() == NOBODY
    with acting(actor="command:x", request_id="r1") as outer:
        assert current() == outer
        with acting(ip="192.0.2.1"):
            assert (current().actor, current().request_id, current().ip) == ("command:x", "r1", "192.0.2.1")
        assert current() == outer
    assert current() == NOBODY


def test_what_a_request_learns_about_its_caller_ends_with_it():
    with acting(request_id="r1"):
        become(actor="user:1")
        assert (current().actor, current().request_id) == ("user:1", "r1")
    assert current() == NOBODY


def test_the_context_ends_also_when_the_work_fails():
    with pytest.raises(RuntimeError), acting(actor="user:1"):
        raise RuntimeError
    assert current() == NOBODY


def test_another_thread_is_nobody():
    with acting(actor="user:1"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() == NOBODY


def test_the_context_as_the_database_reads_it():
    with acting(actor='user:"1"', request_id="ü", ip="::1") as here:
        assert json.loads(here.as_json()) == {"actor": 'user:"1"', "request_id": "ü", "ip": "::1"}
