"""PostgreSQL, with two additions: the embedded server is started before a connection is made, and the
session knows who is acting, so that the audit triggers can write it down."""

from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from billing.kernel.context import NOBODY, current
from config.embedded import postgres


class DatabaseWrapper(base.DatabaseWrapper):
    _told = NOBODY  # what the session's app.context says; None when a rollback may have undone it

    def get_connection_params(self):
        embedded = self.settings_dict.get("EMBEDDED")
        if embedded:
            postgres(embedded["data"], embedded["name"], fast=embedded["fast"])
        return super().get_connection_params()

    def get_new_connection(self, conn_params):
        self._told = NOBODY
        return super().get_new_connection(conn_params)

    def _cursor(self, name=None):
        cursor = super()._cursor(name)
        here = current()
        # A transaction that has failed only listens to ROLLBACK; the next cursor tells.
        if here != self._told and self.connection.info.transaction_status != TransactionStatus.INERROR:
            self.connection.execute("SELECT set_config('app.context', %s, false)", [here.as_json()])
            self._told = here
        return cursor

    def _rollback(self):
        self._told = None  # a SET is undone with its transaction
        super()._rollback()

    def _savepoint_rollback(self, sid):
        super()._savepoint_rollback(sid)
        self._told = None
