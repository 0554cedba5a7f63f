"""Loads what an app declares: permissions, answers to hooks and events, background jobs, control totals."""

from importlib import import_module
from pathlib import Path

from django.apps import AppConfig

DECLARATIONS = ("permissions", "invariants", "jobs", "reactions")


def load_declarations(app: AppConfig) -> None:
    """Import the modules of these names, in the app and in its packages. For `AppConfig.ready`."""
    for name in DECLARATIONS:
        for file in sorted(Path(app.path).glob(f"**/{name}.py")):
            parts = file.relative_to(app.path).with_suffix("").parts
            if not {"api", "tests", "migrations"} & set(parts):
                import_module(".".join((app.name, *parts)))
