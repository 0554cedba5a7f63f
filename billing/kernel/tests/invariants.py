"""For the end of any test that moves money: every invariant of every app still holds."""

from billing.kernel.invariant_checks import find_violations


def assert_invariants_hold() -> None:
    broken = [
        f"{finding.app}: {finding.invariant}: {finding.samples}"
        for finding in find_violations()
        if finding.violations
    ]
    assert not broken, "; ".join(broken)
