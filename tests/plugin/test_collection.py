"""Collections wait until nobody is inside, and stay off where they were off."""

import gc
from collections.abc import Iterator

import pytest

from plugin.collection import collection_put_off


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.enable()
    yield
    if not was_on:
        gc.disable()


def test_no_collection_begins_inside_and_the_outermost_lets_them_go_on() -> None:
    with collection_put_off():
        assert not gc.isenabled()
        with collection_put_off():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_inside_lets_them_go_on() -> None:
    with pytest.raises(ZeroDivisionError), collection_put_off():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_whoever_had_them_off_keeps_them_off() -> None:
    gc.disable()
    with collection_put_off():
        pass
    assert not gc.isenabled()
