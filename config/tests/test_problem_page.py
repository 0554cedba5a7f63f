import re

import pytest

from config.env import ROOT
from config.problems import as_markdown, known


def test_the_page_in_the_documentation_is_up_to_date():
    assert (ROOT / "docs" / "problems.md").read_text() == as_markdown(), (
        "run: manage.py list_problems --write"
    )


def test_codes_are_kebab_case_and_statuses_are_refusals():
    for code, (status, meaning) in known().items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code), code
        assert 400 <= status < 600, code
        assert meaning, code


@pytest.mark.parametrize(("path", "status"), [("conflict", 200), ("", 200), ("nothing", 404)])
def test_the_type_of_a_problem_leads_somewhere(client, path, status):
    answer = client.get(f"/problems/{path}")
    assert answer.status_code == status
    assert "<code>conflict</code>" in answer.content.decode()
