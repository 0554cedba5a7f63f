"""The commands of entities and access: what they do, what they say, and what they refuse."""

import io
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing.access import services as access
from billing.access.models import ApiKey, User
from billing.access.tests.makers import PASSWORD
from billing.entities import services
from billing.entities.models import BillingEntity, RoleGrant
from billing.entities.tasks import apply_due_moves
from billing.entities.tests.makers import make_department, make_entity, make_user
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


def run(name, *arguments):
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=out)
    return out.getvalue()


def actors():
    return set(AuditEntry.objects.filter(kind="verb").values_list("actor", flat=True))


def test_create_root_entity_founds_a_group():
    arguments = ("--code", "ACME", "--name", "Acme", "--currency", "EUR", "--country", "DE", "--seller")

    said = run("create_root_entity", *arguments)

    entity = BillingEntity.objects.get()
    assert (entity.state, entity.is_seller, entity.parent_id) == ("active", True, None)
    assert f"entity={entity.pk}" in said
    assert actors() == {"command:create_root_entity"}
    with pytest.raises(CommandError, match="in use"):
        run("create_root_entity", *arguments)
    assert_invariants_hold()


def test_create_user_takes_the_password_from_the_environment(monkeypatch):
    monkeypatch.setenv("BILLING_USER_PASSWORD", PASSWORD)

    run("create_user", "--email", "Ada@Example.com", "--name", "Ada")

    user = User.objects.get()
    assert (user.email, user.check_password(PASSWORD)) == ("ada@example.com", True)
    assert actors() == {"command:create_user"}


def test_create_user_takes_the_password_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))

    run("create_user", "--email", "ada@example.com", "--name", "Ada", "--password-stdin")

    assert User.objects.get().check_password(PASSWORD)


def test_create_user_asks_twice(monkeypatch):
    answers = iter([PASSWORD, "another one"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))

    with pytest.raises(CommandError, match="differ"):
        run("create_user", "--email", "ada@example.com", "--name", "Ada")

    assert not User.objects.exists()


def test_create_user_refuses_a_weak_password(monkeypatch):
    monkeypatch.setenv("BILLING_USER_PASSWORD", "short")

    with pytest.raises(CommandError, match="12"):
        run("create_user", "--email", "ada@example.com", "--name", "Ada")

    assert not User.objects.exists()


def test_create_key_makes_the_account_and_shows_the_key_once():
    owner = make_user()
    arguments = ("--user", "erp@example.com", "--name", "ERP", "--scope", "entities:read", "--days", "30")

    with pytest.raises(CommandError, match="owner"):
        run("create_key", *arguments)
    said = run("create_key", *arguments, "--owner", owner.email)

    text = next(line for line in said.splitlines() if line.startswith("ebk_"))
    key = access.use_key(presented=text, ip="203.0.113.1")
    assert (key.user.email, key.user.owner, key.scopes) == ("erp@example.com", owner, ["entities:read"])
    with pytest.raises(CommandError, match="No such scope"):
        run("create_key", "--user", "erp@example.com", "--name", "X", "--scope", "all")
    assert ApiKey.objects.count() == 1


def test_grant_role_grants_at_once_with_its_limits():
    entity, user = make_entity(), make_user()
    department = make_department(entity=entity)
    tomorrow = timezone.now().date() + timedelta(days=1)

    run(
        "grant_role",
        *("--user", user.email, "--role", "AP", "--entity", entity.code, "--department", department.code),
        *("--limit", "EUR=10000", "--limit", "JPY=5", "--until", str(tomorrow)),
    )

    grant = RoleGrant.objects.get()
    assert (grant.department, grant.ends_on, grant.granted_by) == (department, tomorrow, None)
    assert {str(limit) for limit in grant.limits.all()} == {"10000.0000 EUR", "5.0000 JPY"}
    assert actors() == {"command:grant_role"}


@pytest.mark.parametrize(
    ("role", "extra"),
    [
        ("FC", ()),
        ("BU", ()),
        ("AP", ("--limit", "EUR")),
        ("AP", ("--limit", "JPY=0.5")),
        ("VW", ("--department", "X")),
    ],
)
def test_grant_role_refuses_what_the_rules_refuse(role, extra):
    entity, user = make_entity(), make_user()
    run("grant_role", "--user", user.email, "--role", "BO", "--entity", entity.code)

    with pytest.raises(CommandError):
        run("grant_role", "--user", user.email, "--role", role, "--entity", entity.code, *extra)

    assert RoleGrant.objects.get().role == "BO"


def test_break_glass_lasts_an_hour_and_needs_a_reason(freeze):
    freeze("2026-03-10T12:00:00Z")
    entity, user = make_entity(), make_user()
    arguments = ("--user", user.email, "--role", "FC", "--entity", entity.code)

    with pytest.raises(CommandError, match="why"):
        run("break_glass", *arguments, "--reason", " ")
    run("break_glass", *arguments, "--reason", "fire")

    assert User.objects.get().has_perm("entities.close_entity")
    freeze("2026-03-10T13:00:00Z")
    assert not User.objects.get().has_perm("entities.close_entity")
    line = AuditEntry.objects.get(kind="verb")
    assert (line.actor, line.reason) == ("command:break_glass", "fire")


@pytest.fixture
def planned():
    root = make_entity()
    old, new = make_entity(parent=root), make_entity(parent=root)
    leaf = make_entity(parent=old)
    services.move_entity(
        actor="command:test",
        entity_id=leaf.pk,
        parent_id=new.pk,
        effective_on=date(2026, 4, 1),
        as_of=date(2026, 3, 1),
        reason="plan",
    )
    return leaf, old, new


def test_apply_moves_says_first_and_then_does_once(planned):
    leaf, old, new = planned

    assert "due=1" in run("apply_moves", "--as-of", "2026-04-01", "--dry-run")
    leaf.refresh_from_db()
    assert leaf.parent_id == old.pk

    assert "moved=1 failed=0" in run("apply_moves", "--as-of", "2026-04-01")
    assert "moved=0 failed=0" in run("apply_moves", "--as-of", "2026-04-01")
    leaf.refresh_from_db()
    assert leaf.parent_id == new.pk


def test_apply_moves_fails_when_a_move_does(planned):
    leaf, old, new = planned
    services.close_entity(actor="command:test", entity_id=new.pk, reason="sold")

    with pytest.raises(CommandError, match="1 move"):
        run("apply_moves", "--as-of", "2026-04-01")

    leaf.refresh_from_db()
    assert leaf.parent_id == old.pk


def test_the_task_may_run_twice(planned, freeze):
    leaf, _, new = planned
    freeze("2026-04-01T00:05:00Z")

    apply_due_moves()
    apply_due_moves()

    leaf.refresh_from_db()
    assert leaf.parent_id == new.pk
    assert AuditEntry.objects.filter(action="entity.moved").count() == 1
