"""How often is looked again?"""

import pytest

from shadow.board.pace import Paced


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def looking(clock, takes_s, found):
    def look():
        clock.now_s += takes_s
        return found

    return look


def test_an_unchanged_key_is_never_looked_at_again():
    clock = Clock()
    paced = Paced(clock)
    assert paced.get("key", looking(clock, 1.0, "first")) == "first"
    clock.now_s += 1e6
    assert paced.get("key", looking(clock, 1.0, "second")) == "first"


def test_at_most_a_tenth_of_the_time_is_spent():
    clock = Clock()
    paced = Paced(clock)
    n_looks = 0
    for key in range(10_000):
        before_s = clock.now_s
        paced.get(key, looking(clock, 2.0, key))
        n_looks += clock.now_s > before_s
        clock.now_s += 0.1
    assert n_looks * 2.0 / clock.now_s == pytest.approx(0.1, rel=0.05)


def test_nothing_is_kept_of_a_look_that_failed():
    clock = Clock()
    paced = Paced(clock)
    with pytest.raises(ZeroDivisionError):
        paced.get("key", lambda: 1 / 0)
    assert paced.get("key", looking(clock, 1.0, "found")) == "found"
