"""What the field publishes as worked examples, recomputed by hand beside each, and by the core.

Only figures that were read in the source named. Where a vendor's convention differs from ours, the comment
says how, and the example is stated in the terms both agree on. Two differences are general: vendors who
prorate by the second are stated on whole days, and a last day they include is our excluded day after it.

A flat amount of the first tier is due at quantity 0 here as at OpenMeter and Kong ("tiers start from 0");
Lago charges nothing at 0. Its examples at 0 are therefore not among these.
"""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.kernel.money import round_half_up
from billing.subscriptions.core.periods import Cycle, Period
from billing.subscriptions.core.proration import fraction_text, prorated
from billing.subscriptions.core.rating import PriceTerms, Tier

STRIPE_TIERS = "Stripe, Tiered pricing, stripe.com/docs/billing/subscriptions/tiers"
STRIPE_FONTS = "Stripe, Set up tiered pricing, docs.stripe.com/subscriptions/pricing-models/tiered-pricing"
STRIPE_QUANTITIES = (
    "Stripe, Setting subscription quantities, docs.stripe.com/billing/subscriptions/quantities"
)
STRIPE_PACKAGES = (
    "Stripe, Quantity transformation, stripe.com/docs/billing/subscriptions/quantity-transformation"
)
STRIPE_TRANSFORM = (
    "Stripe, Transform quantities, docs.stripe.com/billing/subscriptions/usage-based/transform-quantities"
)
STRIPE_PRORATIONS = "Stripe, Prorations, docs.stripe.com/billing/subscriptions/prorations"
STRIPE_CYCLE = (
    "Stripe, Setting the subscription billing cycle date, docs.stripe.com/billing/subscriptions/billing-cycle"
)
STRIPE_TRIALS = (
    "Stripe, Using trial periods on subscriptions, stripe.com/docs/billing/subscriptions/trials (2022)"
)
LAGO_PACKAGE = "Lago, Package, getlago.com/docs/guide/plans/charges/charge-models/package"
LAGO_VOLUME = "Lago, Volume, getlago.com/docs/guide/plans/charges/charge-models/volume"
LAGO_PRORATED = "Lago, Prorated vs Full, getlago.com/docs/guide/plans/charges/prorated-vs-full"
LAGO_SPECS = "Lago, getlago/lago-api, spec/services/charges/charge_models/"
KONG = "Kong/OpenMeter, Pricing models, Kong/developer.konghq.com app/metering-and-billing/pricing-models.md"
OPENMETER = "OpenMeter, openmeterio/openmeter, openmeter/billing/service/lineservice/"
ZUPLO = "Zuplo, Pricing models, zuplo.com/docs/articles/monetization/pricing-models"
AUTUMN = "Autumn, Graduated Pricing, docs.useautumn.com/documentation/modelling-pricing/graduated-pricing"
FLEXPRICE_FLAT = "Flexprice, Flat fee, docs.flexprice.io/docs/product-catalogue/plans/billing-models/flat-fee"
FLEXPRICE_TIERED = "Flexprice, Tiered, docs.flexprice.io/docs/product-catalogue/plans/billing-models/tiered"
CHARGEBEE_PACKAGE = (
    "Chargebee, Package Pricing, chargebee.com/docs/billing/2.0/product-catalog/package-pricing"
)
CHARGEBEE_PRORATION = "Chargebee, Proration, chargebee.com/docs/proration-old.html"
CHARGEBEE_LOGIC = (
    "Chargebee, Proration calculation logic, support.chargebee.com/support/solutions/articles/255958"
)
RECURLY = (
    "Recurly, Quantity-based pricing, docs.recurly.com/recurly-subscriptions/docs/quantity-based-pricing"
)
RECURLY_FIXED = (
    "Recurly, Pricing models, "
    "docs.recurly.com/recurly-subscriptions/docs/navigate-acquire-pricing-plans-101-pricing-models"
)
RECURLY_MRR = "Recurly, How Is My MRR Affected When I Add a User Mid-Month, support.recurly.com/hc/articles/360029630811"
ORACLE = (
    "Oracle Banking Liquidity Management, Examples for Tier Based Amount, "
    "docs.oracle.com/en/industries/financial-services/banking-liquidity-management/14.8.2.0.0/oblug/"
    "examples-tier-based-amount.html"
)
ORACLE_PARTIAL = (
    "Oracle Subscription Management, Bill Partial Periods, "
    "docs.oracle.com/en/cloud/saas/subscription-management/fasim/bill-partial-periods.html"
)
ORB = "Orb, Price configuration, docs.withorb.com/product-catalog/price-configuration"
KILLBILL_USAGE = "Kill Bill, Usage: consumable in arrear, docs.killbill.io/latest/consumable_in_arrear.html"
KILLBILL_TIERS = (
    "Kill Bill, killbill/killbill, "
    "invoice/src/test/java/org/killbill/billing/invoice/usage/TestContiguousIntervalConsumableInArrear.java"
)
KILLBILL_BCD = "Kill Bill, Bill Cycle Day Overrides, killbill.io/blog/bill-cycle-day-overrides/"
KILLBILL = (
    "Kill Bill, killbill/killbill, invoice/src/test/java/org/killbill/billing/invoice/proRations/inAdvance/"
)
ZUORA_CAPS = (
    "Zuora, Charge-level min/max rules for per unit pricing, "
    "docs.zuora.com/en/zuora-billing/set-up-zuora-billing/build-product-and-prices/dynamic-pricing/use-cases/"
    "charge-level-minmax-rules-for-per-unit-pricing"
)
ZUORA_USAGE = (
    "Zuora, Usage charge proration, "
    "docs.zuora.com/en/zuora-billing/bill-your-customer/usage-billing/unbilled-usage/usage-charge-proration"
)
ZUORA_DAYS = (
    "Zuora, When prorating a month, assume 30 days in a month or use actual days?, "
    "docs.zuora.com/en/zuora-billing/manage-accounts-subscriptions-and-non-subscriptions/"
    "manage-subscription-transactions/common-subscription-information/proration/"
    "when-prorating-a-month-assume-30-days-in-a-month-or-use-actual-days"
)
LEDGERBEE = "LedgerBee, Proration, docs.ledgerbee.com/guides/subscriptions/proration"
MONETIZENOW = "MonetizeNow, Proration, docs.monetizenow.io/docs/proration-1"
FINANCIALFORCE = (
    "FinancialForce Billing Central, Calculating Actual Day Proration, "
    "help.financialforce.com/main/2023.2/Content/BillingCentral/Features/Proration/"
    "CalculatingActualDayProration.htm"
)
DYNAMICS = (
    "Advanced Recurring Contract Billing for Dynamics 365, Proration Method: Examples, "
    "onlinehelpcrm.azurewebsites.net/HelpFiles/PrM_D365FO_Help/Content/Topics/AX_ARCB/example/exProration.htm"
)
SALESFORCE = (
    "Salesforce, Monthly proration examples, "
    "help.salesforce.com/s/articleView?id=ind.pricing_monthly_proration_examples.htm"
)
DATACAKE = (
    "Datacake, Unused time and Remaining time in Invoices, "
    "docs.datacake.de/portal/billing/unused-time-and-remaining-time-in-invoices-prorations"
)
BAREMETRICS = "Baremetrics, API - Proration Charge Fixes, changelog.baremetrics.com"
COBY = "Coby, Stripe proration explained, teamcoby.com/guides/proration-explained-stripe"
TAXITEASY = (
    "TaxItEasy, Prorated billing when you upgrade mid-month, "
    "taxiteasy.org/help/prorated-billing-when-you-upgrade-mid-month.html"
)


def tiers(*rows: tuple[str | None, str] | tuple[str | None, str, str]) -> tuple[Tier, ...]:
    return tuple(
        Tier(None if up_to is None else Decimal(up_to), Decimal(price), Decimal(flat[0] if flat else 0))
        for up_to, price, *flat in rows
    )


def terms(model: str, *rows, **figures) -> PriceTerms:
    exact = {name: Decimal(figure) if isinstance(figure, str) else figure for name, figure in figures.items()}
    return PriceTerms(model=model, tiers=tiers(*rows), **exact)


STRIPE_FIVE = [("5", "5"), ("10", "4"), ("15", "3"), ("20", "2"), (None, "1")]
FONTS = [("5", "7"), ("10", "6.5"), (None, "6")]
PER_FIVE_USERS = terms("package", package_size="5", unit_price="10")
LAGO_GRADUATED = terms("graduated", ("10", "0.10", "0.02"), (None, "0.05", "0.03"))  # the spec is in cents
LAGO_THREE = [("5", "10", "100"), ("15", "5", "50"), (None, "2", "0")]
LAGO_VOLUMES = terms("volume", ("100", "2", "10"), ("200", "1", "0"), (None, "0.5", "50"))
KONG_TIERS = [("1000", "0.3"), ("5000", "0.2"), (None, "0.1")]
KONG_FLAT = terms("graduated", ("1000", "0", "500"), (None, "0.1"))
KONG_FIRST_UNIT = terms("graduated", ("1", "500"), ("1000", "0"), (None, "0.1"))
KONG_PACKAGE = terms("package", package_size="20", unit_price="10")
OPENMETER_VOLUME = terms("volume", ("5", "0", "100"), ("10", "0", "150"), ("15", "10"), (None, "5"))
ZUPLO_TIERS = [("1000", "0.10"), ("10000", "0.05"), (None, "0.01")]
MILLION_TOKENS = terms("package", package_size="1000000", unit_price="1.25")
SLABS = [("250", "1"), ("500", "2"), (None, "3")]
FLAT_SLABS = [("250", "0", "10"), ("500", "0", "20"), (None, "0", "30")]
ORB_BULK = terms("volume", ("10", "0.50"), (None, "0.40"))  # the source ends at 1000; we have an open end
ORB_PACKAGE = terms("package", package_size="10", unit_price="0.80")
# Kill Bill's `max` is the width of a tier in blocks: 10, then 100 more, then 1000 more.
KILLBILL_THREE = [("10", "1.5"), ("110", "1.0"), (None, "0.5")]
KILLBILL_BLOCKS = terms(
    "package", package_size="100", unit_price="1"
)  # in bitcoin there, which bills nothing here

RATED = [
    # Stripe -----------------------------------------------------------------------------------------------
    # 6 × 5
    ("stripe-per-unit-6", STRIPE_TIERS, terms("per_unit", unit_price="5"), "6", "USD", "30.00"),
    # 25 × 5
    ("stripe-per-unit-25", STRIPE_TIERS, terms("per_unit", unit_price="5"), "25", "USD", "125.00"),
    # 5 × 5, the edge is the first tier's
    ("stripe-volume-5", STRIPE_TIERS, terms("volume", *STRIPE_FIVE), "5", "USD", "25.00"),
    # 6 × 4: less than 5 cost
    ("stripe-volume-6", STRIPE_TIERS, terms("volume", *STRIPE_FIVE), "6", "USD", "24.00"),
    # 20 × 2
    ("stripe-volume-20", STRIPE_TIERS, terms("volume", *STRIPE_FIVE), "20", "USD", "40.00"),
    # 25 × 1
    ("stripe-volume-25", STRIPE_TIERS, terms("volume", *STRIPE_FIVE), "25", "USD", "25.00"),
    # 5 × 5 + 1 × 4
    ("stripe-graduated-6", STRIPE_TIERS, terms("graduated", *STRIPE_FIVE), "6", "USD", "29.00"),
    # 5 × 7
    ("stripe-fonts-volume-5", STRIPE_FONTS, terms("volume", *FONTS), "5", "USD", "35.00"),
    # 6 × 6.5
    ("stripe-fonts-volume-6", STRIPE_FONTS, terms("volume", *FONTS), "6", "USD", "39.00"),
    # 20 × 6
    ("stripe-fonts-volume-20", STRIPE_FONTS, terms("volume", *FONTS), "20", "USD", "120.00"),
    # 25 × 6
    ("stripe-fonts-volume-25", STRIPE_FONTS, terms("volume", *FONTS), "25", "USD", "150.00"),
    # 5 × 7, as with volume
    ("stripe-fonts-graduated-5", STRIPE_FONTS, terms("graduated", *FONTS), "5", "USD", "35.00"),
    # 2 sites × 9.99
    ("stripe-sites-2", STRIPE_QUANTITIES, terms("per_unit", unit_price="9.99"), "2", "USD", "19.98"),
    # 1 ÷ 5 up to 1, × 10
    ("stripe-package-1", STRIPE_PACKAGES, PER_FIVE_USERS, "1", "USD", "10.00"),
    # 5 ÷ 5 = 1, × 10
    ("stripe-package-5", STRIPE_PACKAGES, PER_FIVE_USERS, "5", "USD", "10.00"),
    # 6 ÷ 5 = 1.2, up to 2, × 10
    ("stripe-package-6", STRIPE_PACKAGES, PER_FIVE_USERS, "6", "USD", "20.00"),
    # 7 ÷ 5 = 1.4, up to 2, × 10
    ("stripe-package-7", STRIPE_PACKAGES, PER_FIVE_USERS, "7", "USD", "20.00"),
    # 150 minutes ÷ 60 = 2.5 hours, up to 3, × 10
    (
        "stripe-car-rental", STRIPE_TRANSFORM, terms("package", package_size="60", unit_price="10"),
        "150", "USD", "30.00",
    ),
    # Lago -------------------------------------------------------------------------------------------------
    # the first 100 are free; 101 ÷ 100 up to 2, × 5
    (
        "lago-package-201", LAGO_PACKAGE,
        terms("package", package_size="100", unit_price="5", free_quantity="100"), "201", "USD", "10.00",
    ),
    # 65 000 × 0.0006 + 10 = 39 + 10
    (
        "lago-volume-65000", LAGO_VOLUME,
        terms("volume", ("10000", "0.0010", "10"), ("50000", "0.0008", "10"), ("100000", "0.0006", "10"),
              (None, "0.0004", "10")),
        "65000", "USD", "49.00",
    ),
    # 1 × 0.10 + 0.02
    ("lago-graduated-1", LAGO_SPECS + "graduated_service_spec.rb", LAGO_GRADUATED, "1", "EUR", "0.12"),
    # 10 × 0.10 + 0.02
    ("lago-graduated-10", LAGO_SPECS + "graduated_service_spec.rb", LAGO_GRADUATED, "10", "EUR", "1.02"),
    # 1.02 + 1 × 0.05 + 0.03
    ("lago-graduated-11", LAGO_SPECS + "graduated_service_spec.rb", LAGO_GRADUATED, "11", "EUR", "1.10"),
    # 1.02 + 2 × 0.05 + 0.03
    ("lago-graduated-12", LAGO_SPECS + "graduated_service_spec.rb", LAGO_GRADUATED, "12", "EUR", "1.15"),
    # (5 × 10 + 100) + (10 × 5 + 50) + (60 × 2 + 0) = 150 + 100 + 120
    (
        "lago-graduated-75", LAGO_SPECS + "prorated_graduated_service_spec.rb",
        terms("graduated", *LAGO_THREE), "75", "EUR", "370.00",
    ),
    # 121 ÷ 10 up to 13, × 1
    (
        "lago-package-121", LAGO_SPECS + "package_service_spec.rb",
        terms("package", package_size="10", unit_price="1", free_quantity="0"), "121", "EUR", "13.00",
    ),
    # (121 − 10) ÷ 10 = 11.1, up to 12, × 1
    (
        "lago-package-121-free-10", LAGO_SPECS + "package_service_spec.rb",
        terms("package", package_size="10", unit_price="1", free_quantity="10"), "121", "EUR", "12.00",
    ),
    # 1 × 2 + 10
    ("lago-volume-1", LAGO_SPECS + "volume_service_spec.rb", LAGO_VOLUMES, "1", "EUR", "12.00"),
    # 100 × 2 + 10
    ("lago-volume-100", LAGO_SPECS + "volume_service_spec.rb", LAGO_VOLUMES, "100", "EUR", "210.00"),
    # 101 × 1 + 0
    ("lago-volume-101", LAGO_SPECS + "volume_service_spec.rb", LAGO_VOLUMES, "101", "EUR", "101.00"),
    # 200 × 1 + 0
    ("lago-volume-200", LAGO_SPECS + "volume_service_spec.rb", LAGO_VOLUMES, "200", "EUR", "200.00"),
    # 300 × 0.5 + 50
    ("lago-volume-300", LAGO_SPECS + "volume_service_spec.rb", LAGO_VOLUMES, "300", "EUR", "200.00"),
    # OpenMeter, and Kong's edition of it --------------------------------------------------------------------
    # 10 000 × 0.01
    ("kong-per-unit", KONG, terms("per_unit", unit_price="0.01"), "10000", "USD", "100.00"),
    # 1000 × 0.3 + 4000 × 0.2 + 1000 × 0.1 = 300 + 800 + 100
    ("kong-graduated-6000", KONG, terms("graduated", *KONG_TIERS), "6000", "USD", "1200.00"),
    # 6000 × 0.1
    ("kong-volume-6000", KONG, terms("volume", *KONG_TIERS), "6000", "USD", "600.00"),
    # (1000 × 0 + 500) + 1000 × 0.1
    ("kong-flat-tier-2000", KONG, KONG_FLAT, "2000", "USD", "600.00"),
    # the first tier's flat amount, though nothing was used
    ("kong-flat-tier-0", KONG, KONG_FLAT, "0", "USD", "500.00"),
    # 1 × 500 + 999 × 0 + 1000 × 0.1
    ("kong-first-unit-2000", KONG, KONG_FIRST_UNIT, "2000", "USD", "600.00"),
    # 0 × 500: how to bill nothing when nothing was used
    ("kong-first-unit-0", KONG, KONG_FIRST_UNIT, "0", "USD", "0.00"),
    # no package
    ("kong-package-0", KONG, KONG_PACKAGE, "0", "USD", "0.00"),
    # 20 ÷ 20 = 1, × 10
    ("kong-package-20", KONG, KONG_PACKAGE, "20", "USD", "10.00"),
    # 20.1 ÷ 20 up to 2, × 10
    ("kong-package-20.1", KONG, KONG_PACKAGE, "20.1", "USD", "20.00"),
    # 98 ÷ 20 = 4.9, up to 5, × 10
    ("kong-package-98", KONG, KONG_PACKAGE, "98", "USD", "50.00"),
    # the first tier's flat amount, though nothing was used
    ("openmeter-volume-0", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "0", "USD", "100.00"),
    # flat 100 for up to 5
    ("openmeter-volume-3", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "3", "USD", "100.00"),
    # flat 100, 5 included
    ("openmeter-volume-5", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "5", "USD", "100.00"),
    # 14 × 10
    ("openmeter-volume-14", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "14", "USD", "140.00"),
    # 15 × 10, 15 included
    ("openmeter-volume-15", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "15", "USD", "150.00"),
    # 16 × 5
    ("openmeter-volume-16", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "16", "USD", "80.00"),
    # 100 × 5
    ("openmeter-volume-100", OPENMETER + "pricevolumetiered_test.go", OPENMETER_VOLUME, "100", "USD", "500.00"),
    # cost 10 × 1.33333 = 13.3333, rounded once; the multiplier 1.33333 is a mark-up of 33.333 %
    (
        "openmeter-dynamic-10", OPENMETER + "pricedynamic_test.go",
        terms("pass_through", markup_percent="33.333"), "10", "USD", "13.33",
    ),
    # Zuplo, Autumn, Flexprice -------------------------------------------------------------------------------
    # 100 000 × 0.001
    ("zuplo-per-unit", ZUPLO, terms("per_unit", unit_price="0.001"), "100000", "USD", "100.00"),
    # 1000 × 0.10 + 9000 × 0.05 + 5000 × 0.01 = 100 + 450 + 50
    ("zuplo-graduated-15000", ZUPLO, terms("graduated", *ZUPLO_TIERS), "15000", "USD", "600.00"),
    # 15 000 × 0.01
    ("zuplo-volume-15000", ZUPLO, terms("volume", *ZUPLO_TIERS), "15000", "USD", "150.00"),
    # 1000 × 0.01 + 9000 × 0.008 + 5000 × 0.005 = 10 + 72 + 25
    (
        "autumn-graduated-15000", AUTUMN,
        terms("graduated", ("1000", "0.01"), ("10000", "0.008"), (None, "0.005")), "15000", "USD", "107.00",
    ),
    # 1000 × 0.05
    ("flexprice-per-unit", FLEXPRICE_FLAT, terms("per_unit", unit_price="0.05"), "1000", "USD", "50.00"),
    # 4500 ÷ 1000 = 4.5, up to 5, × 1.00: the package of that example's first tier
    (
        "flexprice-package-4500", FLEXPRICE_TIERED, terms("package", package_size="1000", unit_price="1.00"),
        "4500", "USD", "5.00",
    ),
    # Chargebee, Recurly, Orb, Oracle ------------------------------------------------------------------------
    # 10 tokens are a package begun. (Their minimum of one package when nothing was used is not ours.)
    ("chargebee-package-10", CHARGEBEE_PACKAGE, MILLION_TOKENS, "10", "USD", "1.25"),
    # exactly one package
    ("chargebee-package-1000000", CHARGEBEE_PACKAGE, MILLION_TOKENS, "1000000", "USD", "1.25"),
    # 1.5, up to 2, × 1.25
    ("chargebee-package-1500000", CHARGEBEE_PACKAGE, MILLION_TOKENS, "1500000", "USD", "2.50"),
    # 100 × 1 + 50 × 0.50
    ("recurly-tiered-150", RECURLY, terms("graduated", ("100", "1"), (None, "0.50")), "150", "USD", "125.00"),
    # 12.99 whatever was watched
    ("recurly-fixed", RECURLY_FIXED, terms("flat", flat_amount="12.99"), "37", "USD", "12.99"),
    # 10 × 0.50
    ("orb-bulk-10", ORB, ORB_BULK, "10", "USD", "5.00"),
    # 101 × 0.40
    ("orb-bulk-101", ORB, ORB_BULK, "101", "USD", "40.40"),
    # 4 units are billed as 10: one package, at the 0.80 of the same page
    ("orb-package-4", ORB, ORB_PACKAGE, "4", "USD", "0.80"),
    # 11 units are billed as 20: two packages, at 0.80
    ("orb-package-11", ORB, ORB_PACKAGE, "11", "USD", "1.60"),
    # 250 × 1 + 250 × 2 + 500 × 3 = 250 + 500 + 1500
    ("oracle-slabs-per-unit", ORACLE, terms("graduated", *SLABS), "1000", "USD", "2250.00"),
    # 10 + 20 + 30: every slab reached is due once
    ("oracle-slabs-flat", ORACLE, terms("graduated", *FLAT_SLABS), "1000", "USD", "60.00"),
    # 1000 × 3
    ("oracle-variable-per-unit", ORACLE, terms("volume", *SLABS), "1000", "USD", "3000.00"),
    # the third slab's 30 alone
    ("oracle-variable-flat", ORACLE, terms("volume", *FLAT_SLABS), "1000", "USD", "30.00"),
    # Kill Bill: ALL_TIERS is graduated, TOP_TIER is volume, a block is a package -----------------------------
    # 13 videos: 5 × 2 + 8 × 1
    ("killbill-videos", KILLBILL_USAGE, terms("graduated", ("5", "2"), (None, "1")), "13", "USD", "18.00"),
    # 10 × 1.5 + 100 × 1 + 1 × 0.5 = 15 + 100 + 0.5
    ("killbill-all-tiers-111", KILLBILL_TIERS, terms("graduated", *KILLBILL_THREE), "111", "USD", "115.50"),
    # 111 × 0.5
    ("killbill-top-tier-111", KILLBILL_TIERS, terms("volume", *KILLBILL_THREE), "111", "USD", "55.50"),
    # 130 + 271 = 401, ÷ 100 up to 5 blocks, × 1
    ("killbill-blocks-401", KILLBILL_TIERS, KILLBILL_BLOCKS, "401", "USD", "5.00"),
    # 199 ÷ 100 up to 2 blocks, × 1
    ("killbill-blocks-199", KILLBILL_TIERS, KILLBILL_BLOCKS, "199", "USD", "2.00"),
]  # fmt: skip

LAGO_PERCENTAGE = LAGO_SPECS + "percentage_service_spec.rb"
ZUORA_CA = terms("percentage", percent="1000", minimum_amount="100", maximum_amount="200")
ZUORA_NY = terms("percentage", percent="1200", minimum_amount="120", maximum_amount="240")

PERCENTAGES = [
    # 800 × 1.3 % + 4 × 2 = 10.4 + 8
    (
        "lago-percentage", LAGO_PERCENTAGE, terms("percentage", percent="1.3", per_event_amount="2"),
        "800", 4, "EUR", "18.40",
    ),
    # 800 × 0 % + 4 × 2
    (
        "lago-percentage-rate-0", LAGO_PERCENTAGE, terms("percentage", percent="0", per_event_amount="2"),
        "800", 4, "EUR", "8.00",
    ),
    # (800 − 250) × 1.3 % + (4 − 2) × 2 = 7.15 + 4. At Lago the free amount and the free events end together,
    # whichever is used up first: here 250, in the course of the third event, so two events were free.
    (
        "lago-percentage-free-amount", LAGO_PERCENTAGE,
        terms("percentage", percent="1.3", per_event_amount="2", free_amount="250", free_events=2),
        "800", 4, "EUR", "11.15",
    ),
    # (800 − 400) × 1.3 % + (4 − 3) × 2 = 5.2 + 2: there the first three events, 400 in all, are free
    (
        "lago-percentage-free-events", LAGO_PERCENTAGE,
        terms("percentage", percent="1.3", per_event_amount="2", free_amount="400", free_events=3),
        "800", 4, "EUR", "7.20",
    ),
    # Zuora's caps stand on a unit price, ours on a percentage: 10 a unit is 1000 % of the quantity.
    # 8 × 10 = 80, raised to 100
    ("zuora-minimum", ZUORA_CAPS, ZUORA_CA, "8", 0, "USD", "100.00"),
    # 25 × 12 = 300, lowered to 240
    ("zuora-maximum", ZUORA_CAPS, ZUORA_NY, "25", 0, "USD", "240.00"),
    # 10 × 12 = 120, within [120, 240]
    ("zuora-within", ZUORA_CAPS, ZUORA_NY, "10", 0, "USD", "120.00"),
]  # fmt: skip


def named(rows):
    return [pytest.param(*row[1:], id=row[0]) for row in rows]


@pytest.mark.parametrize(("source", "price", "quantity", "currency", "expected"), named(RATED))
def test_a_published_price_is_what_we_rate(source, price, quantity, currency, expected):
    price.require_valid()
    rated = round_half_up(price.exact_amount(Decimal(quantity)), currency)
    assert str(rated) == expected, source


@pytest.mark.parametrize(("source", "price", "amount", "events", "currency", "expected"), named(PERCENTAGES))
def test_a_published_percentage_is_what_we_rate(source, price, amount, events, currency, expected):
    price.require_valid()
    rated = round_half_up(price.exact_amount(Decimal(amount), events=events), currency)
    assert str(rated) == expected, source


def span(text: str) -> Period:
    starts_on, ends_on = text.split("/")
    return Period(date.fromisoformat(starts_on), date.fromisoformat(ends_on))


JUNE = span("2026-06-01/2026-07-01")  # 30 days, where the source names no month
FEBRUARY = span("2026-02-01/2026-03-01")  # 28 days: four weeks

PRORATED = [
    # Stripe and those who explain it ------------------------------------------------------------------------
    # half of 10: the credit of 5 for the unused time
    ("stripe-upgrade-credit", STRIPE_PRORATIONS, "10", "2026-06-16/2026-07-01", JUNE, "5.00"),
    # half of 20: the charge of 10 for the remaining time, so 5 more in all
    ("stripe-upgrade-charge", STRIPE_PRORATIONS, "20", "2026-06-16/2026-07-01", JUNE, "10.00"),
    # 1 × 15/30
    ("datacake-credit", DATACAKE, "1", "2026-06-16/2026-07-01", JUNE, "0.50"),
    # 3 × 15/30
    ("datacake-charge", DATACAKE, "3", "2026-06-16/2026-07-01", JUNE, "1.50"),
    # 99 × 18/30 = 59.4: twelve of thirty days are used
    ("coby-upgrade-credit", COBY, "99", "2026-06-13/2026-07-01", JUNE, "59.40"),
    # 249 × 18/30 = 149.4
    ("coby-upgrade-charge", COBY, "249", "2026-06-13/2026-07-01", JUNE, "149.40"),
    # 29 × 16/30 = 464/30 = 15.466…: from the 15th, included
    ("taxiteasy-credit", TAXITEASY, "29", "2026-06-15/2026-07-01", JUNE, "15.47"),
    # 49 × 16/30 = 784/30 = 26.133…
    ("taxiteasy-charge", TAXITEASY, "49", "2026-06-15/2026-07-01", JUNE, "26.13"),
    # 12 × 21/28: three of four weeks are left
    ("baremetrics-credit", BAREMETRICS, "12", "2026-02-08/2026-03-01", FEBRUARY, "9.00"),
    # 24 × 21/28
    ("baremetrics-charge", BAREMETRICS, "24", "2026-02-08/2026-03-01", FEBRUARY, "18.00"),
    # Lago divides by 30 in July: 10 × 22/30 = 7.333…. By our rule July gives 22/31; we agree in June.
    ("lago-seat", LAGO_PRORATED, "10", "2026-06-09/2026-07-01", JUNE, "7.33"),
    # Chargebee ----------------------------------------------------------------------------------------------
    # 60 × 20/30 = 40 used, so 20 to credit
    (
        "chargebee-downgrade-used", CHARGEBEE_PRORATION, "60", "2012-04-01/2012-04-21",
        span("2012-04-01/2012-05-01"), "40.00",
    ),
    # 30 × 10/30 for the days left
    (
        "chargebee-downgrade-new", CHARGEBEE_PRORATION, "30", "2012-04-21/2012-05-01",
        span("2012-04-01/2012-05-01"), "10.00",
    ),
    # 90 × 10/30 for ten days of three units
    (
        "chargebee-quantity-used", CHARGEBEE_PRORATION, "90", "2013-04-01/2013-04-11",
        span("2013-04-01/2013-05-01"), "30.00",
    ),
    # 60 × 20/30 for twenty days of two units
    (
        "chargebee-quantity-new", CHARGEBEE_PRORATION, "60", "2013-04-11/2013-05-01",
        span("2013-04-01/2013-05-01"), "40.00",
    ),
    # 649 × 1/28 = 23.178…: they divide by the month that would begin on 31 January, which has 28 days
    (
        "chargebee-one-day", CHARGEBEE_LOGIC, "649", "2023-01-31/2023-02-01",
        span("2023-01-31/2023-02-28"), "23.18",
    ),
    # Others -------------------------------------------------------------------------------------------------
    # 10 × 15/30: "halfway through the month of June"
    ("recurly-user", RECURLY_MRR, "10", "2026-06-16/2026-07-01", JUNE, "5.00"),
    # 200 × 21/31 = 4200/31 = 135.483…
    (
        "ledgerbee-july", LEDGERBEE, "200.00", "2026-07-11/2026-08-01",
        span("2026-07-01/2026-08-01"), "135.48",
    ),
    # 31 × 17/31: 15 to 31 January, 1 a day (the days and the 31 are the source's, the product ours)
    (
        "zuora-usage", ZUORA_USAGE, "31", "2023-01-15/2023-02-01", span("2023-01-01/2023-02-01"), "17.00",
    ),
    # 120 × 180/365 = 21600/365 = 59.178…
    (
        "monetizenow-half-year", MONETIZENOW, "120", "2023-02-15/2023-08-14",
        span("2023-02-15/2024-02-15"), "59.18",
    ),
    # 12000 × 153/366 = 1836000/366 = 5016.393…
    (
        "dynamics-year", DYNAMICS, "12000.00", "2019-08-01/2020-01-01",
        span("2019-08-01/2020-08-01"), "5016.39",
    ),
    # 70 × 5/7
    ("financialforce-first-week", FINANCIALFORCE, "70", "2017-08-12/2017-08-17",
     span("2017-08-10/2017-08-17"), "50.00"),
    # 70 × 6/7
    ("financialforce-last-week", FINANCIALFORCE, "70", "2017-08-17/2017-08-23",
     span("2017-08-17/2017-08-24"), "60.00"),
    # 930 × 23/31
    ("financialforce-first-month", FINANCIALFORCE, "930", "2017-08-02/2017-08-25",
     span("2017-07-25/2017-08-25"), "690.00"),
    # 930 × 16/31
    ("financialforce-last-month", FINANCIALFORCE, "930", "2017-08-25/2017-09-10",
     span("2017-08-25/2017-09-25"), "480.00"),
    # 930 × 28/31
    ("financialforce-from-the-8th", FINANCIALFORCE, "930", "2017-08-08/2017-09-05",
     span("2017-08-05/2017-09-05"), "840.00"),
    # 930 × 27/31
    ("financialforce-to-the-31st", FINANCIALFORCE, "930", "2017-10-05/2017-11-01",
     span("2017-10-05/2017-11-05"), "810.00"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "amount", "used", "whole", "expected"), named(PRORATED))
def test_a_published_proration_is_what_we_prorate(source, amount, used, whole, expected):
    assert str(round_half_up(prorated(Decimal(amount), span(used), whole), "USD")) == expected, source


def cycle(interval: str, count: int, anchor: str) -> Cycle:
    return Cycle.anniversary(interval, count, date.fromisoformat(anchor))


# Kill Bill's test gives a start, an end or a bill cycle day (BCD), and the fraction of a period due for the stub.
# The whole period is found by our cycle, anchored on the BCD, which is a test of the cycle too.
FRACTIONS = [
    # leading, BCD 13: 1 to 13 February of [13 January, 13 February)
    (
        "killbill-monthly-leading", KILLBILL + "monthly/TestLeadingProRation.java",
        cycle("month", 1, "2011-02-13"), "2011-02-01/2011-02-13", "12/31",
    ),
    # the same of a quarter: [13 November, 13 February) = 18 + 31 + 31 + 12
    (
        "killbill-quarterly-leading", KILLBILL + "quarterly/TestLeadingProRation.java",
        cycle("month", 3, "2011-02-13"), "2011-02-01/2011-02-13", "12/92",
    ),
    # trailing: 17 to 25 June of a year that has 29 February 2012 in it
    (
        "killbill-annual-trailing", KILLBILL + "annual/TestTrailingProRation.java",
        cycle("year", 1, "2010-06-17"), "2011-06-17/2011-06-25", "8/366",
    ),
    # a phase change in the middle of four weeks: one half
    (
        "killbill-phase-change", KILLBILL + "monthly/TestProRation.java testSinglePlan_WithPhaseChange",
        cycle("month", 1, "2011-02-10"), "2011-02-10/2011-02-24", "14/28",
    ),
    # to 14 February, BCD 1
    (
        "killbill-to-plan-change", KILLBILL + "monthly/TestProRation.java testSinglePlan_ChangeBCD",
        cycle("month", 1, "2011-02-01"), "2011-02-01/2011-02-14", "13/28",
    ),
    # from 14 February to the new BCD 27, of [27 January, 27 February)
    (
        "killbill-from-plan-change", KILLBILL + "monthly/TestProRation.java testSinglePlan_ChangeBCD",
        cycle("month", 1, "2011-01-27"), "2011-02-14/2011-02-27", "13/31",
    ),
    # half of February in a leap year
    (
        "killbill-leap-february",
        KILLBILL + "monthly/TestProRation.java testSinglePlan_LeapYearFebruaryProRation",
        cycle("month", 1, "2012-02-01"), "2012-02-01/2012-02-15", "14/29",
    ),
    # 7 to 15 February, BCD 7
    (
        "killbill-before-billing-day",
        KILLBILL + "monthly/TestProRation.java testPlanChange_BeforeBillingDay",
        cycle("month", 1, "2011-02-07"), "2011-02-07/2011-02-15", "8/28",
    ),
    # 7 to 15 March, new BCD 15: of [15 February, 15 March)
    (
        "killbill-on-billing-day", KILLBILL + "monthly/TestProRation.java testPlanChange_OnBillingDay",
        cycle("month", 1, "2011-03-15"), "2011-03-07/2011-03-15", "8/28",
    ),
    # 7 to 10 March, BCD 7: of [7 March, 7 April)
    (
        "killbill-after-billing-day-old",
        KILLBILL + "monthly/TestProRation.java testPlanChange_AfterBillingDay",
        cycle("month", 1, "2011-02-07"), "2011-03-07/2011-03-10", "3/31",
    ),
    # 10 to 15 March, new BCD 15: of [15 February, 15 March)
    (
        "killbill-after-billing-day-new",
        KILLBILL + "monthly/TestProRation.java testPlanChange_AfterBillingDay",
        cycle("month", 1, "2011-03-15"), "2011-03-10/2011-03-15", "5/28",
    ),
    # 31 January to BCD 7: of [7 January, 7 February)
    (
        "killbill-double-leading",
        KILLBILL + "monthly/TestProRation.java testPlanChange_DoubleProRation",
        cycle("month", 1, "2011-02-07"), "2011-01-31/2011-02-07", "7/31",
    ),
    # 15 to 17 March, BCD 15: of [15 March, 15 April)
    (
        "killbill-trailing", KILLBILL + "monthly/TestProRation.java testStartTargetEnd",
        cycle("month", 1, "2010-12-15"), "2011-03-15/2011-03-17", "2/31",
    ),
    # 27 to 31 January, both included
    ("zuora-5-31", ZUORA_DAYS, cycle("month", 1, "2021-01-01"), "2021-01-27/2021-02-01", "5/31"),
    # 27 and 28 February
    ("zuora-2-28", ZUORA_DAYS, cycle("month", 1, "2021-01-01"), "2021-02-27/2021-03-01", "2/28"),
    # all of February in a leap year
    ("zuora-29-29", ZUORA_DAYS, cycle("month", 1, "2020-01-01"), "2020-02-01/2020-03-01", "29/29"),
    # 21 to 29 April
    ("zuora-9-30", ZUORA_DAYS, cycle("month", 1, "2021-01-01"), "2021-04-21/2021-04-30", "9/30"),
    # 28 March to 4 April, both included, of the 5th to the 4th
    ("salesforce-from-the-5th", SALESFORCE, cycle("month", 1, "2025-02-05"), "2025-03-28/2025-04-05", "8/31"),
    # 15 March to 10 April, both included, of the month from the 15th
    ("oracle-partial", ORACLE_PARTIAL, cycle("month", 1, "2019-01-15"), "2019-03-15/2019-04-11", "27/31"),
    # a trial from the 15th ends after 7 days on the 22nd, and what is left until the 1st is billed in part.
    # The source names no month; in June that is 22 to 30.
    ("stripe-trial-then-anchor", STRIPE_TRIALS, cycle("month", 1, "2026-07-01"), "2026-06-22/2026-07-01", "9/30"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "billed", "used", "expected"), named(FRACTIONS))
def test_a_published_stub_is_the_same_fraction_of_the_same_period(source, billed, used, expected):
    stub = span(used)
    assert fraction_text(stub, billed.period_of(stub.starts_on)) == expected, source


BOUNDARIES = [
    # the last day of a month that has no 31st
    (
        "stripe-31-january", STRIPE_CYCLE, cycle("month", 1, "2026-01-31"),
        ["2026-02-28", "2026-03-31", "2026-04-30"],
    ),
    # "or February 29 in a leap year"
    (
        "stripe-31-january-leap", STRIPE_CYCLE, cycle("month", 1, "2028-01-31"),
        ["2028-02-29", "2028-03-31", "2028-04-30"],
    ),
    # always the 2nd
    (
        "stripe-2-september", STRIPE_CYCLE, cycle("month", 1, "2026-09-02"),
        ["2026-10-02", "2026-11-02", "2026-12-02", "2027-01-02", "2027-02-02"],
    ),
    # every Friday: 3 June was one in 2022
    (
        "stripe-friday-3-june", STRIPE_CYCLE, cycle("week", 1, "2022-06-03"),
        ["2022-06-10", "2022-06-17", "2022-06-24", "2022-07-01"],
    ),
    # the subscription of 13 March
    ("killbill-13-march", KILLBILL_USAGE, cycle("month", 1, "2014-03-13"), ["2014-04-13", "2014-05-13"]),
    # BCD 1, created on 1 June 2016: June, then July
    ("killbill-bcd-1", KILLBILL_BCD, cycle("month", 1, "2016-06-01"), ["2016-07-01", "2016-08-01"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "billed", "expected"), named(BOUNDARIES))
def test_published_billing_days_are_our_boundaries(source, billed, expected):
    found = [str(billed.boundary(n)) for n in range(1, len(expected) + 1)]
    assert found == expected, source


def test_every_friday_is_a_friday():
    fridays = cycle("week", 1, "2022-06-03")
    assert {fridays.boundary(n).weekday() for n in range(52)} == {4}


def test_a_trial_of_seven_days_from_the_15th_ends_on_the_22nd():
    """The period after it is counted from there, or, if the cycle keeps to the calendar, runs to the 1st."""
    trial = Period(date(2026, 6, 15), date(2026, 6, 15) + timedelta(days=7))
    assert trial.ends_on == date(2026, 6, 22)
    assert Cycle.anniversary("month", 1, trial.ends_on).period_of(trial.ends_on).ends_on == date(2026, 7, 22)
    assert Cycle.calendar("month", 1, trial.ends_on).period_of(trial.ends_on).ends_on == date(2026, 7, 1)
