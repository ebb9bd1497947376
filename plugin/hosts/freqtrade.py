"""How does a freqtrade strategy ask shadowgate, and what does the answer change?

    from plugin.hosts.freqtrade import ShadowgateMixin

    class MineBesideShadowgate(ShadowgateMixin, Mine):
        shadowgate_socket = "/run/shadowgate/plugin.sock"

The mixin stands before the strategy. It changes something only where `Decision.follow` holds: in every
other case the trades are those of the strategy by itself. docs/hosts/freqtrade.md has it as a table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin.hosts.client import Client, Decision
from plugin.hosts.freqtrade_live import LiveAnswers
from plugin.hosts.freqtrade_recorded import RecordedAnswers

_log = logging.getLogger(__name__)
_LIVE = ("live", "dry_run")
_ATR_CANDLES = 14
_ATR_MEMORY = 120  # older candles weigh less than one part in 5,000
_STOP_KEY = "shadowgate_stop"

if TYPE_CHECKING:

    class _Strategy:
        """What is used of freqtrade's IStrategy, which is not installed where types are checked."""

        config: dict[str, Any]
        dp: Any
        timeframe: str
        use_custom_stoploss: bool

        def ft_bot_start(self, **kwargs: Any) -> None: ...
        def analyze(self, pairs: list[str]) -> None: ...
        def advise_exit(self, dataframe: Any, metadata: dict[str, Any]) -> Any: ...
        def informative_pairs(self) -> list[Any]: ...
        def custom_stoploss(self, **kwargs: Any) -> float | None: ...

        confirm_trade_entry: Any
        custom_stake_amount: Any

else:
    _Strategy = object


class ShadowgateMixin(_Strategy):
    """Asks once per new candle and pair; live decisions can refuse, shrink and guard entries.

    In a backtest the answers are read from the records of a replay instead. Nothing of it raises.
    """

    shadowgate_socket: str = "run/plugin.sock"
    """Where the service listens: its ML_SOCKET."""
    shadowgate_deadline_s: float = 0.25
    """How long a pair's question may take."""
    shadowgate_veto: bool = True
    """Refuse an entry against a decision: a long one on `short`, a short one on `long`."""
    shadowgate_veto_flat: bool = False
    """Refuse an entry on `flat`, too: enter only where the ensemble sees an edge."""
    shadowgate_size: bool = False
    """Multiply the stake by the decision's `size_multiplier`."""
    shadowgate_stop: bool = False
    """Bring the stop to `stop_atr` average true ranges from the entry where that is nearer."""
    shadowgate_records: str = ""
    """For backtests: the folder of the records that a replay wrote over the same candles."""
    shadowgate_models: str = "models"
    """For backtests: the service's ML_MODELS_DIR, where it stands what a bundle learnt from."""
    shadowgate_in_sample: bool = False
    """For backtests: follow decisions on bars that the bundle learnt from. They show no skill."""
    shadowgate_as_if_live: bool = False
    """For backtests: follow decisions that were made in shadow, to see what they would have changed."""

    _shadowgate: LiveAnswers | RecordedAnswers | None = None

    def ft_bot_start(self, **kwargs: Any) -> None:
        super().ft_bot_start(**kwargs)
        self._shadowgate_stops: dict[str, float] = {}
        with _unharmed():
            runmode = self.config.get("runmode")
            if getattr(runmode, "value", runmode) in _LIVE:
                client = Client(self.shadowgate_socket, deadline_s=self.shadowgate_deadline_s)
                self._shadowgate = LiveAnswers(client, self.dp, self.timeframe)
            else:
                self._shadowgate = RecordedAnswers(
                    self.shadowgate_records,
                    Path(self.shadowgate_models),
                    self.timeframe,
                    in_sample=self.shadowgate_in_sample,
                    as_if_live=self.shadowgate_as_if_live,
                )
            if self.shadowgate_stop:
                # Not a method: freqtrade asks the class for one, and acts on how it is spelt.
                self._shadowgate_own_stop = self.use_custom_stoploss
                self.use_custom_stoploss = True
                self.custom_stoploss = self._nearer_stoploss  # type: ignore[method-assign]

    def analyze(self, pairs: list[str]) -> None:
        """Called in every loop of a bot; afterwards the signals of new candles are known."""
        super().analyze(pairs)
        with _unharmed():
            if isinstance(self._shadowgate, LiveAnswers):
                self._shadowgate.ask(pairs)

    def advise_exit(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        """The last step of a backtest's dataframe: columns to look at, too late to make signals of."""
        dataframe = super().advise_exit(dataframe, metadata)
        with _unharmed():
            if isinstance(self._shadowgate, RecordedAnswers):
                self._shadowgate.add_columns(dataframe, metadata["pair"])
        return dataframe

    def informative_pairs(self) -> list[Any]:
        """The strategy's own, and those that the service compares with and can not fetch by itself."""
        pairs = list(super().informative_pairs() or [])
        with _unharmed():
            if isinstance(self._shadowgate, LiveAnswers):
                pairs += [(symbol, self.timeframe) for symbol in self._shadowgate.companions()]
        return pairs

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        is_confirmed: bool = super().confirm_trade_entry(
            pair=pair,
            order_type=order_type,
            amount=amount,
            rate=rate,
            time_in_force=time_in_force,
            current_time=current_time,
            entry_tag=entry_tag,
            side=side,
            **kwargs,
        )
        with _unharmed():
            decision = self._followed(pair, current_time)
            if decision is not None and self._is_against(decision, side):
                if isinstance(self._shadowgate, LiveAnswers):
                    _log.info("shadowgate refuses to go %s on %s: %s", side, pair, decision.action)
                return False
            self._note_stop(pair, decision)
        return is_confirmed

    def custom_stake_amount(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_stake: float,
        min_stake: float | None,
        max_stake: float,
        leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        stake: float = super().custom_stake_amount(
            pair=pair,
            current_time=current_time,
            current_rate=current_rate,
            proposed_stake=proposed_stake,
            min_stake=min_stake,
            max_stake=max_stake,
            leverage=leverage,
            entry_tag=entry_tag,
            side=side,
            **kwargs,
        )
        with _unharmed():
            decision = self._followed(pair, current_time) if self.shadowgate_size else None
            if decision is not None:
                return stake * decision.size_multiplier
        return stake

    def shadowgate_decision(self, pair: str, current_time: datetime) -> Decision | None:
        """What was said of the candle that had closed last, followed or not; None where nothing was."""
        return self._shadowgate.decision(pair, current_time) if self._shadowgate else None

    def _followed(self, pair: str, current_time: datetime) -> Decision | None:
        decision = self.shadowgate_decision(pair, current_time)
        if decision is not None and decision.follow_at(current_time.timestamp() * 1000):
            return decision
        return None

    def _is_against(self, decision: Decision, side: str) -> bool:
        if decision.action == "flat":
            return self.shadowgate_veto_flat
        return self.shadowgate_veto and decision.action != side

    def _note_stop(self, pair: str, decision: Decision | None) -> None:
        """Remember how far from its price the stop of the entry now confirmed is to be."""
        self._shadowgate_stops.pop(pair, None)
        if decision is not None and self.shadowgate_stop and decision.stop_atr > 0:
            candles = self.dp.get_pair_dataframe(pair, self.timeframe).tail(_ATR_MEMORY)
            ranges = _true_ranges(*(candles[name].tolist() for name in ("high", "low", "close")))
            if len(ranges) >= _ATR_CANDLES:
                self._shadowgate_stops[pair] = decision.stop_atr * _average(ranges)

    def _nearer_stoploss(self, **call: Any) -> float | None:
        """In the place of `custom_stoploss`: the strategy's own answer, or ours where it is nearer."""
        own = type(self).custom_stoploss(self, **call) if self._shadowgate_own_stop else None
        with _unharmed():
            ours = self._distance(call["pair"], call["trade"], call["current_rate"])
            if ours is not None and ours > 0:
                return min(abs(own), ours) if own else ours
        return own

    def _distance(self, pair: str, trade: Any, current_rate: float) -> float | None:
        """From the present rate to the stop fixed at the entry, as a share; None without one."""
        stop_rate = trade.get_custom_data(_STOP_KEY)
        if stop_rate is None:
            width = self._shadowgate_stops.pop(pair, None)
            if width is None:
                return None
            stop_rate = trade.open_rate + (width if trade.is_short else -width)
            trade.set_custom_data(_STOP_KEY, stop_rate)  # the trade may outlive this process
        way = 1 - stop_rate / current_rate
        return float((-way if trade.is_short else way) * trade.leverage)


@contextmanager
def _unharmed() -> Iterator[None]:
    """Whatever fails in here, the strategy goes on as it would by itself."""
    try:
        yield
    except Exception:
        _log.exception("shadowgate: a fault of the mixin; the strategy goes on by itself")


def _true_ranges(high: Sequence[float], low: Sequence[float], close: Sequence[float]) -> list[float]:
    return [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(close))]


def _average(ranges: Sequence[float]) -> float:
    """Wilder's: the first ones in equal parts, each later one with a fixed weight."""
    average = sum(ranges[:_ATR_CANDLES]) / _ATR_CANDLES
    for one in ranges[_ATR_CANDLES:]:
        average += (one - average) / _ATR_CANDLES
    return average
