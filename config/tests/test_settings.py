"""What settings refuse, and that .env.example tells the whole story."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from config.env import ROOT, Environment

READERS = {"text", "whole", "flag", "words"}
EXAMPLE = (ROOT / ".env.example").read_text()
GOOD = {
    "SECRET_KEY": "k" * 50,
    "FIELD_ENCRYPTION_KEYS": "cHJvZHVjdGlvbi1rZXktcHJvZHVjdGlvbi1rZXktMDA=",
    "LICENSE_SIGNING_KEYS": "cHJvZHVjdGlvbi1rZXktcHJvZHVjdGlvbi1rZXktMDA",
    "ALLOWED_HOSTS": "billing.example.com",
    "PUBLIC_URL": "https://billing.example.com",
    "DATABASE_URL": "postgresql://billing:pw@db/billing",
    "REDIS_URL": "redis://broker:6379/0",
    "EMAIL_URL": "smtp+tls://user:pw@mail.example.com:587",
    "EMAIL_FROM": "billing@example.com",
}


def modules() -> list[Path]:
    """Our own code, without tests."""
    apps = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists()]
    return [path for app in apps for path in app.rglob("*.py") if "tests" not in path.parts]


@cache
def variables_read() -> frozenset[str]:
    """Every NAME in env.text("NAME") and its siblings, anywhere in the project."""
    return frozenset(
        node.args[0].value
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READERS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
    )


def load(settings: str, **variables: str) -> subprocess.CompletedProcess:
    """Import a settings module in a fresh process. Variables set empty count as unset, also where the
    developer has a .env file."""
    others = {name: value for name, value in os.environ.items() if name not in variables_read()}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import config.settings.{settings}"],
        cwd=ROOT,
        env=others | dict.fromkeys(variables_read(), "") | variables,
        capture_output=True,
        text=True,
    )


def complaints(finished: subprocess.CompletedProcess) -> list[str]:
    return re.findall(r"^  - (.*)$", finished.stderr, flags=re.MULTILINE)


@pytest.mark.slow
def test_production_names_everything_that_is_wrong_at_once():
    finished = load("production", DEBUG="true", ALLOWED_HOSTS="*")
    assert finished.returncode == 1
    assert complaints(finished) == [
        "SECRET_KEY must be set to 50 random characters.",
        "FIELD_ENCRYPTION_KEYS must be set (manage.py make_encryption_key prints one).",
        "LICENSE_SIGNING_KEYS must be set (manage.py make_license_key prints one).",
        "DEBUG must not be on in production.",
        "PUBLIC_URL must start with https://.",
        "ALLOWED_HOSTS must name the hosts, not '*'.",
        "DATABASE_URL must name a PostgreSQL server.",
        "REDIS_URL must name a Redis or Valkey server.",
        "EMAIL_URL must name a mail server.",
        "EMAIL_FROM must be the address letters come from.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY must be set to 50 random characters."),
        ("DATABASE_URL", "sqlite:///books.db", "DATABASE_URL must name a PostgreSQL server."),
        ("PUBLIC_URL", "http://billing.example.com", "PUBLIC_URL must start with https://."),
        ("DEBUG", "perhaps", "DEBUG must be true or false, not 'perhaps'."),
        (
            "LICENSE_SIGNING_KEYS",
            "c2hvcnQ",
            "LICENSE_SIGNING_KEYS must be keys as manage.py make_license_key prints them.",
        ),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not 'LOUD'."),
    ],
)
def test_production_names_the_one_thing_that_is_wrong(variable, value, complaint):
    finished = load("production", **GOOD | {variable: value})
    assert finished.returncode == 1
    assert complaints(finished) == [complaint]


@pytest.mark.slow
def test_production_starts_when_everything_is_set():
    finished = load("production", **GOOD)
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["local", "test"])
def test_development_needs_nothing_at_all(settings):
    finished = load(settings)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_env_example_lists_exactly_the_variables_that_are_read():
    listed = re.findall(r"^([A-Z_]+)=", EXAMPLE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(variables_read())


def test_every_variable_in_env_example_is_explained():
    unexplained = re.findall(r"(?:^|\n)(?:[A-Z_]+=.*|)\n([A-Z_]+)=", EXAMPLE)
    assert unexplained == []


def test_nothing_else_reads_the_environment():
    """Apart from `env` itself: who names the settings module, and who hands the environment on."""
    allowed = {
        "benchmarks/__main__.py",
        "billing/access/management/commands/create_user.py",
        "config/env.py",
        "config/celery.py",
        "config/wsgi.py",
        "config/demo/supervisor.py",
        "config/embedded/unprivileged.py",
        "config/management/commands/demo.py",
    }
    readers = {
        str(path.relative_to(ROOT))
        for path in modules()
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers == allowed


@pytest.mark.parametrize("text", ["", "0", "-1", "65536", "٨٠", "8_0", "eighty", "8.0"])
def test_a_number_that_is_none_or_out_of_bounds_is_refused(monkeypatch, text):
    monkeypatch.setenv("A_NUMBER", text)
    environment = Environment()
    assert environment.whole("A_NUMBER", 80, low=1, high=65535) == 80
    assert bool(environment._complaints) == (text != "")
