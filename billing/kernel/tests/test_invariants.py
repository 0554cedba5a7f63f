import json
from datetime import timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from billing.kernel import invariants
from billing.kernel.invariant_checks import find_violations
from billing.kernel.models import EventDelivery, Job, JobState
from billing.kernel.sealing import seal_audit
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.makers import make_delivery, make_line
from billing.kernel.tests.test_sealing import sealed_trail, triggers_off

YESTERDAY = timedelta(days=1)


def run_verify_invariants(*arguments) -> str:
    out = StringIO()
    call_command("verify_invariants", *arguments, stdout=out)
    return out.getvalue()


def stuck_delivery():
    return make_delivery(due_at=timezone.now() - YESTERDAY).pk


def job_without_lease():
    return Job.objects.create(kind="test.work", requested_by="user:1", state=JobState.RUNNING).pk


def undated_job():
    return Job.objects.create(kind="test.work", requested_by="user:1", state=JobState.FAILED).pk


def gap_in_the_seals():
    sealed_trail(1, 1, 1)
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entries WHERE seal = 2")
        cursor.execute("DELETE FROM audit_seals WHERE number = 2")
    return 3


def line_forged_into_a_seal():
    sealed_trail(1, 1)
    make_line(seal_id=1)
    return 1


VIOLATIONS = {
    "O1 no delivery is stuck": stuck_delivery,
    "J1 no job runs without a lease": job_without_lease,
    "J2 a finished job is dated, an open one is not": undated_job,
    "T1 seals are numbered from 1 without a gap, each on the one before": gap_in_the_seals,
    "T2 every seal covers as many lines as it says": line_forged_into_a_seal,
}


def test_every_invariant_of_the_kernel_has_a_violation_here():
    assert set(VIOLATIONS) == set(invariants.CHECKS)


@pytest.mark.django_db
@pytest.mark.parametrize("invariant", VIOLATIONS)
def test_a_violation_is_found_and_its_row_is_named(invariant):
    assert_invariants_hold()

    row = VIOLATIONS[invariant]()

    broken = [finding for finding in find_violations("kernel") if finding.violations]
    assert [(finding.invariant, finding.samples) for finding in broken] == [(invariant, [str(row)])]
    with pytest.raises(AssertionError, match=invariant):
        assert_invariants_hold()


@pytest.mark.django_db
def test_living_work_is_sound():
    make_delivery(due_at=timezone.now() + YESTERDAY)
    Job.objects.create(kind="test.work", requested_by="user:1")
    Job.objects.create(
        kind="test.work", requested_by="user:1", state=JobState.RUNNING, leased_until=timezone.now()
    )
    make_line()
    seal_audit()
    make_line()

    assert_invariants_hold()


@pytest.mark.django_db
def test_the_command_says_ok_for_each_and_ends_with_the_number():
    lines = run_verify_invariants().splitlines()

    assert "kernel: O1 no delivery is stuck: ok" in lines
    assert "kernel: X1 transactions are read committed: ok" in lines
    assert lines[-1] == "violations=0"


@pytest.mark.django_db
def test_the_command_counts_all_and_names_a_few():
    for _ in range(7):
        stuck_delivery()

    with pytest.raises(CommandError, match="7 violation"):
        run_verify_invariants()
    finding = next(iter(find_violations("kernel")))
    assert (finding.violations, len(finding.samples)) == (7, 5)


@pytest.mark.django_db
def test_the_command_speaks_json_and_limits_itself_to_an_app():
    document = json.loads(run_verify_invariants("--json", "--app", "kernel"))

    assert document["violations"] == 0
    assert {finding["app"] for finding in document["findings"]} == {"kernel"}
    assert len(document["findings"]) == len(invariants.CHECKS) + 1
    with pytest.raises(CommandError, match="no app 'nonsense'"):
        run_verify_invariants("--app", "nonsense")


@pytest.mark.django_db
def test_another_isolation_level_is_a_violation():
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    try:
        broken = [finding.invariant for finding in find_violations("kernel") if finding.violations]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_isolation = 'read committed'")

    assert broken == ["X1 transactions are read committed"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "app", [app for app in apps.get_app_configs() if app.name.startswith("billing.")], ids=str
)
def test_every_apps_queries_run(app):
    for finding in find_violations(app.label):
        assert (finding.invariant, finding.samples) == (finding.invariant, [])
    assert not EventDelivery.objects.exists()
