"""What the database refuses, whoever asks."""

from datetime import date

import pytest
from django.db import IntegrityError, transaction

from billing.subscriptions.models import Price, PriceModel
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("_case", "figures"),
    [
        ("per unit without a price", {"model": PriceModel.PER_UNIT}),
        ("passed through without a mark-up", {"model": PriceModel.PASS_THROUGH}),
        ("per unit below zero", {"model": PriceModel.PER_UNIT, "unit_price": -1}),
        ("a mark-up that takes it all", {"model": PriceModel.PASS_THROUGH, "markup_percent": -100}),
        ("both figures", {"model": PriceModel.PER_UNIT, "unit_price": 1, "markup_percent": 1}),
    ],
)
def test_a_price_has_the_figure_of_its_model_and_no_other(_case, figures):
    product = make_product()

    with (
        pytest.raises(IntegrityError, match=r"price_(has_its_models_figures|not_negative)"),
        transaction.atomic(),
    ):
        Price.objects.create(product=product, number=1, currency="USD", starts_on=date(2026, 1, 1), **figures)

    assert not Price.objects.exists()
