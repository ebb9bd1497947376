"""`python -m training price`, as a person types it."""

import json
from pathlib import Path

import pytest

from plugin.candle_store import RawBars
from plugin.candles import SIMULATED_VENUE, Candles
from tests.support.price_markets import market_of
from tests.support.raw_bars import write_raw
from training.__main__ import main
from training.commands import price
from training.price.models import LinearRegression, NoChange
from training.price.settings import QUICK_EPOCHS

N_BARS = 700
MODELS = ["no change", "linear", "random forest", "simple RNN", "GRU", "stacked LSTM"]


def put(store: Path, symbol: str, candles: Candles, venue: str = SIMULATED_VENUE) -> None:
    bars = RawBars(candles.open_time_ms, candles.bars[:5])
    write_raw(store / venue / "1h" / f"{symbol}.parquet", bars)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTC is a random walk, ETH can be foreseen."""
    folder = tmp_path_factory.mktemp("store")
    put(folder, "BTC-USDT", market_of(N_BARS))
    put(folder, "ETH-USDT", market_of(3_000, persistence=0.6, seed=2))
    return folder


def run(store: Path, models: Path, *more: str) -> int:
    places = ("--store", str(store), "--venue", SIMULATED_VENUE, "--models-dir", str(models))
    return main(["price", *places, *more])


@pytest.fixture
def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price, "models_of", lambda settings: (NoChange(), LinearRegression()))


def test_all_models_are_judged_on_every_symbol_and_kept(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(store, tmp_path, "--symbols", "BTC/USDT", "--window", "12", "--quick-test", "--json")
    told = json.loads(capsys.readouterr().out)
    assert code == 1
    (kept,) = (tmp_path / "prices").iterdir()
    assert json.loads(kept.read_text()) == told
    assert (told["id"], told["settings"]["epochs"]) == (kept.stem, QUICK_EPOCHS)
    of_symbol = told["symbols"]["BTC/USDT"]
    assert list(of_symbol["models"]) == MODELS
    n_rows = N_BARS - 12 - 1
    assert sum(of_symbol["n_rows"].values()) == n_rows - 2  # one row before each cut is purged
    for name, one in of_symbol["models"].items():
        assert one["figures"]["n"] == of_symbol["n_rows"]["test"]
        assert (one["verdict"] is None) == (name == "no change")
    assert of_symbol["models"]["stacked LSTM"]["n_parameters"] > 100_000


def test_people_see_a_table_that_fits_and_that_the_market_is_made_up(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], without_networks: None
) -> None:
    assert run(store, tmp_path) == 0
    printed = capsys.readouterr().out
    assert "SIMULATED" in printed
    assert "BTC/USDT 1h, 1 bar ahead" in printed
    assert "…" not in printed
    assert max(map(len, printed.splitlines()[:-1])) <= 80  # the last names the record


@pytest.mark.parametrize(("symbol", "code"), [("BTC/USDT", 1), ("ETH/USDT", 0)])
def test_only_what_is_better_beyond_luck_is_a_yes(
    store: Path, tmp_path: Path, symbol: str, code: int, without_networks: None
) -> None:
    assert run(store, tmp_path, "--symbols", symbol, "--json") == code


def test_too_few_bars_to_tell_are_exit_code_3(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], without_networks: None
) -> None:
    """Labels of 24 bars need 192 of them; the test block has fewer."""
    assert run(store, tmp_path, "--symbols", "BTC/USDT", "--horizon", "24") == 3
    assert "24 bars ahead" in capsys.readouterr().out


def test_a_comparison_writes_over_no_other(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_networks: None
) -> None:
    monkeypatch.setattr(price.SystemClock, "now_ms", lambda _: 1_767_225_600_000)
    for _ in range(2):
        run(store, tmp_path, "--symbols", "BTC/USDT", "--json")
    names = sorted(place.name for place in (tmp_path / "prices").iterdir())
    assert names == ["20260101T000000Z.json", "20260101T000001Z.json"]


def test_since_and_until_choose_the_bars(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], without_networks: None
) -> None:
    stretch = ("--since", "2025-02-01", "--until", "2025-03-01")
    run(store, tmp_path, "--symbols", "ETH/USDT", *stretch, "--json")
    of_symbol = json.loads(capsys.readouterr().out)["symbols"]["ETH/USDT"]
    assert of_symbol["trained_from"] == "2025-02-03T13:00:00.000Z"  # 60 bars and the close before them
    assert of_symbol["tested_until"] == "2025-02-28T23:00:00.000Z"  # the close to come is the last
    assert sum(of_symbol["n_rows"].values()) == 28 * 24 - 60 - 1 - 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--symbols", "BTC/USDT", "NONE/USDT"), "NONE/USDT"),
        (("--symbols", "BTC/USDT", "--window", "697"), "longer history"),
    ],
)
def test_wrong_use_is_exit_code_2_and_leaves_nothing(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    assert run(store, tmp_path, *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "prices").exists()


@pytest.mark.parametrize("option", [("--window", "0"), ("--horizon", "x"), ("--epochs", "-1")])
def test_what_is_no_count_is_refused(store: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(store, tmp_path, *option)
    assert ended.value.code == 2


@pytest.mark.market
def test_on_bitcoin_no_change_scores_nearly_1_and_nothing_tells_it_apart(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], without_networks: None
) -> None:
    places = ("--store", str(market), "--models-dir", str(tmp_path))
    main(["price", *places, "--symbols", "BTC/USDT", "--json"])
    models = json.loads(capsys.readouterr().out)["symbols"]["BTC/USDT"]["models"]
    for one in models.values():
        assert one["figures"]["r2_price"] > 0.999
        assert abs(one["figures"]["r2_return"]) < 0.01
