"""Founding, adding, changing and ending entities."""

from datetime import date

import pytest

from billing.entities import services
from billing.entities.errors import (
    CodeTaken,
    CurrencyLocked,
    EntityClosed,
    HierarchyTooDeep,
    InvalidTaxId,
    OpenChildren,
    ParentNotActive,
)
from billing.entities.hooks import has_documents
from billing.entities.models import BillingEntity, Department, EntityRelation
from billing.entities.paths import DEPTH_MAX
from billing.entities.states import ENTITY_MOVES, EntityState
from billing.entities.tests.makers import make_entity
from billing.kernel.errors import IllegalMove, Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry, OutboxEvent

TODAY = date(2026, 3, 1)
ACTOR = "command:test"
pytestmark = pytest.mark.django_db


def create(parent, **overrides):
    values = {
        "code": "NEW-1",
        "name": "New",
        "currency": "EUR",
        "country": "DE",
        "starts_on": TODAY,
    } | overrides
    return services.create_entity(actor=ACTOR, parent_id=parent.pk, **values)


def verbs():
    return list(AuditEntry.objects.filter(kind="verb").order_by("pk").values_list("action", flat=True))


def test_an_entity_comes_with_its_relation_and_its_default_department():
    parent = make_entity()

    entity = create(parent, tax_id="DE 136 695 976", address={"city": "Berlin"})

    assert (entity.state, entity.path) == (EntityState.ACTIVE, f"{parent.path}{entity.pk.hex}/")
    assert entity.tax_id == "DE136695976"
    relation = EntityRelation.objects.get(entity=entity)
    assert (relation.parent_id, relation.starts_on, relation.ends_on) == (parent.pk, TODAY, None)
    department = Department.objects.get(entity=entity)
    assert (department.code, department.is_default) == ("GENERAL", True)
    assert verbs() == ["entity.created"]
    assert OutboxEvent.objects.get().name == "entity.created"


def test_what_is_only_proposed_is_a_draft_until_somebody_activates_it():
    entity = create(make_entity(), as_draft=True)
    assert entity.state == EntityState.DRAFT

    entity = services.activate_entity(actor=ACTOR, entity_id=entity.pk)

    assert entity.state == EntityState.ACTIVE
    assert verbs() == ["entity.created", "entity.activated"]


def test_a_root_has_nobody_above_it_and_no_relation():
    entity = services.create_root_entity(
        actor=ACTOR, code="ROOT", name="Group", currency="JPY", country="JP", starts_on=TODAY
    )

    assert entity.path == f"/{entity.pk.hex}/"
    assert not EntityRelation.objects.exists()
    assert entity.departments.count() == 1


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"code": "-starts-with-dash"}, Invalid),
        ({"code": "a b"}, Invalid),
        ({"code": "x" * 65}, Invalid),
        ({"code": "١٢"}, Invalid),
        ({"name": "with\x00nul"}, Invalid),
        ({"name": " "}, Invalid),
        ({"name": "x" * 201}, Invalid),
        ({"currency": "EURO"}, Invalid),
        ({"currency": "XXX"}, Invalid),
        ({"country": "EU"}, Invalid),
        ({"country": "de"}, Invalid),
        ({"time_zone": "Mars/Base"}, Invalid),
        ({"language": "tlh"}, Invalid),
        ({"email": "nobody"}, Invalid),
        ({"address": {"planet": "Earth"}}, Invalid),
        ({"metadata": {"k": [1]}}, Invalid),
        ({"payment_terms_days": -1}, Invalid),
        ({"fiscal_year_starts_in": 13}, Invalid),
        ({"is_customer": False}, Invalid),
        ({"consolidation": "both"}, Invalid),
        ({"state": "active"}, Invalid),
        ({"tax_id": "DE123"}, InvalidTaxId),
        ({"country": "US", "tax_id": "x" * 33}, Invalid),
    ],
)
def test_implausible_facts_are_refused_and_nothing_is_made(facts, error):
    parent = make_entity()

    with pytest.raises(error):
        create(parent, **facts)

    assert list(BillingEntity.objects.all()) == [parent]
    assert verbs() == []


def test_a_tax_id_outside_the_union_is_free_text():
    assert create(make_entity(), country="US", tax_id="12-3456789").tax_id == "12-3456789"


def test_a_greek_number_goes_by_its_own_prefix():
    assert create(make_entity(), country="GR", tax_id="094259216").tax_id == "EL094259216"


def test_codes_are_unique_whatever_their_case():
    parent = make_entity()
    create(parent, code="Acme")

    with pytest.raises(CodeTaken):
        create(parent, code="ACME")

    assert BillingEntity.objects.count() == 2


@pytest.mark.parametrize("state", sorted(set(EntityState.values) - {EntityState.ACTIVE}))
def test_nothing_is_added_below_an_entity_that_is_not_active(state):
    parent = make_entity(state=state)

    with pytest.raises(ParentNotActive):
        create(parent)

    assert BillingEntity.objects.count() == 1


def test_an_unknown_parent_is_not_found():
    with pytest.raises(NotFound):
        services.create_entity(
            actor=ACTOR,
            parent_id=uuid7(),
            code="A",
            name="A",
            currency="EUR",
            country="DE",
            starts_on=TODAY,
        )


def test_the_hierarchy_has_sixteen_levels_and_no_more():
    entity = make_entity()
    for _ in range(DEPTH_MAX - 1):
        entity = make_entity(parent=entity)

    with pytest.raises(HierarchyTooDeep):
        create(entity)

    assert BillingEntity.objects.count() == DEPTH_MAX


def test_an_update_changes_what_differs_and_says_which_fields():
    entity = make_entity()

    updated = services.update_entity(
        actor=ACTOR,
        entity_id=entity.pk,
        changes={"name": "Renamed", "language": "en", "payment_terms_days": 14},
        version=entity.version,
    )

    assert (updated.name, updated.payment_terms_days, updated.version) == ("Renamed", 14, entity.version + 1)
    line = AuditEntry.objects.get(kind="verb")
    assert (line.action, line.detail) == ("entity.updated", {"fields": ["name", "payment_terms_days"]})


def test_an_update_that_changes_nothing_leaves_no_trace():
    entity = make_entity()

    updated = services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"name": entity.name})

    assert updated.version == entity.version
    assert verbs() == []


def test_a_stale_version_is_refused_and_changes_nothing():
    entity = make_entity()

    with pytest.raises(PreconditionFailed):
        services.update_entity(
            actor=ACTOR, entity_id=entity.pk, changes={"name": "x"}, version=entity.version + 1
        )

    assert BillingEntity.objects.get().name == entity.name


@pytest.mark.parametrize("field", ["code", "parent_id", "path", "state", "version", "no_such"])
def test_fields_outside_of_the_lists_are_not_editable(field):
    entity = make_entity()

    with pytest.raises(Invalid):
        services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={field: "x"})

    assert BillingEntity.objects.get().version == entity.version


def test_a_closed_entity_is_not_edited():
    entity = make_entity(state=EntityState.CLOSED)

    with pytest.raises(EntityClosed):
        services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"name": "x"})

    assert BillingEntity.objects.get().name == entity.name


def test_a_new_country_checks_the_old_tax_id():
    entity = make_entity(country="US", tax_id="12-3456789")

    with pytest.raises(InvalidTaxId):
        services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"country": "FR"})

    assert BillingEntity.objects.get().country == "US"


# The example of ISO 13616 for Germany, and the same with two digits exchanged.
IBAN, MISTYPED = "DE89370400440532013000", "DE98370400440532013000"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (
            {"iban": "de89 3704 0044 0532 0130 00", "bic": "cobadeffxxx", "bank": " Commerzbank "},
            {"iban": IBAN, "bic": "COBADEFFXXX", "bank": "Commerzbank"},
        ),
        ({"iban": IBAN, "bic": "", "bank": ""}, {"iban": IBAN}),
        ({"iban": "", "bic": " "}, {}),
        ({}, {}),
    ],
)
def test_a_bank_account_is_kept_compact_and_without_empty_parts(given, kept):
    entity = make_entity(bank_account={"iban": "FR1420041010050500013M02606"})
    assert create(entity, bank_account=given).bank_account == kept
    updated = services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"bank_account": given})
    assert updated.bank_account == kept


@pytest.mark.parametrize(
    "account",
    [
        {"iban": MISTYPED},
        {"iban": IBAN, "bic": "COBA"},
        {"bank": "Commerzbank"},
        {"iban": IBAN, "owner": "Ada"},
        {"iban": 89370400},
        {"iban": IBAN, "bank": "x" * 101},
        IBAN,
        [IBAN],
    ],
)
def test_an_account_that_cannot_be_is_refused_and_changes_nothing(account):
    entity = make_entity()
    with pytest.raises(Invalid):
        services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"bank_account": account})
    with pytest.raises(Invalid):
        create(entity, bank_account=account)
    assert BillingEntity.objects.get().version == entity.version


def test_the_currency_is_free_until_the_first_document_and_fixed_after_it():
    entity, other = make_entity(), make_entity()

    with has_documents.only(lambda entity_id: entity_id == entity.pk):
        with pytest.raises(CurrencyLocked):
            services.update_entity(actor=ACTOR, entity_id=entity.pk, changes={"currency": "USD"})
        services.update_entity(actor=ACTOR, entity_id=other.pk, changes={"currency": "USD"})

    entity.refresh_from_db()
    other.refresh_from_db()
    assert (entity.currency, other.currency) == ("EUR", "USD")


def act(action, entity):
    services_by_action = {
        "activate": services.activate_entity,
        "suspend": services.suspend_entity,
        "resume": services.resume_entity,
        "close": services.close_entity,
    }
    return services_by_action[action](actor=ACTOR, entity_id=entity.pk, reason="because")


@pytest.mark.parametrize(
    ("action", "state"),
    [(name, state) for name, move in ENTITY_MOVES.items() for state in sorted(move.sources)],
)
def test_every_move_of_the_table_is_made(action, state):
    entity = make_entity(state=state)

    assert act(action, entity).state == ENTITY_MOVES[action].target

    assert AuditEntry.objects.get(kind="verb").reason == "because"
    assert OutboxEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (name, state)
        for name, move in ENTITY_MOVES.items()
        for state in sorted(set(EntityState.values) - move.sources)
    ],
)
def test_every_other_move_is_refused_and_changes_nothing(action, state):
    entity = make_entity(state=state)

    with pytest.raises(IllegalMove):
        act(action, entity)

    entity.refresh_from_db()
    assert entity.state == state
    assert verbs() == []
    assert not OutboxEvent.objects.exists()


def test_nothing_closes_above_an_open_child():
    parent = make_entity()
    child = make_entity(parent=parent, state=EntityState.SUSPENDED)

    with pytest.raises(OpenChildren) as refusal:
        act("close", parent)
    assert refusal.value.extra["children"] == [child.code]
    parent.refresh_from_db()
    assert parent.state == EntityState.ACTIVE

    act("close", child)
    assert act("close", parent).state == EntityState.CLOSED


def test_a_draft_below_a_suspended_parent_waits():
    parent = make_entity(state=EntityState.SUSPENDED)
    draft = make_entity(parent=parent, state=EntityState.DRAFT)

    with pytest.raises(ParentNotActive):
        act("activate", draft)

    draft.refresh_from_db()
    assert draft.state == EntityState.DRAFT
