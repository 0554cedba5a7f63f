"""Every dependency has its reason, and every pin its place."""

import re

from config.env import ROOT


def names_in(file: str) -> set[str]:
    lines = (ROOT / file).read_text().splitlines()
    return {
        re.match(r"[\w.-]+", line).group().lower()
        for line in lines
        if line.strip() and not line.lstrip().startswith("#")
    }


def test_each_wanted_package_is_explained():
    explained = set(re.findall(r"[\w-]+", (ROOT / "docs" / "dependencies.md").read_text().lower()))
    assert names_in("requirements.in") - explained == set()


def test_each_wanted_package_is_pinned_exactly():
    pins = re.findall(r"(?m)^([\w.-]+)==[\w.]+( ; .*)?$", (ROOT / "requirements.txt").read_text())
    pinned = {name for name, _ in pins}
    assert names_in("requirements.in") <= pinned
    assert pinned == names_in("requirements.txt")


def test_the_image_leaves_out_only_packages_that_exist():
    pattern = re.search(r"grep -vE '\^\((.*)\)=='", (ROOT / "Dockerfile").read_text()).group(1)
    assert set(pattern.split("|")) <= names_in("requirements.in")
