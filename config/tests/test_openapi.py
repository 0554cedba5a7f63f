"""The document is complete and is shown offline."""

import re

import pytest
from django.contrib.staticfiles import finders
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

API = "/api/v1/enterprise-billing/"


@pytest.fixture(scope="module")
def document():
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def operations(document):
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "post", "put", "patch", "delete"}
    }


def test_it_is_made_without_a_warning(document):
    found = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    assert found == []


def test_it_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    validate_schema(document)


def test_every_operation_says_what_it_does_who_may_and_how_it_refuses(operations):
    assert operations
    for (method, path), operation in operations.items():
        assert path.startswith(API), path
        assert not path.endswith("/"), path
        assert operation["summary"], path
        assert operation["security"], path
        expected = {"400", "401", "403", "429"} | ({"404"} if "{" in path else set())
        expected |= {"409", "422"} if method != "get" else set()
        assert expected <= set(operation["responses"]), (method, path)
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)


def test_every_post_takes_a_key_and_every_change_of_an_object_a_version(operations):
    for (method, path), operation in operations.items():
        headers = {given["name"] for given in operation.get("parameters", []) if given["in"] == "header"}
        assert method != "post" or "Idempotency-Key" in headers, path
        assert method not in {"put", "patch"} or "If-Match" in headers, path


def test_operation_ids_are_unique(operations):
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.django_db
def test_the_page_asks_for_nothing_from_elsewhere_and_has_no_inline_script(client):
    page = client.get("/docs")
    script = client.get("/docs?script=")
    text = page.content.decode()

    assert (page.status_code, script.status_code) == (200, 200)
    assert "script-src 'self'" in page["Content-Security-Policy"]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert addresses
    for address in addresses:
        assert not address.startswith(("http", "//")), address
        if address.startswith("/static/"):
            assert finders.find(address.removeprefix("/static/").split("?")[0]), address
    assert re.findall(r"<script>(.*?)</script>", text, re.DOTALL) == []
    assert "http://" not in script.content.decode().replace("http://www.w3.org", "")


@pytest.mark.django_db
def test_the_document_is_served_as_json(client):
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["info"]["title"] == "Enterprise billing"
