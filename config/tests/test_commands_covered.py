"""Every management command of ours is run by a test: one whose code names it in a string."""

import ast
import re
from pathlib import Path

import pytest

from config.env import ROOT

APPS = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists()]
COMMANDS = sorted(
    path.stem
    for app in APPS
    for path in app.rglob("management/commands/*.py")
    if not path.stem.startswith("_")
)


def texts_in(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.fixture(scope="module")
def words_in_tests() -> set[str]:
    tests = [path for app in APPS for path in app.rglob("tests/**/*.py") if path != Path(__file__)]
    return {word for path in tests for text in texts_in(path) for word in re.findall(r"\w+", text)}


def test_there_are_commands_to_cover():
    assert "demo" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_named_by_a_test(command, words_in_tests):
    assert command in words_in_tests
