"""What must hold in the kernel's tables at every moment. Each query returns the rows that violate it."""

CHECKS = {
    "O1 no delivery is stuck": """
        SELECT id, subscriber, due_at FROM outbox_deliveries
        WHERE state = 'pending' AND due_at < now() - interval '2 hours'
    """,
    "J1 no job runs without a lease": """
        SELECT id, kind FROM jobs
        WHERE state = 'running' AND (leased_until IS NULL OR leased_until < now() - interval '1 hour')
    """,
    "J2 a finished job is dated, an open one is not": """
        SELECT id, kind, state FROM jobs
        WHERE (state IN ('succeeded', 'failed')) <> (finished_at IS NOT NULL)
    """,
    "T1 seals are numbered from 1 without a gap, each on the one before": """
        SELECT number FROM (
            SELECT number, previous_digest,
                   row_number() OVER chain AS expected,
                   lag(digest, 1, repeat('0', 64)) OVER chain AS before
            FROM audit_seals WINDOW chain AS (ORDER BY number)
        ) AS seals
        WHERE number <> expected OR previous_digest <> before
    """,
    "T2 every seal covers as many lines as it says": """
        SELECT coalesce(seals.number, held.seal) AS number, seals.entry_count, held.lines
        FROM audit_seals AS seals
        FULL JOIN (
            SELECT seal, count(*) AS lines FROM audit_entries WHERE seal IS NOT NULL GROUP BY seal
        ) AS held ON held.seal = seals.number
        WHERE held.lines IS DISTINCT FROM seals.entry_count
    """,
}
