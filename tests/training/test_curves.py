"""The picture of how networks learnt."""

from __future__ import annotations

from training.curves import loss_curves

LEARNING = {
    "lstm": {"loss": [0.7, 0.6, 0.5], "loss_stopped_by": [0.7, 0.65, 0.66], "best_epoch": 2},
    "tcn": {"loss": [0.7, 0.69], "loss_stopped_by": [0.7, 0.71], "best_epoch": 1},
}


def test_it_is_a_picture_with_a_panel_for_each_network() -> None:
    both, one = loss_curves(LEARNING), loss_curves({"lstm": LEARNING["lstm"]})
    for picture in (both, one):
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    widths = [int.from_bytes(picture[16:20], "big") for picture in (both, one)]
    assert widths[0] == 2 * widths[1]


def test_other_losses_are_another_picture_and_the_same_ones_the_same() -> None:
    other = {"lstm": {**LEARNING["lstm"], "loss": [0.7, 0.6, 0.4]}}
    assert loss_curves({"lstm": LEARNING["lstm"]}) == loss_curves({"lstm": LEARNING["lstm"]})
    assert loss_curves({"lstm": LEARNING["lstm"]}) != loss_curves(other)
