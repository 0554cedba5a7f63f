"""The same backend for tests that commit: emptying the tables between them must get past the
triggers that (rightly) refuse TRUNCATE."""

from config.pgbackend import base


class DatabaseOperations(base.DatabaseWrapper.ops_class):
    def sql_flush(self, style, tables, *, reset_sequences=False, allow_cascade=False):
        statements = super().sql_flush(
            style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade
        )
        return [
            "SET session_replication_role = replica",
            *statements,
            "SET session_replication_role = origin",
        ]


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
