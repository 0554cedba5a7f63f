import pytest
from django.test import Client

from billing.access.roles import Role
from billing.entities.tests.makers import make_grant
from billing.usage.tests.makers import make_customer, make_meter, make_quota, make_usage_event


@pytest.mark.django_db
def test_the_pages_show_what_is_within_reach_and_nothing_else():
    meter = make_meter()
    customer = make_customer(meter)
    quota = make_quota(meter=meter, entity=customer)
    event, foreign = make_usage_event(meter=meter, entity=customer), make_usage_event()
    client = Client()
    client.force_login(
        make_grant(role=Role.FINANCE_CONTROLLER, entity=meter.entity).user,
        backend="billing.entities.backends.GrantBackend",
    )

    pages = (
        "subscriptions/product",
        "subscriptions/price",
        "usage/meter",
        "usage/quota",
        "usage/quotacounter",
        "usage/quotaalert",
    )
    assert {client.get(f"/admin/{page}/").status_code for page in pages} == {200}
    listed = client.get("/admin/usage/usageevent/").content.decode()
    assert event.transaction_id in listed
    assert foreign.transaction_id not in listed
    for page, pk in (
        ("subscriptions/product", meter.product_id),
        ("usage/meter", meter.pk),
        ("usage/quota", quota.pk),
        ("usage/usageevent", event.pk),
    ):
        assert client.get(f"/admin/{page}/{pk}/change/").status_code == 200
