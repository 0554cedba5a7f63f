"""The arrows between apps are written down: a new one is a visible diff of `wiring.txt` beside this file.

To renew it: manage.py show_wiring > config/tests/wiring.txt
"""

import ast
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from billing.kernel.events import SUBSCRIBERS, subscribe
from billing.payments.events import PaymentSucceeded
from config import wiring
from config.env import ROOT
from config.tests.test_architecture import SOURCES, name_of

SNAPSHOT = Path(__file__).with_name("wiring.txt")


def test_the_arrows_are_those_that_were_agreed_on():
    out = StringIO()
    call_command("show_wiring", stdout=out)

    assert out.getvalue() == SNAPSHOT.read_text()


def test_a_new_reaction_shows(monkeypatch):
    monkeypatch.setitem(SUBSCRIBERS, "payment.succeeded", {})

    subscribe(PaymentSucceeded, name="thanks.say")(wiring.lines)

    assert "event payment.succeeded -> thanks.say: config.wiring.lines" in wiring.lines()
    assert "event payment.succeeded -> nobody" not in wiring.lines()


def test_every_event_of_ours_is_shown():
    declared = {
        statement.value.value
        for path in ROOT.glob("**/events.py")
        if ".venv" not in path.parts and "tests" not in path.parts
        for kind in ast.walk(ast.parse(path.read_text()))
        if isinstance(kind, ast.ClassDef)
        for statement in kind.body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Constant)
    }

    shown = {line.split()[1] for line in wiring.lines() if line.startswith("event ")}

    assert {name for name in declared if isinstance(name, str)} == shown


def test_hooks_are_declared_in_the_hooks_module_of_their_app():
    wrong = [
        f"{name_of(path)}.{ast.unparse(statement.targets[0])}"
        for path in SOURCES
        if "tests" not in path.parts
        for statement in ast.walk(ast.parse(path.read_text()))
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Call)
        and isinstance(hook := statement.value.func, ast.Subscript | ast.Name)
        and ast.unparse(hook).split("[")[0] in {"Hook", "KeyedHook"}
        and not (
            path.stem == "hooks"
            and statement.value.args[0].value == f"{path.parent.name}.{ast.unparse(statement.targets[0])}"
        )
    ]
    assert wrong == []


def test_every_registry_is_a_hook():
    """A constant that begins empty is one that other modules fill."""
    found = {
        f"{name_of(path)}.{target}"
        for path in SOURCES
        if "tests" not in path.parts
        for target in _begin_empty(ast.parse(path.read_text()))
    }

    assert found - {"billing.kernel.hooks.HOOKS"} == set(wiring.REGISTRIES) | wiring.SHOWN_OTHERWISE


def _begin_empty(tree: ast.Module) -> list[str]:
    return [
        target.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and isinstance(statement.value, ast.Dict | ast.List)
        and not ast.unparse(statement.value).strip("{}[]")
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        if isinstance(target, ast.Name) and target.id.isupper()
    ]
