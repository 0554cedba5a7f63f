"""Which facts of an entity and a department may be changed, and what makes each of them plausible."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from zoneinfo import available_timezones

from babel import Locale
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from stdnum import bic, iban
from stdnum.eu import vat
from stdnum.exceptions import ValidationError as NotANumber

from billing.entities.errors import InvalidTaxId
from billing.entities.models import Consolidation
from billing.kernel import money
from billing.kernel.errors import Invalid

CONTACT = frozenset(
    {
        "name",
        "email",
        "address",
        "language",
        "time_zone",
        "payment_terms_days",
        "external_reference",
        "metadata",
    }
)
LEGAL = frozenset(
    {
        "legal_name",
        "tax_id",
        "bank_account",
        "currency",
        "country",
        "is_seller",
        "is_customer",
        "consolidation",
        "fiscal_year_starts_in",
    }
)
# Whom the money goes to, and by which tax id: what a second person looks at once the entity is active.
PAYEE = frozenset({"legal_name", "tax_id", "bank_account", "currency", "country"})
DEPARTMENT = frozenset(
    {
        "name",
        "parent_id",
        "cost_centre",
        "manager_id",
        "headcount",
        "external_reference",
        "ends_on",
        "metadata",
    }
)
DEPARTMENT_GL = frozenset({"default_gl_code"})

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
BANK_ACCOUNT_PARTS = frozenset({"iban", "bic", "bank"})
BANK_LENGTH_MAX = 100
ADDRESS = frozenset({"line1", "line2", "city", "region", "postal_code", "country"})
NOT_COUNTRIES = {"AC", "CP", "CQ", "DG", "EU", "EZ", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"}
METADATA_KEYS_MAX, METADATA_KEY_LENGTH_MAX, METADATA_VALUE_LENGTH_MAX = 50, 40, 500
LENGTHS = {
    "name": 200,
    "legal_name": 200,
    "email": 254,
    "external_reference": 200,
    "cost_centre": 64,
    "default_gl_code": 64,
    "tax_id": 32,
}


def require_code(code: str) -> None:
    if not CODE.fullmatch(code):
        raise Invalid(
            f"'{code[:80]}' is not a code: letters, digits, '.', '_' and '-', 64 at most.", field="code"
        )


def require_plausible(facts: Mapping[str, object]) -> None:
    """Check each of the facts that is there. Raises Invalid and names the `field`."""
    for name, value in facts.items():
        if name in LENGTHS:
            _text(name, value, LENGTHS[name])
        if name in CHECKS:
            CHECKS[name](value)


def normal_tax_id(tax_id: str, country: str) -> str:
    """In the EU: the VAT number with its country prefix, checked. Elsewhere: as given. Raises InvalidTaxId."""
    prefix = "EL" if country == "GR" else country
    if not tax_id or country.lower() not in vat.MEMBER_STATES:
        return tax_id
    bare = re.sub(r"[\s./-]", "", tax_id).upper()
    for candidate in (bare, prefix + bare):  # companies may be registered in another member state
        try:
            return vat.validate(candidate)
        except NotANumber:
            continue
    raise InvalidTaxId(f"'{tax_id}' is not a VAT number of {country}.", field="tax_id")


def normal_bank_account(account: object) -> dict[str, str]:
    """`{"iban", "bic", "bank"}` (EN 16931 BT-84, BT-86), compact and with right check digits: money sent elsewhere
    would be lost. Empty: none. Raises Invalid."""
    _require(isinstance(account, Mapping), "bank_account", "The bank account is an object.")
    unknown = sorted(set(account) - BANK_ACCOUNT_PARTS)
    _require(not unknown, "bank_account", f"No such part of a bank account: {', '.join(map(str, unknown))}.")
    for part, text in account.items():
        _text(f"bank_account.{part}", text, BANK_LENGTH_MAX)
    given = {part: text.strip() for part, text in account.items() if text.strip()}
    if not given:
        return {}
    _require("iban" in given, "bank_account", "A bank account has an IBAN.")
    checked = {"iban": (iban.validate, "an IBAN"), "bic": (bic.validate, "a BIC")}
    for part, (validate, what) in checked.items():
        if part not in given:
            continue
        try:
            given[part] = validate(given[part])
        except NotANumber as error:
            raise Invalid(f"'{given[part]}' is not {what}.", field="bank_account") from error
    return given


@cache
def countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, with IC and EA, which it reserves for the Canary Islands and for Ceuta and Melilla: they are
    part of Spain, and outside the union's area of value added tax."""
    codes = {code for code in Locale("en").territories if len(code) == 2 and code.isalpha()}
    return frozenset(codes - NOT_COUNTRIES)


@cache
def time_zones() -> frozenset[str]:
    return frozenset({name for name in available_timezones() if "/" in name} | {"UTC"})


def _text(field: str, value: object, length_max: int) -> None:
    if not isinstance(value, str) or len(value) > length_max:
        raise Invalid(f"{field} is text of at most {length_max} characters.", field=field)
    if any(unicodedata.category(sign) in {"Cc", "Cs", "Cn", "Zl", "Zp"} for sign in value):
        raise Invalid(f"{field} has control characters.", field=field)


def _require(condition: bool, field: str, detail: str) -> None:
    if not condition:
        raise Invalid(detail, field=field)


def _name(value: str) -> None:
    _require(bool(value.strip()), "name", "A name is needed.")


def _email(value: str) -> None:
    if not value:
        return
    try:
        validate_email(value)
    except ValidationError as error:
        raise Invalid(f"'{value}' is not an e-mail address.", field="email") from error


def _address(value: object) -> None:
    _require(isinstance(value, dict), "address", "The address is an object.")
    unknown = sorted(set(value) - ADDRESS)
    _require(not unknown, "address", f"No such part of an address: {', '.join(unknown)}.")
    for part, text in value.items():
        _text(f"address.{part}", text, 200)
    if value.get("country"):
        _country(value["country"])


def _metadata(value: object) -> None:
    _require(
        isinstance(value, dict) and len(value) <= METADATA_KEYS_MAX,
        "metadata",
        f"metadata is an object of at most {METADATA_KEYS_MAX} members.",
    )
    for key, member in value.items():
        _text("metadata", key, METADATA_KEY_LENGTH_MAX)
        if isinstance(member, str):
            _text(f"metadata.{key}", member, METADATA_VALUE_LENGTH_MAX)
        else:
            _require(
                type(member) in (int, bool), "metadata", f"metadata.{key} is text, an integer or a boolean."
            )


def _country(value: object) -> None:
    _require(value in countries(), "country", f"'{value}' is not an ISO 3166 country code.")


def _currency(value: str) -> None:
    money.exponent(value)


def _time_zone(value: object) -> None:
    _require(value in time_zones(), "time_zone", f"'{value}' is not an IANA time zone.")


def _language(value: object) -> None:
    _require(value in dict(settings.LANGUAGES), "language", f"'{value}' is not a language of this system.")


def _payment_terms(value: object) -> None:
    _require(
        type(value) is int and 0 <= value <= 365, "payment_terms_days", "Payment terms are 0 to 365 days."
    )


def _fiscal_month(value: object) -> None:
    _require(type(value) is int and 1 <= value <= 12, "fiscal_year_starts_in", "A month is 1 to 12.")


def _headcount(value: object) -> None:
    _require(type(value) is int and 0 <= value <= 10_000_000, "headcount", "A headcount is 0 or more.")


def _consolidation(value: object) -> None:
    _require(value in Consolidation.values, "consolidation", f"One of: {', '.join(Consolidation.values)}.")


CHECKS = {
    "name": _name,
    "email": _email,
    "address": _address,
    "metadata": _metadata,
    "country": _country,
    "currency": _currency,
    "time_zone": _time_zone,
    "language": _language,
    "payment_terms_days": _payment_terms,
    "fiscal_year_starts_in": _fiscal_month,
    "headcount": _headcount,
    "consolidation": _consolidation,
    "bank_account": normal_bank_account,
}
