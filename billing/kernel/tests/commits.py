"""Scenes of several acts inside the one transaction of a test."""

from django.db import connection


def as_if_committed() -> None:
    """Let the checks that wait for COMMIT speak now, so that each act of a scene is judged by itself."""
    if connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
