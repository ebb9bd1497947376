"""What the bot of the tests trades by itself, and beside shadowgate; freqtrade reads it.

`Steady` holds every second candle, so that no trade of it depends on another one.
"""

import json
import os
from datetime import datetime
from pathlib import Path

from freqtrade.strategy import IStrategy

from plugin.hosts.freqtrade import ShadowgateMixin

FOLDER = Path(os.environ["SHADOWGATE_TEST_FOLDER"])


class Steady(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1h"
    minimal_roi = {"0": 10.0}  # noqa: RUF012
    stoploss = -0.9
    use_exit_signal = True
    startup_candle_count = 0

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["date"].dt.hour % 2 == 0, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["date"].dt.hour % 2 == 1, "exit_long"] = 1
        return dataframe


class Beside(ShadowgateMixin, Steady):
    shadowgate_socket = str(FOLDER / "plugin.sock")
    shadowgate_models = str(FOLDER / "models")


class WithoutRecords(Beside):
    pass


class InShadow(Beside):
    shadowgate_records = str(FOLDER / "shadow")
    shadowgate_veto_flat = True
    shadowgate_size = True
    shadowgate_stop = True

    def ft_advise_signals(self, dataframe, metadata):
        dataframe = super().ft_advise_signals(dataframe, metadata)
        dataframe.to_csv(FOLDER / f"{type(self).__name__}.csv")
        return dataframe


class AsIfLive(InShadow):
    shadowgate_as_if_live = True


class InSample(AsIfLive):
    shadowgate_in_sample = True


class Live(Beside):
    shadowgate_records = str(FOLDER / "live")


class LiveWhereAgreed(Live):
    shadowgate_veto_flat = True


class LiveSized(Live):
    shadowgate_veto = False
    shadowgate_size = True


class LiveStopped(Live):
    shadowgate_veto = False
    shadowgate_stop = True


class OwnRules(Steady):
    use_custom_stoploss = True

    def custom_stoploss(
        self, pair, trade, current_time: datetime, current_rate, current_profit, after_fill, **kwargs
    ):
        return -0.004

    def custom_stake_amount(self, pair, current_time, current_rate, proposed_stake, **kwargs):
        return proposed_stake / 2

    def confirm_trade_entry(
        self, pair, order_type, amount, rate, time_in_force, current_time, **kwargs
    ):
        return current_time.day % 2 == 0


class OwnRulesLive(ShadowgateMixin, OwnRules):
    shadowgate_models = str(FOLDER / "models")
    shadowgate_records = str(FOLDER / "live")
    shadowgate_size = True
    shadowgate_stop = True


class Broken:
    def decision(self, pair, current_time):
        raise RuntimeError("broken on purpose")


class Hostile(Beside):
    """Everything that the mixin asks of its answers goes wrong."""

    shadowgate_size = True
    shadowgate_stop = True

    def ft_bot_start(self, **kwargs):
        super().ft_bot_start(**kwargs)
        self._shadowgate = Broken()


class Wishful(Steady):
    """Holds each trade for a moment, and writes down which ones it wants by itself."""

    order_types = {  # noqa: RUF012
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }

    def populate_entry_trend(self, dataframe, metadata):
        dataframe = super().populate_entry_trend(dataframe, metadata)
        dataframe["enter_tag"] = [str(round(date.timestamp() * 1000)) for date in dataframe["date"]]
        return dataframe

    def confirm_trade_entry(self, pair, *args, current_time, entry_tag, **kwargs):
        now_ms = round(current_time.timestamp() * 1000)
        with (FOLDER / "wishes.jsonl").open("a") as file:
            file.write(json.dumps([pair, int(entry_tag), now_ms]) + "\n")
        return True

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return "held"


class DryRun(ShadowgateMixin, Wishful):
    """For a clock so fast that this deadline is a second of the machine."""

    shadowgate_socket = str(FOLDER / "plugin.sock")
    shadowgate_deadline_s = 1_000.0
    shadowgate_veto_flat = True
