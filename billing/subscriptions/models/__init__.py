"""The tables: the catalogue, who subscribes to it, and who is licensed to use it."""

from billing.subscriptions.models.catalogue import (
    ALL_FIGURES,
    Basis,
    Interval,
    Plan,
    PlanItem,
    Price,
    PriceModel,
    Product,
    TaxCategory,
    Timing,
)
from billing.subscriptions.models.licensing import License, LicenseAssignment, LicenseTerms
from billing.subscriptions.models.subscribing import (
    Alignment,
    ChargeKind,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
)

__all__ = [
    "ALL_FIGURES",
    "Alignment",
    "Basis",
    "ChargeKind",
    "Interval",
    "License",
    "LicenseAssignment",
    "LicenseTerms",
    "Plan",
    "PlanItem",
    "Price",
    "PriceModel",
    "Product",
    "Subscription",
    "SubscriptionChange",
    "SubscriptionCharge",
    "SubscriptionItem",
    "SubscriptionPeriod",
    "TaxCategory",
    "Timing",
]
