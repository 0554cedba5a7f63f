"""What must hold of requests, votes and effects at every moment. Each query returns the violating rows."""

from approvals.deeds import UNAPPROVED

CHECKS = {
    "AP1 nobody involved has decided, for himself or through another": """
        SELECT a.id, a.request_id, a.person_id FROM approval_actions a JOIN approval_requests r ON r.id = a.request_id
        WHERE a.action IN ('approve', 'reject') AND (a.person_id = ANY (r.barred) OR a.on_behalf_of_id = ANY (r.barred))
    """,
    "AP1 who asked and who gains are barred": """
        SELECT r.id, r.requester_id FROM approval_requests r JOIN users u ON u.id = r.requested_by_id
        LEFT JOIN users g ON g.id = r.beneficiary_id
        WHERE r.requester_id <> coalesce(u.owner_id, u.id) OR NOT r.requester_id = ANY (r.barred)
           OR (g.id IS NOT NULL AND NOT coalesce(g.owner_id, g.id) = ANY (r.barred))
    """,
    "AP2 a vote is of one it asks, by an approval of the same person to the same request": """
        SELECT v.id, v.person_id FROM approval_votes v
        JOIN approval_levels l ON l.id = v.level_id JOIN approval_actions a ON a.id = v.action_id
        WHERE a.action <> 'approve' OR a.request_id <> l.request_id OR a.person_id <> v.person_id
           OR coalesce(a.on_behalf_of_id, a.person_id) <> v.approver_id OR NOT v.approver_id = ANY (l.approvers)
           OR a.level > l.position
    """,
    "AP3 a decision is over the content of its request": """
        SELECT a.id, a.request_id FROM approval_actions a JOIN approval_requests r ON r.id = a.request_id
        WHERE a.action IN ('approve', 'reject') AND a.content_digest <> r.digest
    """,
    "AP4 an approved level has the votes it needs, of different people": """
        SELECT l.id, l.request_id FROM approval_levels l WHERE l.state = 'approved'
           AND (SELECT count(DISTINCT v.person_id) FROM approval_votes v WHERE v.level_id = l.id) < l.needed
    """,
    "AP4 levels are approved in their order, and one is pending while the request is": """
        SELECT l.id, l.request_id FROM approval_levels l JOIN approval_levels b
            ON b.request_id = l.request_id AND b.position < l.position
        WHERE l.state IN ('approved', 'pending', 'rejected') AND b.state <> 'approved'
        UNION ALL
        SELECT r.id, r.id FROM approval_requests r
        WHERE (r.state = 'pending') <> EXISTS (
            SELECT FROM approval_levels l WHERE l.request_id = r.id AND l.state = 'pending')
    """,
    "AP5 approved is by all levels of the rule as frozen, and carried out once": """
        SELECT r.id, r.state FROM approval_requests r
        LEFT JOIN approval_effects e ON e.request_id = r.id
        WHERE (r.state = 'approved') <> (e.id IS NOT NULL) OR e.digest <> r.digest
           OR (r.state = 'approved' AND (
                SELECT count(*) FROM approval_levels l WHERE l.request_id = r.id AND l.state = 'approved')
                    <> jsonb_array_length(r.snapshot -> 'levels'))
    """,
    "AP5 a rejected request was rejected by somebody": """
        SELECT r.id, r.state FROM approval_requests r
        WHERE (r.state = 'rejected') <> EXISTS (
            SELECT FROM approval_actions a WHERE a.request_id = r.id AND a.action = 'reject')
    """,
    "AP6 a rule in force was confirmed by another person than who proposed it": """
        SELECT v.id, v.state FROM approval_rule_versions v
        JOIN users p ON p.id = v.proposed_by_id LEFT JOIN users c ON c.id = v.confirmed_by_id
        WHERE v.state IN ('active', 'ended')
          AND (c.id IS NULL OR coalesce(c.owner_id, c.id) = coalesce(p.owner_id, p.id))
    """,
    "AP7 actions are numbered from 1 without a gap, each continuing the one before": """
        SELECT id, request_id FROM (
            SELECT a.id, a.request_id, a.number, a.previous_digest,
                   row_number() OVER chain AS expected,
                   lag(a.digest, 1, encode(sha256(convert_to(r.id::text || chr(31) || r.digest, 'UTF8')), 'hex'))
                       OVER chain AS before
            FROM approval_actions a JOIN approval_requests r ON r.id = a.request_id
            WINDOW chain AS (PARTITION BY a.request_id ORDER BY a.number)
        ) AS linked
        WHERE number <> expected OR previous_digest <> before
    """,
    **{f"AP8 a {what} above a limit was approved": query for what, query in UNAPPROVED.items()},
    "AM1 no mail about a request is without an outcome for an hour": """
        SELECT id, message_id, sending_since FROM approval_mails
        WHERE state = 'sending' AND sending_since < now() - interval '1 hour'
    """,
    "AM2 a mail that asks for a decision is about a level that asks somebody": """
        SELECT m.id, m.request_id FROM approval_mails m
        WHERE m.occasion IN ('asked', 'reminder', 'escalated') AND NOT EXISTS (
            SELECT FROM approval_levels l WHERE l.request_id = m.request_id AND l.position = m.level)
    """,
}
