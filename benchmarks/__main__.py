"""`make bench`: what the hot paths cost, beside the plain-SQL limit on the same server in the same run.

Every module here with a `run(size)` is measured at sizes S and L (ten times S, or SIZES of its own), so that
growth shows.
Only the ratios mean something on another machine. Nothing fails on a time. A database of its own is
made on the embedded server (with durability on) and dropped again.
"""

import argparse
import importlib
import json
import os
import pkgutil
import resource
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZES = {"S": 100, "L": 1000}


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("modules", nargs="*", help="Only these, e.g. ledger usage.")
    chosen = options.parse_args().modules
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.bench")

    import django

    django.setup()
    from django.db import connection

    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    rows: list[dict] = []
    try:
        failed = [module for module in _modules(chosen) if not _measured(module, rows)]
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
    _show(rows)
    _keep(rows)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _modules(chosen: list[str]) -> list[str]:
    found = sorted(
        module.name for module in pkgutil.iter_modules([str(HERE)]) if not module.name.startswith("_")
    )
    if unknown := sorted(set(chosen) - set(found)):
        sys.exit(f"no benchmark called {', '.join(unknown)}; there are {', '.join(found)}")
    return chosen or found


def _measured(module: str, rows: list[dict]) -> bool:
    """One that fails takes no other's figures with it."""
    try:
        rows += _measure(module)
    except Exception:
        traceback.print_exc()
        return False
    return True


def _measure(module: str) -> list[dict]:
    benchmark = importlib.import_module(f"benchmarks.{module}")
    measured: list[dict] = []
    for label, size in getattr(benchmark, "SIZES", SIZES).items():
        print(f"{module} {label} ({size}) …", file=sys.stderr, flush=True)
        for row in benchmark.run(size):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            measured.append({"module": module, "size": label, "n": size, "peak_mb": peak} | row)
    return measured


def _show(rows: list[dict]) -> None:
    print(
        f"{'work':64} {'n':>6} {'SQL/s':>9} {'ours/s':>9} {'ratio':>6} {'peak MB':>8} {'queries':>8} {'grew MB':>8}"
    )
    for row in sorted(rows, key=lambda row: (row["module"], row["work"], row["n"])):
        print(
            f"{row['work'][:64]:64} {row['n']:>6} {row['plain_sql_per_second']:>9,} "
            f"{row['ours_per_second']:>9,} {row['ratio']:>6} {row['peak_mb']:>8} "
            f"{row.get('queries_each', ''):>8} {row.get('grew_mb', ''):>8}"
        )


def _keep(rows: list[dict]) -> None:
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    target = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    target.write_text(
        json.dumps({"measured_at": now.isoformat(), "rows": rows}, indent=1, default=str) + "\n"
    )
    print(f"kept in {target.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
