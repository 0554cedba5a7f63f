"""The core is arithmetic: the same in a calculator, a preview, a bill run, and a rerun ten years later."""

import ast
import subprocess
import sys
from pathlib import Path

CORE = Path(__file__).resolve().parents[2] / "core"
ROOT = CORE.parents[2]
MODULES = sorted(CORE.rglob("*.py"))

OURS = {"billing.kernel.money", "billing.kernel.errors", "billing.subscriptions.errors"}
WORLDLY = {  # standard, but they look at a clock, the dice or the machine
    "asyncio", "io", "locale", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil",
    "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
CLOCKS = {"today", "now", "utcnow"}
OUTSIDE = ("django", "rest_framework", "celery", "psycopg", "pghistory", "pgtrigger")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    return found


def is_allowed(module: str) -> bool:
    top = module.split(".")[0]
    if top == "billing":
        return module in OURS or module.startswith("billing.subscriptions.core")
    return top in sys.stdlib_module_names and top not in WORLDLY


def test_the_core_imports_arithmetic_and_nothing_else():
    strays = [
        f"{name_of(path)} imports {module}"
        for path in MODULES
        for module in sorted(modules_imported(ast.parse(path.read_text())))
        if not is_allowed(module)
    ]
    assert len(MODULES) == 4
    assert strays == []


def test_the_core_reads_no_clock_and_opens_nothing():
    strays = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in CLOCKS)
        or (isinstance(node, ast.Name) and node.id in {"open", "input", "print"})
    ]
    assert strays == []


def test_the_core_runs_where_there_is_no_django():
    blocked = f"import sys; sys.modules.update(dict.fromkeys({OUTSIDE!r})); "
    imports = "; ".join(f"import {name_of(path)}" for path in MODULES)
    done = subprocess.run(
        [sys.executable, "-c", blocked + imports], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    proof = subprocess.run(
        [sys.executable, "-c", blocked + "import billing.subscriptions.models"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ModuleNotFoundError" in proof.stderr, "the block blocks nothing"
