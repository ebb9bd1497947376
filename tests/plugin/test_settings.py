import dataclasses
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from plugin.bar import Timeframe
from plugin.env_file import parse_env
from plugin.errors import WrongUse
from plugin.live_flags import LiveFlags
from plugin.settings import LIVE_FIELDS, Settings, load_settings

ROOT = Path(__file__).parents[2]
DEFAULTS = Settings()


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".env"


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_a_missing_file_means_the_defaults(path):
    assert load_settings(path, {}) == DEFAULTS


def test_without_a_word_from_the_operator_nothing_steers():
    assert DEFAULTS.enable_stacking is False
    assert DEFAULTS.require_shadow_pass is True
    assert DEFAULTS.auto_promote is False


def test_every_flag_of_the_file_arrives_in_its_type(path):
    write(
        path,
        "ML_ENABLED=0\nML_ENABLE_STACKING=1\nML_STACKING_MIN_SAMPLES=500\n"
        "ML_SYMBOLS='BTC/USDT, ETH/USDT'\nML_TIMEFRAME=4h\n"
        "ML_SOURCE=replay\nML_MODELS_DIR=/srv/models\nML_PUBLIC_KEY=/etc/key.pem\n"
        "ML_METRICS_PORT=9100\n",
    )
    assert load_settings(path, {}) == Settings(
        enabled=False,
        enable_stacking=True,
        stacking_min_samples=500,
        symbols=("BTC/USDT", "ETH/USDT"),
        timeframe=Timeframe.parse("4h"),
        source="replay",
        models_dir=Path("/srv/models"),
        public_key="/etc/key.pem",
        metrics_port=9100,
    )


def test_the_environment_goes_before_the_file_and_other_variables_are_left_alone(path):
    write(path, "ML_ENABLED=1\nML_TIMEFRAME=4h\n")
    settings = load_settings(path, {"ML_ENABLED": "0", "HOME": "/root", "MLFLOW_URI": "x"})
    assert (settings.enabled, settings.timeframe.name) == (False, "4h")


@pytest.mark.parametrize(
    "line",
    [
        "ML_ENABLED=true",
        "ML_ENABLED=2",
        "ML_ENABLED=",
        "ML_ENABLED=00",
        "ML_ENABLED='1 '",
        "ML_STACKING_MIN_SAMPLES=0",
        "ML_STACKING_MIN_SAMPLES=-5",
        "ML_STACKING_MIN_SAMPLES=1e4",
        "ML_STACKING_MIN_SAMPLES=10_000",
        "ML_STACKING_MIN_SAMPLES=١٠",
        "ML_STACKING_MIN_SAMPLES=1000000001",
        "ML_SYMBOLS=",
        "ML_SYMBOLS=BTC-USDT",
        "ML_SYMBOLS=btc/usdt",
        "ML_SYMBOLS=BTC/USDT,",
        "ML_SYMBOLS=BTC/USDT,BTC/USDT",
        "ML_TIMEFRAME=60",
        "ML_EXCHANGE=../x",
        "ML_SOURCE=ccxtpro",
        "ML_MODELS_DIR=",
        "ML_PUBLIC_KEY=" + "x" * 4096,
        "ML_SOCKET=" + "x" * 108,
        "ML_DECISION_TIMEOUT_MS=0",
        "ML_DECISION_TIMEOUT_MS=60001",
        "ML_RETRAIN_CRON=hourly",
        "ML_RETRAIN_CRON=17 3 * *",
        "ML_METRICS_PORT=65536",
        "ML_SEQUENCE_MEMBERS=lgb",
        "ML_SEQUENCE_MEMBERS=lstm,lstm",
    ],
)
def test_a_bad_value_is_refused_with_its_flag_and_line(path, line):
    write(path, f"# one\n{line}\n")
    key = line.split("=")[0]
    with pytest.raises(WrongUse, match=f"for {key} in line 2 of .*\\.env"):
        load_settings(path, {})


@pytest.mark.parametrize(
    "line",
    [
        "ML_METRICS_PORT=65535",
        "ML_DECISION_TIMEOUT_MS=60000",
        "ML_SOCKET=" + "x" * 107,
        "ML_PUBLIC_KEY=",
        "ML_PUBLIC_KEY=" + "x" * 4095,
    ],
)
def test_a_value_on_its_limit_is_taken(path, line):
    write(path, line + "\n")
    key, text = line.split("=")
    assert load_settings(path, {}).as_text()[key] == text


def test_a_misspelt_flag_is_refused_with_the_nearest_right_name(path):
    write(path, "ML_ENABLED=1\nML_ENABLE_STAKING=1\n")
    with pytest.raises(
        WrongUse, match=r"line 2 .*ML_ENABLE_STAKING; did you mean ML_ENABLE_STACKING\?"
    ):
        load_settings(path, {})


def test_a_flag_unlike_any_other_is_refused_with_a_pointer_to_the_table(path):
    with pytest.raises(WrongUse, match=r"in the environment, was ML_QQQ; docs/settings\.md"):
        load_settings(path, {"ML_QQQ": "1"})


def test_a_bad_value_of_the_environment_is_refused(path):
    with pytest.raises(WrongUse, match="0 or 1 for ML_ENABLED in the environment, was 'yes'"):
        load_settings(path, {"ML_ENABLED": "yes"})


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULTS.enabled = False


SETTINGS = st.builds(
    Settings,
    enabled=st.booleans(),
    enable_stacking=st.booleans(),
    stacking_min_samples=st.integers(1, 10**9),
    symbols=st.permutations(["BTC/USDT", "1000PEPE/USDT", "ETH/USDT:USDT"]).map(tuple),
    timeframe=st.sampled_from(["15m", "4h", "1d"]).map(Timeframe.parse),
    models_dir=st.just(Path("a folder/with $ # signs")),
    metrics_port=st.integers(0, 65_535),
    audit_every=st.integers(0, 1_000_000),
)


@given(SETTINGS)
def test_settings_written_as_text_are_read_back_equal(settings):
    assert load_settings(Path("no-such-file"), settings.as_text()) == settings


def test_the_example_file_holds_every_flag_with_its_default():
    example = ROOT / ".env.example"
    entries = parse_env(example.read_bytes(), example)
    assert {key: entry.text for key, entry in entries.items()} == DEFAULTS.as_text()
    assert load_settings(example, {}) == DEFAULTS


def test_the_example_file_tells_which_flags_are_live():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    live = set(re.findall(r"^# \(live\).*\n(ML_[A-Z_]+)=", example, re.M))
    assert live == set(DEFAULTS.live_as_text())


def test_the_documented_table_has_every_flag_with_its_default():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(ML_[A-Z_]+)` \| `([^`]*)` \| .* \| (yes|no) \| ", page, re.M)
    assert {key: default for key, default, _ in rows} == DEFAULTS.as_text()
    assert {key for key, _, live in rows if live == "yes"} == set(DEFAULTS.live_as_text())


# --- while the service runs


def look_twice(flags: LiveFlags) -> Settings:
    flags.refresh()
    return flags.refresh()


def test_a_toggle_takes_effect_without_a_restart_and_is_logged(path):
    write(path, "ML_ENABLE_STACKING=0\n")
    flags = LiveFlags(path, {})
    write(path, "ML_ENABLE_STACKING=1\n")
    with capture_logs() as logs:
        assert look_twice(flags).enable_stacking is True
    assert logs == [
        {
            "event": "flag_changed",
            "log_level": "info",
            "flag": "ML_ENABLE_STACKING",
            "was": "0",
            "now": "1",
        }
    ]


def test_a_toggle_can_be_taken_back(path):
    write(path, "ML_ENABLE_STACKING=0\n")
    flags = LiveFlags(path, {})
    for text, stacking in (("1", True), ("0", False), ("1", True)):
        write(path, f"ML_ENABLE_STACKING={text}\n")
        assert look_twice(flags).enable_stacking is stacking


def test_the_password_of_an_address_is_never_shown(path):
    write(path, "ML_REDIS_URL=redis://bot:secret@host:6379/0\n")
    settings = load_settings(path, {})
    assert settings.redis_url == "redis://bot:secret@host:6379/0"
    assert settings.as_text()["ML_REDIS_URL"] == "redis://***@host:6379/0"


def test_every_live_flag_and_no_other_takes_effect(path):
    flags = LiveFlags(path, {})
    changed = Settings(
        enabled=False,
        enable_stacking=True,
        require_shadow_pass=False,
        stacking_min_samples=1,
        auto_promote=True,
        symbols=("ETH/USDT",),
        timeframe=Timeframe.parse("4h"),
        exchange="kraken",
        exchange_url="https://mirror.example",
        source="socket",
        redis_url="rediss://elsewhere/1",
        models_dir=Path("m"),
        public_key="k",
        shadow_dir=Path("s"),
        candles_dir=Path("c"),
        socket=Path("p"),
        decision_timeout_ms=1,
        retrain_cron="0 0 1 1 *",
        sequence_members=("tft", "lstm"),
        metrics_port=1,
        audit_every=1,
    )
    write(path, "".join(f"{key}='{text}'\n" for key, text in changed.as_text().items()))
    with capture_logs() as logs:
        current = look_twice(flags)
    live = {name: getattr(changed, name) for name in LIVE_FIELDS}
    assert current == dataclasses.replace(DEFAULTS, **live)
    reported = {log["flag"] for log in logs if log["event"] == "flag_needs_restart"}
    assert reported == set(changed.as_text()) - set(changed.live_as_text())


def test_a_file_caught_half_written_changes_nothing(path):
    whole = "ML_ENABLE_STACKING=1\nML_ENABLED=0\n"
    write(path, whole)
    flags = LiveFlags(path, {})
    before = flags.current
    with capture_logs() as logs:
        for n_bytes in range(len(whole)):
            write(path, whole[:n_bytes])
            assert flags.refresh() == before
        write(path, whole)
        assert look_twice(flags) == before
    assert [log["event"] for log in logs] == []


def test_a_file_put_in_place_with_size_and_times_of_the_old_one_is_noticed(path):
    write(path, "ML_ENABLED=1\n")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    flags = LiveFlags(path, {})
    write(path, "ML_ENABLED=0\n")
    os.utime(path, ns=times)
    assert look_twice(flags).enabled is False


def test_a_bad_file_keeps_the_last_good_settings_and_is_reported_once(path):
    write(path, "ML_ENABLE_STACKING=1\n")
    flags = LiveFlags(path, {})
    write(path, "ML_ENABLE_STACKING=1\nML_ENABLED=no\n")
    with capture_logs() as logs:
        for _ in range(5):
            assert flags.refresh() == Settings(enable_stacking=True)
    (log,) = logs
    assert (log["event"], log["log_level"]) == ("settings_refused", "error")
    assert log["in_force"] == "the last good settings"
    assert "ML_ENABLED in line 2" in log["error"]


def test_a_bad_file_that_comes_back_is_reported_again(path):
    flags = LiveFlags(path, {})
    with capture_logs() as logs:
        for text in ("ML_A=1\n", "", "ML_A=1\n"):
            write(path, text)
            look_twice(flags)
    assert [log["event"] for log in logs] == ["settings_refused", "settings_refused"]


def test_a_bad_file_at_the_first_start_turns_everything_off_and_says_so(path):
    write(path, "ML_ENABLE_STACKING=1\nML_ENABLED=yes\n")
    with capture_logs() as logs:
        flags = LiveFlags(path, {})
    assert flags.current == Settings(enabled=False, source="socket"), "and no exchange is asked"
    assert [(log["event"], log["in_force"]) for log in logs] == [("settings_refused", "everything off")]


def test_a_file_corrected_after_a_bad_start_turns_the_live_flags_on(path):
    write(path, "ML_ENABLED=yes\n")
    flags = LiveFlags(path, {"ML_SOURCE": "ccxt"})
    write(path, "ML_ENABLE_STACKING=1\n")
    assert look_twice(flags) == Settings(enabled=True, enable_stacking=True)


def test_after_a_bad_start_nothing_is_turned_on_that_began_with_a_wrong_guess(path):
    write(path, "ML_ENABLED=yes\n")
    flags = LiveFlags(path, {"ML_SOURCE": "ccxt"})
    for text in ("ML_TIMEFRAME=4h\n", "ML_TIMEFRAME=4h\nML_ENABLE_STACKING=1\n"):
        write(path, text)
        with capture_logs() as logs:
            assert look_twice(flags) == Settings(enabled=False)
        assert [(log["event"], log["flag"]) for log in logs] == [("flag_needs_restart", "ML_TIMEFRAME")]
        assert flags.waiting == {"ML_TIMEFRAME": "4h"}
    write(path, "ML_ENABLE_STACKING=1\n")
    assert look_twice(flags) == Settings(enable_stacking=True), "as it began"
    assert flags.waiting == {}


def test_what_the_environment_holds_is_known(path):
    write(path, "ML_ENABLED=0\nML_EXCHANGE_URL=https://me:secret@mirror.example\n")
    flags = LiveFlags(path, {"ML_ENABLED": "1", "HOME": "/root"})
    assert flags.held == {"ML_ENABLED"}
    assert "secret" not in str(flags.current.as_text())


def test_a_file_that_can_not_be_read_keeps_the_last_good_settings(path):
    write(path, "ML_ENABLE_STACKING=1\n")
    flags = LiveFlags(path, {})
    path.unlink()
    path.mkdir()
    with capture_logs() as logs:
        assert look_twice(flags).enable_stacking is True
    assert [log["event"] for log in logs] == ["settings_refused"]


def test_a_file_that_is_gone_means_the_defaults(path):
    write(path, "ML_ENABLE_STACKING=1\n")
    flags = LiveFlags(path, {})
    path.unlink()
    assert look_twice(flags) == DEFAULTS


def test_a_flag_held_by_the_environment_is_not_toggled_by_the_file_and_the_start_says_so(path):
    with capture_logs() as logs:
        flags = LiveFlags(path, {"ML_ENABLED": "1", "ML_SOURCE": "replay"})
    assert logs == [{"event": "flag_held_by_environment", "log_level": "warning", "flag": "ML_ENABLED"}]
    write(path, "ML_ENABLED=0\n")
    assert look_twice(flags).enabled is True
