"""The life of a payment, as data. A manual payment is recorded after the money arrived."""

from django.db import models


class PaymentState(models.TextChoices):
    SUCCEEDED = "succeeded"


class PaymentMethodKind(models.TextChoices):
    BANK_TRANSFER = "bank_transfer"
    CHEQUE = "cheque"
    CASH = "cash"
    OTHER = "other"
