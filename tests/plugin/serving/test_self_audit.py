"""The live process recomputes what it has just said."""

import asyncio

import numpy as np
import pytest
from structlog.testing import capture_logs

from plugin.serving.self_audit import SelfAudit
from tests.support.live import FIRST, SERVED, Live


def audited(live: Live, models, every: int, n_closes: int = 1, first: int = FIRST) -> SelfAudit:
    """After so many closes, each audit waited for."""

    async def walk() -> SelfAudit:
        auditor = SelfAudit(live.pipeline, models, every)
        async with auditor:
            for column in range(first, first + n_closes):
                auditor.take(await asyncio.to_thread(live.close, column))
                if auditor._task is not None:
                    await auditor._task
        return auditor

    return asyncio.run(walk())


@pytest.fixture
def live(small_training, tmp_path) -> Live:
    return Live(small_training, tmp_path)


def test_what_was_said_comes_out_again_to_the_last_bit(live, small_training):
    auditor = audited(live, small_training.models, every=1, n_closes=3)
    assert dict(auditor.results) == {"equal": 3, "different": 0, "not_possible": 0}
    assert auditor.difference == 0.0
    assert auditor.state()["last_different"] is None


def test_one_bar_in_so_many_is_looked_at(live, small_training):
    n_bars = 5 * len(SERVED)
    assert audited(live, small_training.models, every=4, n_closes=5).results["equal"] == -(-n_bars // 4)


def test_zero_is_off(live, small_training):
    assert sum(audited(live, small_training.models, every=0, n_closes=2).results.values()) == 0


def test_a_model_that_went_wrong_in_memory_is_found(live, small_training):
    leaves = live.pipeline.champion.models["lgb"][5]
    tree = next(
        value
        for value in vars(leaves).values()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    )
    tree.flags.writeable = True
    before = tree.copy()
    tree += 0.25
    try:
        with capture_logs() as logs:
            auditor = audited(live, small_training.models, every=1)
    finally:
        tree[:] = before
    assert auditor.results["different"] == 1
    assert auditor.difference > 0
    [told] = [one for one in logs if one["event"] == "audit_different"]
    assert told["symbol"] == SERVED[0]
    assert told["size"] == auditor.difference
    assert SERVED[0] in auditor.last_different


def test_a_bundle_that_is_gone_is_not_possible_and_raises_nothing(live, tmp_path):
    with capture_logs() as logs:
        auditor = audited(live, tmp_path / "none", every=1)
    assert auditor.results["not_possible"] == 1
    assert auditor.difference is None
    assert [one["event"] for one in logs if one["event"].startswith("audit")] == ["audit_not_possible"]


def test_where_the_buffers_have_gone_on_nothing_is_compared(live, small_training):
    answers = live.close(FIRST)
    live.close(FIRST + 1)

    async def walk() -> SelfAudit:
        auditor = SelfAudit(live.pipeline, small_training.models, 1)
        async with auditor:
            auditor.take(answers)
        return auditor

    assert asyncio.run(walk()).results["not_possible"] == len(SERVED)
