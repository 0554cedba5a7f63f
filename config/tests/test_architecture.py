"""The shape of the codebase, as a test. Every rule here has cost somebody else a weekend."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Top first. An app may import only from lines below its own; names on one line are strangers.
LAYERS = [
    ("config",),
    ("reporting",),
    ("contracts", "budgets", "disputes", "integrations"),
    ("approvals",),
    ("billing.dunning",),
    ("billing.payments",),
    ("billing.invoicing",),
    ("billing.documents",),
    ("billing.tax",),
    ("billing.usage",),
    ("billing.subscriptions", "billing.ledger"),
    ("billing.notifications",),
    ("billing.entities",),
    ("billing.access",),
    ("billing.kernel",),
]
LEVEL = {app: level for level, apps in enumerate(LAYERS) for app in apps}

# Apps with packages of their own, bottom first: a package imports only from those before it.
PACKAGES = {
    "billing.invoicing": (
        "exchange_rates",
        "invoices",
        "discounts",
        "allocation",
        "drafting",
        "issuing",
        "credit_notes",
        "consolidation",
        "billing_runs",
        "verification",
    ),
}

# This kind of module may not import those kinds (of any app), or those packages.
OUTER = {"api", "admin", "tasks", "reactions", "management"}
FORBIDDEN = {
    "states": {"models", "queries", "services"} | OUTER,
    "models": {"queries", "services"} | OUTER,
    "queries": {"services"} | OUTER,
    "services": OUTER | {"rest_framework", "celery"},
    "api": {"admin", "tasks", "reactions", "management"},
    "admin": {"api", "tasks", "reactions", "management"},
    "tasks": {"api", "admin", "reactions", "management"},
}
ONLY_IN = {  # a word in the source -> the only files that may contain it
    "select_for_update(": {"billing/kernel/models.py"},
    "on_commit(": {"billing/kernel/task_queue.py"},
    ".delay(": set(),
    "pg_advisory": {"billing/kernel/advisory_locks.py", "billing/kernel/tests/test_advisory_locks.py"},
    "django.db.models.signals": set(),
    "time.sleep(": {
        "billing/kernel/retrying.py",
        "billing/kernel/tests/races.py",
        "config/demo/server_guard.py",
        "config/demo/supervisor.py",
        "config/embedded/postgres.py",
        "config/embedded/sharing.py",
        "config/embedded/valkey.py",
        "config/tests/test_demo.py",
    },
    "float(": set(),
    "import requests": {"billing/kernel/outbound.py", "billing/kernel/pinned_connection.py"},
    "verify=False": set(),
    "ATOMIC_REQUESTS": set(),
}
SELF = Path(__file__).relative_to(ROOT).as_posix()

SOURCES = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    if path.relative_to(ROOT).parts[0] in {app.split(".")[0] for app in LEVEL}
    and "migrations" not in path.parts
]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def app_of(module: str) -> str | None:
    return next((app for app in LEVEL if module == app or module.startswith(app + ".")), None)


@cache
def trees() -> list[tuple[str, ast.Module]]:
    return [(name_of(path), ast.parse(path.read_text())) for path in SOURCES]


def kind_of(module: str) -> str:
    """What sort of module it is: its first name inside its app, or inside its package (a test is none)."""
    inner = module.removeprefix(f"{app_of(module)}.").split(".")
    if inner[0] in PACKAGES.get(app_of(module), ()):
        inner = inner[1:] or [""]
    return "tests" if "tests" in inner else inner[0]


def imports_of(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_modules_import_only_from_below():
    homeless = [name_of(p) for p in SOURCES if not app_of(name_of(p)) and p.name != "__init__.py"]
    assert homeless == []
    wrong = [
        f"{module} may not import {target}"
        for module, tree in trees()
        if (app := app_of(module))
        for target in imports_of(tree)
        if (other := app_of(target)) and other != app and LEVEL[app] >= LEVEL[other]
    ]
    assert wrong == []


def test_modules_keep_to_their_kind():
    wrong = [
        f"{module} ({kind_of(module)}) may not import {target}"
        for module, tree in trees()
        for target in imports_of(tree)
        if {target.split(".")[0], kind_of(target) if app_of(target) else ""}
        & FORBIDDEN.get(kind_of(module), set())
    ]
    assert wrong == []


def test_dangerous_words_stay_behind_their_doors():
    strays = [
        f"{word!r} in {relative}"
        for path in SOURCES
        for word, allowed in ONLY_IN.items()
        if (relative := path.relative_to(ROOT).as_posix()) not in allowed | {SELF}
        and word in path.read_text()
    ]
    assert strays == []


def test_everything_is_imported_at_the_top():
    """Save where a framework calls back before everything is loaded: AppConfig.ready, the lazy launcher."""
    nested = [
        f"{module}:{node.lineno}"
        for module, tree in trees()
        if not module.endswith(".apps") and module != "config.pgbackend.base"
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert nested == []


def test_every_app_explains_itself():
    apps = [ROOT / app.replace(".", "/") for app in LEVEL if app != "config"]
    silent = [app.name for app in apps if (app / "apps.py").exists() and not (app / "README.md").exists()]
    assert silent == []
