"""The chart of accounts, as data. Every selling entity keeps books with these accounts."""

from dataclasses import dataclass

from django.db import models


class Side(models.TextChoices):
    DEBIT = "debit"
    CREDIT = "credit"


@dataclass(frozen=True)
class ChartAccount:
    code: str
    name: str
    normal_side: str  # the side on which its balance grows


RECEIVABLE = ChartAccount("1100", "Accounts receivable", Side.DEBIT)
CASH = ChartAccount("1000", "Cash clearing", Side.DEBIT)
UNBILLED = ChartAccount("1150", "Unbilled revenue", Side.DEBIT)
DUE_FROM = ChartAccount("1300", "Intercompany due from", Side.DEBIT)
TAX_PAYABLE = ChartAccount("2200", "Tax payable", Side.CREDIT)
CUSTOMER_BALANCE = ChartAccount("2300", "Customer balances", Side.CREDIT)
DEFERRED = ChartAccount("2400", "Deferred revenue", Side.CREDIT)
DUE_TO = ChartAccount("2500", "Intercompany due to", Side.CREDIT)
REVENUE = ChartAccount("4000", "Revenue", Side.CREDIT)
LATE_CHARGES = ChartAccount("4050", "Late-payment charges", Side.CREDIT)
SLA_CREDITS = ChartAccount("4100", "SLA credits", Side.DEBIT)
REFUNDS = ChartAccount("4200", "Refunds", Side.DEBIT)
BAD_DEBT = ChartAccount("6100", "Bad debt", Side.DEBIT)
CHARGEBACKS = ChartAccount("6200", "Chargebacks and fees", Side.DEBIT)
ROUNDING = ChartAccount("6900", "Rounding", Side.DEBIT)
FX = ChartAccount("7000", "Exchange gains and losses", Side.CREDIT)

CHART = (
    CASH, RECEIVABLE, UNBILLED, DUE_FROM, TAX_PAYABLE, CUSTOMER_BALANCE, DEFERRED, DUE_TO,
    REVENUE, LATE_CHARGES, SLA_CREDITS, REFUNDS, BAD_DEBT, CHARGEBACKS, ROUNDING, FX,
)  # fmt: skip
