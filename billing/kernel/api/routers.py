"""Addresses without a trailing slash, ids as UUIDs: anything else in their place is simply not found."""

from rest_framework.routers import SimpleRouter


class Router(SimpleRouter):
    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)
