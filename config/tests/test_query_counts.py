"""What every list, object and console page costs the database: the same for 3 rows as for 30, and as agreed on.

A lost `select_related` is a failure here, a new endpoint without a figure too. To renew `query_counts.json`:
UPDATE_QUERY_COUNTS=1 pytest config/tests/test_query_counts.py
"""

import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from django.contrib import admin
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from drf_spectacular.generators import SchemaGenerator

from config.tests.samples import Company
from config.tests.samples import page as page_at

API = "/api/v1/enterprise-billing/"
BASELINE = Path(__file__).with_name("query_counts.json")
UPDATING = bool(os.environ.get("UPDATE_QUERY_COUNTS"))
ROWS = (3, 30)
LIST_MAX = 8  # statements, the four for the session and the grants included
pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Read:
    """A GET of the published schema; `expand` with everything it can be asked to expand."""

    template: str
    is_list: bool
    expand: str = ""

    def __str__(self) -> str:
        return f"GET {self.template}" + (f"?expand={self.expand}" if self.expand else "")


@cache
def reads() -> list[Read]:
    document = SchemaGenerator().get_schema(request=None, public=True)
    found = []
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        parameters = {given["name"]: given for given in methods["get"].get("parameters", [])}
        template, is_list = path.removeprefix(API), "limit" in parameters
        found.append(Read(template, is_list))
        if "expand" in parameters and (is_list or template.endswith("}")):
            names = ",".join(parameters["expand"]["schema"]["items"]["enum"])
            found.append(Read(template, is_list, expand=names))
    return found


def pages() -> list[str]:
    return [f"{model._meta.label} {page}" for model in admin.site._registry for page in ("list", "object")]


@pytest.fixture(scope="module")
def agreed():
    """The figures by name. When they are renewed, they are written once every test has added its own."""
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    yield known
    if UPDATING:
        names = {*map(str, reads()), *pages()}
        BASELINE.write_text(
            json.dumps({name: known[name] for name in sorted(names & set(known))}, indent=1) + "\n"
        )


def agree(agreed: dict[str, int], name: str, few: list[str], many: list[str]) -> None:
    assert len(few) == len(many), _difference(few, many)
    if UPDATING:
        agreed[name] = len(many)
    assert agreed.get(name) == len(many), f"{name} costs {len(many)} statements, not {agreed.get(name)}"


@pytest.mark.parametrize("read", reads(), ids=str)
def test_an_endpoint_costs_the_same_for_few_and_many(read, companies, agreed):
    small, large = companies
    _asked(small, read)  # whatever the process remembers, it knows now

    few, many = _asked(small, read), _asked(large, read)

    agree(agreed, str(read), few, many)
    assert not read.is_list or len(many) <= LIST_MAX


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label)
@pytest.mark.parametrize("page", ["list", "object"])
def test_a_console_page_costs_the_same_for_few_and_many(page, model, companies, agreed):
    small, large = companies
    _opened(small, model, page)

    few, many = _opened(small, model, page), _opened(large, model, page)

    agree(agreed, f"{model._meta.label} {page}", few, many)


def test_no_figure_outlives_its_page(agreed):
    assert set(agreed) - {*map(str, reads()), *pages()} == set()


def _asked(company: Company, read: Read) -> list[str]:
    query = company.query(read.template)
    if read.is_list:
        query |= {"limit": str(company.rows)}
    if read.expand:
        query |= {"expand": read.expand}
    url = API + company.path(read.template)
    browser = next(b for b in company.browsers.values() if b.head(url, query).status_code != 403)
    said, answer = _statements(browser, url, query)
    if read.is_list:
        assert len(answer.json()["results"]) == company.rows, "samples.py makes too few of them"
    return said


def _opened(company: Company, model: type, page: str) -> list[str]:
    browser = company.browsers[company.reader_of(model)]
    if page == "object":
        return _statements(browser, company.page_of(model))[0]
    said, answer = _statements(browser, page_at(model, "changelist"))
    assert len(answer.context["cl"].result_list) >= company.rows, "samples.py makes too few of them"
    return said


def _statements(browser: Client, url: str, query: dict | None = None) -> tuple[list[str], HttpResponse]:
    with CaptureQueriesContext(connection) as said:
        answer = browser.get(url, query)
    assert answer.status_code == 200, answer.content[:500]
    return [statement["sql"] for statement in said.captured_queries], answer


def _difference(few: list[str], many: list[str]) -> str:
    """The statements that are repeated for every row, without their values."""
    shapes = Counter(re.sub(r"'[^']*'(::\w+)?|\b\d+\b", "…", sql) for sql in many)
    repeated = [f"{times} x {shape[:400]}" for shape, times in shapes.most_common(3) if times > 1]
    return "\n".join([f"{len(few)} statements for few rows, {len(many)} for many:", *repeated])
