"""What Prometheus is shown: every metric of the dashboard and of the page exists, and no other."""

import json
import re
import socket
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from plugin.errors import WrongUse
from plugin.serving.metrics import Metrics

DOCS = Path(__file__).parents[3] / "docs"
_NAME = re.compile(r"shadowgate_[a-z_]+[a-z]")


def exposed() -> set[str]:
    """The names that a page can have."""
    metrics = Metrics(0)
    names = set()
    for family in metrics.registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + ending for ending in endings.get(family.type, [""])}
    return names


def test_every_metric_of_the_dashboard_is_exposed_and_every_one_is_shown():
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text())
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in _NAME.findall(target["expr"])
    }
    assert shown <= exposed()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}
    assert {re.sub(r"_bucket$", "", name) for name in shown} == families
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_page_on_the_service_has_every_metric():
    page = (DOCS / "service.md").read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}
    assert set(_NAME.findall(page)) == families


def test_totals_only_rise_and_numbers_of_a_source_are_taken_whatever_their_depth():
    metrics = Metrics(0)
    for lost in (0, 5, 3, 7):
        metrics.sample(
            gauges={"live": True},
            totals={"records_lost": lost},
            audits={"equal": lost},
            flags={"ML_ENABLED": "1"},
            source={"connected": True, "last": {"lag": 1.5}, "fault": None, "worker": "a"},
            bundles={"champion": "one" if lost else "other", "challenger": None},
            windows={"BTC/USDT": (1.0, 512, 3)},
        )
    page = generate_latest(metrics.registry).decode()
    assert "shadowgate_records_lost_total 7.0" in page
    assert 'shadowgate_audits_total{result="equal"} 7.0' in page
    assert 'shadowgate_source{field="last.lag"} 1.5' in page
    assert 'shadowgate_source{field="connected"} 1.0' in page
    assert "fault" not in page.partition("shadowgate_source{")[2].partition("# HELP")[0]
    assert 'bundle="one"' in page
    assert 'bundle="other"' not in page, "what is out of service is gone"
    assert 'shadowgate_bars_absent{symbol="BTC/USDT"} 3.0' in page


def test_a_port_in_use_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(WrongUse, match="choose another ML_METRICS_PORT"):
            Metrics(taken.getsockname()[1])
