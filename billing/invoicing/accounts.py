"""The bank account a seller wants to be paid to, as its metadata names it."""

from collections.abc import Mapping

from stdnum import bic, iban
from stdnum.exceptions import ValidationError as NotAnAccount

KEY = "bank_account"


def account_in(metadata: Mapping) -> dict[str, str]:
    """`{"iban", "bic", "bank"}` (EN 16931 BT-84, BT-86) of `metadata["bank_account"]`, or nothing.

    An IBAN whose check digits are wrong is not printed: money sent there would be lost.
    """
    named = metadata.get(KEY)
    if not isinstance(named, Mapping):
        return {}
    try:
        account = {"iban": iban.validate(str(named.get("iban", "")))}
        if named.get("bic"):
            account["bic"] = bic.validate(str(named["bic"]))
    except NotAnAccount:
        return {}
    bank = str(named.get("bank") or "")[:100]
    return account | {"bank": bank} if bank else account
