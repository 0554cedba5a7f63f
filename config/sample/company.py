"""The facts of the sample company. Everybody and everything here is invented."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from billing.access.roles import AP, AU, BO, BU, FC, SY, VW
from billing.entities.models import Consolidation

ROOT = "NORTHWIND"
FOUNDED_ON = date(2024, 1, 1)
TODAY = date(2026, 11, 1)
MONTHS = (date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1))
RUNS = (date(2026, 9, 1), date(2026, 10, 1), TODAY)  # each bills the month before it
MARK_UP = Decimal(5)


@dataclass(frozen=True)
class Company:
    code: str
    parent: str
    name: str
    country: str
    currency: str
    tax_id: str = ""
    time_zone: str = "Europe/Berlin"
    terms: int = 30
    size: int = 0  # how much it uses; a holding uses nothing
    cloud_account: str = ""
    city: str = ""
    consolidation: str = Consolidation.STANDALONE


GROUP = {
    "name": "Northwind Cloud Group",
    "legal_name": "Northwind Cloud Group SE",
    "currency": "EUR",
    "country": "DE",
    "tax_id": "DE200000005",
    "bank_account": {"iban": "DE02120300000000202051", "bic": "BYLADEM1001", "bank": "Deutsche Kreditbank"},
    "email": "billing@northwind.example",
    "time_zone": "Europe/Berlin",
    "is_seller": True,
    "is_customer": False,
    "address": {"line1": "Speicherstraße 12", "postal_code": "20457", "city": "Hamburg", "country": "DE"},
}

COMPANIES = [
    Company("FALKEN", ROOT, "Falkenstein Group", "DE", "EUR", city="Stuttgart"),
    Company(
        "FALKEN-WERKE",
        "FALKEN",
        "Falkenstein Werke GmbH",
        "DE",
        "EUR",
        "DE123456704",
        terms=45,
        size=9,
        cloud_account="FALKEN-CLOUD-01",
        city="Stuttgart",
    ),
    Company(
        "FALKEN-BERLIN",
        "FALKEN-WERKE",
        "Falkenstein Werk Berlin",
        "DE",
        "EUR",
        "DE123456712",
        size=4,
        terms=45,
    ),
    Company(
        "FALKEN-WIEN",
        "FALKEN",
        "Falkenstein Austria GmbH",
        "AT",
        "EUR",
        "ATU12345675",
        "Europe/Vienna",
        45,
        3,
        city="Wien",
    ),
    Company("BOREAL", ROOT, "Boréal Distribution", "FR", "EUR", time_zone="Europe/Paris", city="Paris"),
    Company(
        "BOREAL-FR",
        "BOREAL",
        "Boréal Distribution SAS",
        "FR",
        "EUR",
        "FR11123456782",
        "Europe/Paris",
        45,
        6,
        city="Paris",
        consolidation=Consolidation.ROLL_UP,
    ),
    Company(
        "BOREAL-LYON",
        "BOREAL-FR",
        "Boréal Entrepôt Lyon",
        "FR",
        "EUR",
        "FR11123456782",
        "Europe/Paris",
        45,
        2,
        city="Lyon",
        consolidation=Consolidation.ROLL_UP,
    ),
    Company(
        "BOREAL-US",
        "BOREAL",
        "Boréal Stores Inc.",
        "US",
        "USD",
        time_zone="America/New_York",
        terms=60,
        size=3,
        city="Boston",
        consolidation=Consolidation.ROLL_UP,
    ),
    Company("PRAIRIE", ROOT, "Prairie Clinics", "US", "USD", time_zone="America/Chicago", city="Omaha"),
    Company(
        "PRAIRIE-OMAHA",
        "PRAIRIE",
        "Prairie Clinics of Omaha LLC",
        "US",
        "USD",
        time_zone="America/Chicago",
        terms=60,
        size=7,
        cloud_account="PRAIRIE-CLOUD-07",
        city="Omaha",
    ),
    Company(
        "PRAIRIE-LABS",
        "PRAIRIE-OMAHA",
        "Prairie Laboratories",
        "US",
        "USD",
        time_zone="America/Chicago",
        terms=60,
        size=2,
    ),
    Company(
        "ALPINUM",
        ROOT,
        "Alpinum Bergverein",
        "AT",
        "EUR",
        time_zone="Europe/Vienna",
        size=1,
        city="Innsbruck",
    ),
    Company("SAKURA", ROOT, "Sakura Trading KK", "JP", "JPY", time_zone="Asia/Tokyo", size=1, city="Osaka"),
]
FAILING = "SAKURA"  # nobody has set prices in JPY yet
FIRST_MONTH = {FAILING: MONTHS[2]}  # customers who came later
CUSTOMERS = [company for company in COMPANIES if company.size]


@dataclass(frozen=True)
class Part:
    code: str
    name: str
    cost_centre: str
    gl_code: str
    headcount: int
    weight: int  # its share of the usage
    parent: str = ""
    manager: str = ""


PARTS = [
    Part("ENG", "Engineering", "CC-4100", "6310", 42, 5, manager="bea"),
    Part("ENG-DATA", "Data platform", "CC-4110", "6315", 12, 3, parent="ENG", manager="dan"),
    Part("OPS", "Operations", "CC-4200", "6320", 35, 2, manager="olga"),
]
PARTS_OF_SMALL = [PARTS[0], PARTS[2]]


def parts_of(company: Company) -> list[Part]:
    return PARTS if company.size > 2 else PARTS_OF_SMALL


@dataclass(frozen=True)
class Sold:
    code: str
    name: str
    unit: str
    gl_code: str
    prices: dict[str, str]
    per_day: int  # units per day and size, about
    later: dict[str, str] = field(default_factory=dict)  # from October on


PRODUCTS = [
    Sold(
        "COMPUTE",
        "Compute",
        "vCPU hour",
        "6410",
        {"EUR": "0.0425", "USD": "0.0460"},
        960,
        {"EUR": "0.0399", "USD": "0.0432"},
    ),
    Sold("STORAGE", "Storage", "GB hour", "6420", {"EUR": "0.000031", "USD": "0.000034"}, 180_000),
    Sold("NETWORK", "Network egress", "GB", "6430", {"EUR": "0.0525", "USD": "0.0575"}, 75),
    Sold("SUPPORT", "Support", "hour", "", {"EUR": "118", "USD": "129"}, 0),
]
GL_OF_CLOUD = "6450"
TAX_RATES = [("DE", "19"), ("AT", "20"), ("FR", "20")]

# The support hours of each month; the quota of one customer is nearly used up by them.
SUPPORT_HOURS = {
    "FALKEN-WERKE": ("6.5", "4", "8.25"),
    "BOREAL-FR": ("3", "2.5", "5"),
    "PRAIRIE-OMAHA": ("7", "6", "9.5"),
    "ALPINUM": ("14", "12.5", "12"),
}
QUOTA = ("ALPINUM", "SUPPORT", Decimal(40))


@dataclass(frozen=True)
class Person:
    key: str
    name: str
    role: str = ""
    department: tuple[str, str] | None = None
    shown: bool = True  # its sign-in is printed

    @property
    def email(self) -> str:
        return f"{self.key}@northwind.example"


PEOPLE = [
    Person("fiona", "Fiona Falk", FC),
    Person("carl", "Carl Stein", FC),
    Person("ana", "Ana Silva", AP),
    Person("ben", "Ben Osei", BO),
    Person("ada", "Ada Aumann", AU),
    Person("vera", "Vera Weber", VW),
    Person("sam", "Sam Yilmaz", SY),
    Person("bea", "Bea Unger", BU, ("FALKEN-WERKE", "ENG")),
    Person("dan", "Dan Ritter", shown=False),
    Person("olga", "Olga Petrov", shown=False),
]
ACCOUNT = ("metering@northwind.example", "Metering pipeline", "ben")
