"""What do the networks of a bundle know of each symbol before its bar closes?

A network's state after all rows of a window but the newest is computed between bars and kept here,
beside what the buffer held then. At the close it counts only where the buffer has taken in nothing but
the next bar since; else it is computed anew, with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plugin.predictors.windowed import NetworkState, WindowedNetwork
from plugin.windows import EarlierRows, State


class Prepared:
    """The states of all networks, a slot for each symbol."""

    def __init__(self, networks: Mapping[str, WindowedNetwork]) -> None:
        self._networks = networks
        self._slots: dict[str, int] = {}
        self._known: dict[str, State] = {}
        self._has_window: dict[str, NDArray[np.bool_]] = {
            name: np.zeros(0, dtype=np.bool_) for name in networks
        }
        self._states: dict[str, NetworkState] = {}

    def prepare(self, windows: Sequence[EarlierRows]) -> list[int]:
        """Make sure of the state after each of `windows`; the slots that they are in."""
        slots = [self._slots.setdefault(one.symbol, len(self._slots)) for one in windows]
        due = [
            (slot, one)
            for slot, one in zip(slots, windows, strict=True)
            if one.state is None or self._known.get(one.symbol) != one.state
        ]
        if due:
            lengths = {network.n_steps - 1 for network in self._networks.values()}
            rows = {n: [(slot, one.newest(n)) for slot, one in due] for n in lengths}
            for name, network in self._networks.items():
                self._prepare(name, network, rows[network.n_steps - 1])
            for _, one in due:
                if one.state is not None:
                    self._known[one.symbol] = one.state
        return slots

    def state(self, name: str, slots: Sequence[int]) -> tuple[NetworkState, NDArray[np.bool_]]:
        """The state of the network `name` in `slots`, (n, ...) each part, and (n,) whether there is
        one: where there is none the state is that of another time."""
        first = slots[0]
        whole: slice | Sequence[int] = slots
        if list(slots) == list(range(first, first + len(slots))):
            whole = slice(first, first + len(slots))  # no copy
        return tuple(part[whole] for part in self._states[name]), self._has_window[name][whole]

    def _prepare(
        self,
        name: str,
        network: WindowedNetwork,
        found: Sequence[tuple[int, NDArray[np.float32] | None]],
    ) -> None:
        """Ask `network` of the rows that were `found` for each slot, None where there is no window."""
        has_window = np.zeros(len(self._slots), dtype=np.bool_)
        has_window[: self._has_window[name].size] = self._has_window[name]
        rows = [of_one for _, of_one in found if of_one is not None]
        have = [slot for slot, of_one in found if of_one is not None]
        has_window[[slot for slot, _ in found]] = False
        has_window[have] = True
        self._has_window[name] = has_window
        state = network.prepare(np.stack(rows) if rows else network.no_rows())
        self._states[name] = tuple(
            _with_room(held, made, len(self._slots))
            for held, made in zip(self._states.get(name, state), state, strict=True)
        )
        for held, made in zip(self._states[name], state, strict=True):
            held[have] = made


def _with_room(
    held: NDArray[np.float32], made: NDArray[np.float32], n_slots: int
) -> NDArray[np.float32]:
    if held is not made and len(held) >= n_slots:
        return held
    room = np.zeros((n_slots, *made.shape[1:]), dtype=np.float32)
    if held is not made:
        room[: len(held)] = held
    return room
