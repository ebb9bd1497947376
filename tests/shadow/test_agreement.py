"""Do the ensemble and the bot say the same?"""

import pytest

from shadow.agreement import agreement, side_of_signal


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("long", 1),
        ("BUY", 1),
        ("enter_long:breakout", 1),
        ("enter_long (tag)", 1),
        ("sell", -1),
        ("enter_short", -1),
        ("hold", 0),
        ("exit_long", 0),
        ("", 0),
        ("rsi=31", None),
        ("longing", None),
    ],
)
def test_where_a_signal_points(text, side):
    assert side_of_signal(text) == side


def test_bars_are_counted_by_how_far_both_agree():
    counts = {
        ("buy", "long"): 5,
        ("buy", "short"): 2,
        ("buy", "flat"): 1,
        ("exit", "flat"): 4,
        ("rsi", "long"): 3,
    }
    both = agreement(counts)
    assert (both.n, both.n_same, both.n_opposed) == (12, 9, 2)
    assert both.share_same == 0.75
    assert both.table["buy"] == {"long": 5, "short": 2, "flat": 1}
    assert both.not_understood == {"rsi": 3}


def test_without_a_signal_there_is_nothing_to_agree_with():
    assert agreement({}) is None


def test_signals_that_nobody_understands_agree_with_nothing():
    assert agreement({("rsi", "long"): 3}).share_same != agreement({("rsi", "long"): 3}).share_same
