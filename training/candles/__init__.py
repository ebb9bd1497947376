"""Bars for training: fetched, stored, verified, and simulated where there is no network."""

from plugin.candles import SIMULATED_VENUE
from training.candles.download import Fetched, FetchProgress, fetch, venue_of
from training.candles.exchange import ExchangeUnavailable, PatientExchange, open_exchange
from training.candles.simulation import simulate
from training.candles.store import CandleWriter, Merged
from training.candles.verification import Verification, verify

__all__ = [
    "SIMULATED_VENUE",
    "CandleWriter",
    "ExchangeUnavailable",
    "FetchProgress",
    "Fetched",
    "Merged",
    "PatientExchange",
    "Verification",
    "fetch",
    "open_exchange",
    "simulate",
    "venue_of",
    "verify",
]
