"""Which bars go out, when, and of which is somebody told that they are overdue."""

from __future__ import annotations

from math import inf

import pytest

from plugin.bar import BarClosed
from plugin.sources.bar_ledger import HOLD_BARS, BarLedger, grace_ms
from tests.support.bars import HOURLY, bar_at, open_ms

A, B = "A/USDT", "B/USDT"
GRACE_MS = grace_ms(HOURLY.length_ms)
ALWAYS_MS = open_ms(10_000)  # our own clock, where it does not matter


def ledger(*symbols: str, first: int = 0) -> BarLedger:
    made = BarLedger(symbols or (A, B), HOURLY.length_ms)
    made.begin(open_ms(first), open_ms(first + 1))
    return made


def bar(slot: int, symbol: str = A, close: float = 100.0) -> BarClosed:
    return bar_at(slot, close, symbol)


def out(of: BarLedger, now_ms: float, local_ms: int = ALWAYS_MS) -> list[tuple[str, int, str | None]]:
    """The next batch: symbol, slot and what was answered already."""
    return [
        (one.symbol, (one.open_time_ms - open_ms(0)) // HOURLY.length_ms, one.already_answered)
        for one in of.next_batch(now_ms, local_ms)
    ]


@pytest.mark.parametrize(("length_ms", "grace"), [(60_000, 6_000), (3_600_000, 30_000)])
def test_a_batch_waits_for_a_tenth_of_a_bar_and_never_for_more_than_half_a_minute(
    length_ms: int, grace: int
) -> None:
    assert grace_ms(length_ms) == grace


def test_a_batch_goes_out_when_it_is_whole() -> None:
    of = ledger()
    of.take(bar(0))
    assert out(of, open_ms(1)) == []
    of.take(bar(0, B))
    assert out(of, open_ms(1)) == [(A, 0, None), (B, 0, None)]
    assert out(of, open_ms(1)) == []


def test_at_the_deadline_it_goes_out_with_what_there_is() -> None:
    of = ledger()
    of.take(bar(0))
    late_ms = open_ms(1) + GRACE_MS
    assert of.overdue(late_ms - 1, ALWAYS_MS) == []
    assert out(of, late_ms - 1) == []
    assert of.overdue(late_ms, ALWAYS_MS) == [(B, open_ms(0))]
    assert out(of, late_ms) == [(A, 0, None)]
    assert of.overdue(late_ms + 1, ALWAYS_MS) == [], "each is told once"
    of.take(bar(0, B))
    assert out(of, late_ms + 2) == [(B, 0, "gap")]


def test_an_unknown_time_lets_only_whole_batches_out() -> None:
    of = ledger()
    of.take(bar(0))
    assert out(of, -inf) == []
    of.take(bar(0, B))
    assert len(out(of, -inf)) == 2


def test_a_bar_whose_predecessor_is_missing_is_held_back_and_told_of() -> None:
    of = ledger(A)
    of.take(bar(1))
    assert of.n_held_back() == 1
    now_ms = open_ms(2) + GRACE_MS
    assert of.overdue(now_ms, ALWAYS_MS) == [(A, open_ms(0)), (A, open_ms(1))]
    assert out(of, now_ms) == []
    of.take(bar(0))
    assert [out(of, now_ms), out(of, now_ms)] == [[(A, 0, "gap")], [(A, 1, "gap")]]
    assert of.n_held_back() == 0


def test_nobody_waits_for_a_symbol_that_is_behind() -> None:
    of = ledger()
    of.take(bar(0))
    of.overdue(open_ms(1) + GRACE_MS, ALWAYS_MS)
    assert out(of, open_ms(1) + GRACE_MS) == [(A, 0, None)]
    of.take(bar(1))
    of.take(bar(1, B))  # in time, but its predecessor is missing
    assert out(of, open_ms(2)) == [(A, 1, None)]


def test_what_the_exchange_lacks_is_believed_when_it_lacks_it_twice_and_shows_four_later_bars() -> None:
    of = ledger(A)
    for number in (1, 2, 3, 4):
        of.take(bar(number))
    few, enough = ([open_ms(-1), *(open_ms(n) for n in range(1, last + 1))] for last in (3, 4))
    for seen in (few, few, few):
        of.lacks(A, seen)
    assert out(of, open_ms(5)) == [], "it may still come"
    of.lacks(A, enough)
    assert of.overdue(open_ms(5), ALWAYS_MS)[0] == (A, open_ms(0)), "who waits is told at once"
    assert out(of, open_ms(5))[0][:2] == (A, 1)


def test_one_answer_without_a_bar_is_not_believed() -> None:
    of = ledger(A)
    of.take(bar(1))
    of.lacks(A, [open_ms(-1), *(open_ms(n) for n in range(1, 9))])
    assert out(of, open_ms(9)) == []


@pytest.mark.parametrize("seen", [[], [1, 2], [-2, -1], [-1, 0, 1]])
def test_an_answer_that_does_not_reach_around_the_bar_proves_nothing(seen: list[int]) -> None:
    of = ledger(A)
    of.take(bar(1))
    for _ in range(3):
        of.lacks(A, [open_ms(slot) for slot in seen])
    assert out(of, open_ms(2)) == []


def test_after_24_bars_it_goes_on_without_the_missing_one() -> None:
    of = ledger(A)
    for slot in range(1, HOLD_BARS):
        of.take(bar(slot))
    assert out(of, open_ms(HOLD_BARS)) == []
    of.take(bar(HOLD_BARS))
    assert out(of, open_ms(HOLD_BARS + 1))[0][:2] == (A, 1)


def test_the_same_bar_again_is_not_delivered_and_a_revised_one_is() -> None:
    of = ledger(A)
    of.take(bar(0))
    out(of, open_ms(1))
    assert not of.take(bar(0))
    assert out(of, open_ms(1)) == []
    assert of.take(bar(0, close=101.0))
    assert out(of, open_ms(1)) == [(A, 0, None)]
    assert not of.take(bar(0, close=101.0))


def test_history_is_known_and_older_bars_are_nobodys_business() -> None:
    of = ledger(A, first=5)
    of.know([bar(3), bar(4)])
    assert not of.take(bar(4))
    assert not of.take(bar(1))
    assert of.take(bar(3, close=101.0))
    assert of.to_ask(open_ms(6), 0) == [(A, open_ms(4))], "from a bar that is known"


def test_a_bar_is_not_delivered_before_it_has_closed_by_our_own_clock() -> None:
    of = ledger(A)
    of.take(bar(0))
    assert out(of, open_ms(1), local_ms=open_ms(1) - 1) == []
    assert of.overdue(open_ms(1) + GRACE_MS, open_ms(1) - 1) == [(A, open_ms(0))]
    assert out(of, open_ms(1), local_ms=open_ms(1)) == [(A, 0, "gap")]


def test_what_closed_before_the_start_is_not_late() -> None:
    of = BarLedger((A, B), HOURLY.length_ms)
    now_ms = open_ms(3) + 600_000
    of.begin(open_ms(1), now_ms)
    assert of.overdue(now_ms, ALWAYS_MS) == []
    of.take(bar(1))
    assert out(of, now_ms) == [], "the other one is waited for"
    of.take(bar(1, B))
    assert out(of, now_ms) == [(A, 1, None), (B, 1, None)]


def test_rest_is_asked_when_a_bar_does_not_come_and_then_ever_less_often() -> None:
    of, settle_ms = ledger(A), 2_000
    assert of.to_ask(open_ms(1) + settle_ms - 1, settle_ms) == []
    now_ms, waits_ms = open_ms(1) + settle_ms, []
    for _ in range(14):
        assert of.to_ask(now_ms, settle_ms)
        of.asked(A, now_ms, is_answered=True)
        asked_ms = now_ms
        while not of.to_ask(now_ms, settle_ms):
            now_ms += 1_000
        waits_ms.append(now_ms - asked_ms)
    assert waits_ms[:4] == [1_000, 2_000, 4_000, 8_000]
    assert waits_ms[-1] == HOURLY.length_ms
    of.asked(A, now_ms, is_answered=False)
    assert of.to_ask(now_ms + 1_000, settle_ms), "no answer says nothing about the bar"
    of.asked(A, now_ms, is_answered=True)
    of.take(bar(5))
    assert of.to_ask(now_ms + 1_000, settle_ms), "a later bar shows that the exchange has it"


def test_a_hint_of_the_stream_makes_rest_be_asked_at_once_and_only_once() -> None:
    of = ledger(A)
    of.hurry(A, open_ms(3))
    assert of.to_ask(open_ms(1), 2_000) == []
    of.hurry(A, open_ms(0))
    assert of.to_ask(open_ms(1), 2_000)
    of.asked(A, open_ms(1), is_answered=True)
    of.hurry(A, open_ms(0))
    assert of.to_ask(open_ms(1) + 500, 2_000) == []


def test_a_dropped_symbol_is_overdue_at_every_close_and_keeps_nobody_waiting() -> None:
    of = ledger()
    of.drop(B)
    for slot in range(3):
        of.take(bar(slot))
        assert out(of, open_ms(slot + 1)) == [(A, slot, None)]
        told = of.overdue(open_ms(slot + 1) + GRACE_MS, ALWAYS_MS)
        assert told == [(B, open_ms(slot))]
    assert [name for name, _ in of.to_ask(open_ms(9), 0)] == [A]
