"""What would the bot have earned with the ensemble's decisions, its own signal, both or neither?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from shadow.positions import Path, Stops, TradedBars, average_true_range, follow, step_ends_ms
from shadow.statistics import block_bootstrap, deflated_sharpe
from shadow.statistics.overlap import Floats, Integers

_YEAR_MS = 365.25 * 86_400_000
_MAX_POINTS = 500
_N_RESAMPLES = 500
_RUIN = -0.999_999  # a step can not cost more than there is


class Costs(msgspec.Struct, frozen=True):
    """Of every change of position, in hundredths of a percent of the amount that is traded.

    The fee is what Binance asks of a taker on its spot market; the slippage is a guess.
    """

    fee_bps: float = 10.0
    slippage_bps: float = 5.0

    @property
    def share(self) -> float:
        return (self.fee_bps + self.slippage_bps) / 10_000.0


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """One way to trade the same bars. Returns are simple, after costs: 0.01 is one percent.

    `equity` starts at 1 and has one item per item of `Trading.time_ms`. `low` and `high` bound the
    95 % block-bootstrap interval of `total_return`. `max_drawdown` is 0 to 1, `exposure` the mean
    absolute position, `costs` the sum of what was paid. `sharpe` is per year, `deflated_sharpe` as in
    `shadow.statistics.DeflatedSharpe`. NaN where there is too little to tell.
    """

    total_return: float
    low: float
    high: float
    max_drawdown: float
    sharpe: float
    deflated_sharpe: float
    exposure: float
    n_trades: int
    n_stops: int
    costs: float
    equity: list[float]


class Slice(msgspec.Struct, frozen=True):
    """What a part of the bars adds to the ensemble's result: the sum of their returns after costs.

    `hit_rate` is the share of the bars with a position that earned something before costs.
    """

    n_bars: int
    total_return: float
    hit_rate: float


class Trading(msgspec.Struct, frozen=True, kw_only=True):
    """The same bars traded in several ways, every symbol with the same share of the capital.

    `strategies` has the keys `ensemble`, `host`, `both`, `neither` and `buy_and_hold`; `host` and
    `both` are missing where the host told no signal. `time_ms` are close times, at most 500. `n_bars`
    counts bars of all symbols that have a next one; on `n_unstopped` of those with a position no stop
    could be simulated. `by_regime`, `by_hour` (UTC, "00" to "23") and `by_symbol` split the ensemble's
    result.
    """

    fee_bps: float
    slippage_bps: float
    n_trials: int
    n_bars: int
    n_unstopped: int
    time_ms: list[int]
    strategies: dict[str, Strategy]
    by_regime: dict[str, Slice]
    by_hour: dict[str, Slice]
    by_symbol: dict[str, Slice]


class _Grid(NamedTuple):
    """The ends of all steps: `end_ms` (t,), where those of each series lie on it, how many series."""

    end_ms: Integers
    place: list[Integers]
    n_series: int
    bars_per_year: float


class _Steps(NamedTuple):
    """The steps of all series, one after the other: what each earned after costs, whether there was a
    position, and whether that earned something before costs."""

    net: Floats
    held: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    n_series: int


def trade(series: Sequence[TradedBars], costs: Costs, n_trials: int) -> Trading:
    """Trade the bars of the window in every way. `n_trials` is how many candidates were ever tried.

    The return of a step is the mean over the series; capital compounds over the steps.
    """
    parts = [part for part in map(_window_of, series) if part[0].close.size > 1]
    windows, stops = [one for one, _ in parts], [stop for _, stop in parts]
    grid = _grid(windows)
    sizes = [one.size_multiplier for one in windows]
    sides: dict[str, Callable[[TradedBars], NDArray[np.int8]]] = {"ensemble": lambda one: one.side}
    if any(one.has_host_signal.any() for one in windows):
        sides["host"] = lambda one: one.host_side
        sides["both"] = lambda one: np.where(one.host_side == one.side, one.side, np.int8(0))
    sides["neither"] = lambda one: np.zeros_like(one.side)
    sides["buy_and_hold"] = lambda one: np.ones_like(one.side)
    paths = {
        name: [
            follow(side(one), size, one.close, stop)
            if name in {"ensemble", "both"}
            else follow(side(one), np.ones_like(size), one.close, None)
            for one, size, stop in zip(windows, sizes, stops, strict=True)
        ]
        for name, side in sides.items()
    }
    returns = {name: _returns(own, grid, costs) for name, own in paths.items()}
    points = _points(returns["ensemble"])
    steps = _steps(paths["ensemble"], costs)
    return Trading(
        fee_bps=costs.fee_bps,
        slippage_bps=costs.slippage_bps,
        n_trials=n_trials,
        n_bars=sum(one.close.size - 1 for one in windows),
        n_unstopped=sum(map(_n_unstopped, windows, stops, paths["ensemble"])),
        time_ms=_times(grid, points),
        strategies={
            name: _strategy(own, returns[name], grid, costs, n_trials, points)
            for name, own in paths.items()
        },
        by_regime=_slices(steps, *_regimes(windows)),
        by_hour=_slices(steps, *_hours(windows)),
        by_symbol=_slices(steps, *_symbols(windows)),
    )


def _window_of(bars: TradedBars) -> tuple[TradedBars, Stops]:
    """From the first bar of the window on, with ranges that look back before it.

    Bars that are context within it stay, with no decision.
    """
    inside = np.flatnonzero(bars.in_window)
    own = slice(int(inside[0]) if inside.size else bars.close.size, None)
    arrays: dict[str, Any] = {
        name: value[own] for name, value in vars(bars).items() if isinstance(value, np.ndarray)
    }
    cut = replace(bars, **arrays)
    return cut, Stops(cut.high, cut.low, cut.stop_atr, average_true_range(bars)[own])


def _grid(windows: Sequence[TradedBars]) -> _Grid:
    ends = [step_ends_ms(one) for one in windows]
    if not ends:
        return _Grid(np.empty(0, dtype=np.int64), [], 0, float("nan"))
    end_ms = np.unique(np.concatenate(ends))
    shortest_ms = min(one.length_ms for one in windows)
    places = [np.searchsorted(end_ms, own) for own in ends]
    return _Grid(end_ms, places, len(windows), _YEAR_MS / shortest_ms)


def _returns(paths: Sequence[Path], grid: _Grid, costs: Costs) -> Floats:
    """The return of the capital on each step of the grid (t,)."""
    total = np.zeros(grid.end_ms.size)
    for path, place in zip(paths, grid.place, strict=True):
        total += np.bincount(place, path.gross - path.turnover * costs.share, total.size)
    return np.maximum(total / max(grid.n_series, 1), _RUIN)


def _strategy(
    paths: Sequence[Path],
    returns: Floats,
    grid: _Grid,
    costs: Costs,
    n_trials: int,
    points: Integers,
) -> Strategy:
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    growth = np.log1p(returns)
    low, high = block_bootstrap(growth, _compounded, overlap_bars=1, n_resamples=_N_RESAMPLES)
    sharpe = deflated_sharpe(returns, n_trials, grid.bars_per_year)
    positions = [path.position for path in paths]
    n_steps = sum(position.size for position in positions)
    turnover = sum(float(path.turnover.sum()) for path in paths)
    return Strategy(
        total_return=float(equity[-1] - 1.0),
        low=low,
        high=high,
        max_drawdown=float(np.max(1.0 - equity / np.maximum.accumulate(equity))),
        sharpe=sharpe.sharpe,
        deflated_sharpe=sharpe.deflated,
        exposure=sum(float(np.abs(one).sum()) for one in positions) / n_steps if n_steps else 0.0,
        n_trades=sum(map(_n_trades, positions)),
        n_stops=sum(path.n_stops for path in paths),
        costs=turnover * costs.share / max(grid.n_series, 1),
        equity=equity[points].tolist(),
    )


def _compounded(resamples: Floats) -> Floats:
    compounded: Floats = np.expm1(resamples.sum(axis=1))
    return compounded


def _n_trades(position: Floats) -> int:
    """How often a side was taken."""
    side = np.sign(position)
    return int(np.count_nonzero((side != 0) & (np.diff(side, prepend=0.0) != 0)))


def _n_unstopped(bars: TradedBars, stops: Stops, path: Path) -> int:
    blind = np.isnan(stops.atr[:-1]) | np.isnan(bars.low[1:]) | np.isnan(bars.high[1:])
    return int(np.count_nonzero(blind & (path.position != 0.0)))


def _points(returns: Floats) -> Integers:
    """Which of the t + 1 values of an equity are kept: evenly spread ones, the first and the last, and
    the ensemble's peak and trough of its deepest fall."""
    equity = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    trough = int(np.argmax(1.0 - equity / np.maximum.accumulate(equity)))
    peak = int(np.argmax(equity[: trough + 1]))
    even = np.linspace(0, returns.size, min(_MAX_POINTS - 2, equity.size)).round().astype(np.int64)
    return np.unique(np.concatenate([even, [peak, trough]]))


def _times(grid: _Grid, points: Integers) -> list[int]:
    """The close times of an equity's values; the first one is a bar before the first end."""
    if not grid.end_ms.size:
        return [0]
    step_ms = round(_YEAR_MS / grid.bars_per_year)
    times: list[int] = np.concatenate([[grid.end_ms[0] - step_ms], grid.end_ms])[points].tolist()
    return times


def _regimes(windows: Sequence[TradedBars]) -> tuple[list[str], list[Integers]]:
    """The names of the regimes, and for each series the index of every step (n - 1,)."""
    names = list(windows[0].regimes) if windows else []
    return names, [one.regime[:-1] for one in windows]


def _hours(windows: Sequence[TradedBars]) -> tuple[list[str], list[Integers]]:
    """The hour of the day (UTC) in which a step begins."""
    names = [f"{hour:02d}" for hour in range(24)]
    return names, [(one.open_time_ms[:-1] + one.length_ms) // 3_600_000 % 24 for one in windows]


def _symbols(windows: Sequence[TradedBars]) -> tuple[list[str], list[Integers]]:
    names = sorted({one.symbol for one in windows})
    return names, [np.full(one.close.size - 1, names.index(one.symbol)) for one in windows]


def _steps(paths: Sequence[Path], costs: Costs) -> _Steps:
    if not paths:
        return _Steps(np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=bool), 0)
    held = np.concatenate([path.position != 0.0 for path in paths])
    return _Steps(
        net=np.concatenate([path.gross - path.turnover * costs.share for path in paths]),
        held=held,
        hit=held & np.concatenate([path.gross > 0.0 for path in paths]),
        n_series=len(paths),
    )


def _slices(steps: _Steps, names: list[str], codes: Sequence[Integers]) -> dict[str, Slice]:
    if not steps.n_series:
        return {}
    group = np.concatenate(codes)
    n_bars, total = np.bincount(group), np.bincount(group, steps.net) / steps.n_series
    n_held = np.bincount(group[steps.held], minlength=n_bars.size)
    n_hit = np.bincount(group[steps.hit], minlength=n_bars.size)
    with np.errstate(invalid="ignore"):
        hit_rate = n_hit / n_held
    return {
        names[code]: Slice(int(n_bars[code]), float(total[code]), float(hit_rate[code]))
        for code in np.flatnonzero(n_bars)
    }
