"""docs/pipeline.md has every reason that the code can give, and no other."""

import ast
import inspect
import re
import textwrap
from pathlib import Path
from types import FunctionType
from typing import get_args

import pytest

from plugin import asking, bar, buffer, decision, ensemble
from plugin.buffer import ArrivalKind
from plugin.features.window import REFUSALS
from plugin.pipeline import Pipeline
from plugin.serving.desk import Desk
from plugin.sources.ccxt_feed import CcxtFeed
from plugin.sources.pushed import PushedSource
from shadow.record import Action, Mode

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"
_WORD = re.compile(r"[a-z]+(_[a-z]+)*[:_]?")
NO_REASONS = {*get_args(Mode), *get_args(Action), *get_args(decision.Regime), "none"}
"""Words of other kinds that stand in the same functions."""


def literals(function: FunctionType) -> set[str]:
    """The words that stand as texts in the body of a function; what is logged is not among them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    nodes = [node for statement in tree.body for node in ast.walk(statement)]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and _WORD.fullmatch(text)} - NO_REASONS


def rejections(module: object) -> set[str]:
    """The first argument of every BarRejected that is raised in a module."""
    nodes = ast.walk(ast.parse(inspect.getsource(module)))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return {
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "BarRejected"
    }


@pytest.fixture(scope="module")
def documented() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))


def test_every_reason_stands_there_once_and_no_other(documented):
    refusals = set(REFUSALS[1:])
    not_new = set(ArrivalKind) - {ArrivalKind.NEW, ArrivalKind.AFTER_GAP}
    asked = literals(asking.ask) | literals(asking._rows) | literals(asking._row)
    permitted = literals(decision.permission) | literals(decision.decide)
    said = literals(ensemble.Ensemble._prediction) | literals(ensemble._status)
    in_time = literals(Desk._hopeless) | literals(Desk.overdue) | literals(Desk._give_up)
    in_time |= literals(PushedSource.push) | literals(PushedSource._taken)
    in_time |= literals(Pipeline._decide) | literals(CcxtFeed._judged)
    expected = (
        in_time
        | rejections(bar)
        | rejections(buffer)
        | {kind.value for kind in not_new}
        | refusals
        | {f"companion_{refusal}" for refusal in refusals}
        | {f"member_{status}:<member>" for status in said - {"ok", "missing", "member_"}}
        | {f"gate_{gate}" for gate in literals(decision._missing_gate)}
        | {reason.replace("missing:", "missing:<symbol>") for reason in asked}
        | {reason.replace("gate_", "gate_<gate>") for reason in permitted}
    )
    assert documented == expected


def test_the_page_has_each_reason_in_one_row():
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
