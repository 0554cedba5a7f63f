"""Columns as ranges, for exclusion constraints without the extension btree_gist."""

from django.db.models import F, Func, Value


def one_uuid(field: str) -> Func:
    """A uuid as a range of one: two overlap if and only if they are equal."""
    return Func(F(field), F(field), Value("[]"), function="uuidrange")


def one_text(field: str) -> Func:
    """A text as a range of one: two overlap if and only if they are equal."""
    return Func(F(field), F(field), Value("[]"), function="textrange")


def days(starts_on: str, ends_on: str) -> Func:
    """A half-open period of days; an empty end is open."""
    return Func(F(starts_on), F(ends_on), Value("[)"), function="daterange")
