"""The chart of accounts: the general-ledger accounts that every selling entity has."""

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
TAX_PAYABLE = ChartAccount("2200", "Tax payable", Side.CREDIT)
CUSTOMER_BALANCE = ChartAccount("2300", "Customer credits (unapplied cash)", Side.CREDIT)
REVENUE = ChartAccount("4000", "Revenue", Side.CREDIT)
LATE_CHARGES = ChartAccount("4050", "Late-payment charges", Side.CREDIT)
BAD_DEBT = ChartAccount("6100", "Bad debt", Side.DEBIT)

CHART = (CASH, RECEIVABLE, TAX_PAYABLE, CUSTOMER_BALANCE, REVENUE, LATE_CHARGES, BAD_DEBT)
