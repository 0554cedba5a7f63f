"""What must hold for entities, departments and grants at every moment. Each query returns the violating rows."""

from billing.entities.paths import DEPTH_MAX
from billing.entities.segregation_of_duties import conflicting_grants

_PATHS = """
    WITH RECURSIVE tree AS (
        SELECT id, '/' || replace(id::text, '-', '') || '/' AS path, 1 AS depth
        FROM {table} WHERE parent_id IS NULL
        UNION ALL
        SELECT below.id, tree.path || replace(below.id::text, '-', '') || '/', tree.depth + 1
        FROM {table} AS below JOIN tree ON below.parent_id = tree.id
        WHERE tree.depth <= {depth}
    )
    SELECT {table}.id, {table}.path FROM {table} LEFT JOIN tree USING (id)
    WHERE tree.path IS DISTINCT FROM {table}.path OR tree.depth > {depth}
"""  # a circle hangs on no root, so its rows are missing from the tree

CHECKS = {
    "X2 every entity hangs on a root, at most 16 deep, by the path it says": _PATHS.format(
        table="billing_entities", depth=DEPTH_MAX
    ),
    "X2 every department hangs on a root, at most 16 deep, by the path it says": _PATHS.format(
        table="departments", depth=DEPTH_MAX
    ),
    "X2 a department and its parent belong to the same entity": """
        SELECT below.id, below.entity_id, above.entity_id AS parent_entity_id
        FROM departments AS below JOIN departments AS above ON above.id = below.parent_id
        WHERE above.entity_id <> below.entity_id
    """,
    "E1 every entity has one default department without an end": """
        SELECT entity.id, count(department.id) AS defaults
        FROM billing_entities AS entity
        LEFT JOIN departments AS department
          ON department.entity_id = entity.id AND department.is_default AND department.ends_on IS NULL
        GROUP BY entity.id HAVING count(department.id) <> 1
    """,
    "E2 an entity below another has one open relation, a root none unless it is about to move": """
        SELECT entity.id, entity.parent_id, count(relation.id) AS open_relations
        FROM billing_entities AS entity
        LEFT JOIN entity_relations AS relation ON relation.entity_id = entity.id AND relation.ends_on IS NULL
        GROUP BY entity.id
        HAVING count(relation.id) > 1
            OR (entity.parent_id IS NOT NULL AND count(relation.id) = 0)
            OR (entity.parent_id IS NULL AND min(relation.starts_on) < current_date - 1)
    """,
    # A planned move is made on its day by a task: the day after, the hierarchy must show it.
    "E3 the hierarchy shows the relation that is in force": """
        SELECT entity.id, entity.parent_id, relation.parent_id AS relation_parent_id, relation.starts_on
        FROM billing_entities AS entity
        JOIN entity_relations AS relation
          ON relation.entity_id = entity.id AND relation.ends_on IS NULL
        WHERE relation.parent_id IS DISTINCT FROM entity.parent_id
          AND relation.starts_on < current_date - 1
    """,
    "E4 the relations of an entity do not overlap": """
        SELECT one.id, other.id AS other_id, one.entity_id
        FROM entity_relations AS one JOIN entity_relations AS other
          ON other.entity_id = one.entity_id AND other.id > one.id
         AND daterange(one.starts_on, one.ends_on) && daterange(other.starts_on, other.ends_on)
    """,
    "E5 nothing is open below what is closed": """
        SELECT below.id, below.state FROM billing_entities AS below
        JOIN billing_entities AS above ON above.id = below.parent_id
        WHERE above.state = 'closed' AND below.state <> 'closed'
    """,
    "G1 a grant is given, confirmed and received by different persons": """
        SELECT role_grants.id FROM role_grants
        JOIN users AS holder ON holder.id = role_grants.user_id
        LEFT JOIN users AS granter ON granter.id = role_grants.granted_by_id
        LEFT JOIN users AS confirmer ON confirmer.id = role_grants.confirmed_by_id
        WHERE coalesce(granter.owner_id, granter.id) = coalesce(holder.owner_id, holder.id)
           OR coalesce(confirmer.owner_id, confirmer.id) IN (
                coalesce(holder.owner_id, holder.id), coalesce(granter.owner_id, granter.id))
           OR (granter.id IS NOT NULL AND confirmed_at IS NOT NULL AND confirmer.id IS NULL)
    """,
    "G2 no person holds conflicting roles over the same entities but by an exception": f"""
        SELECT id, other_id, role, other_role FROM ({conflicting_grants()}) AS found WHERE exception_id IS NULL
    """,  # noqa: S608
    "G3 service accounts have the role SA, and only they": """
        SELECT role_grants.id, role, users.kind FROM role_grants JOIN users ON users.id = role_grants.user_id
        WHERE (role = 'SA') <> (users.kind = 'service')
    """,
    "G4 an exception is allowed by a person other than the one it is for": """
        SELECT x.id FROM role_exceptions x
        JOIN users AS person ON person.id = x.person_id JOIN users AS approver ON approver.id = x.approved_by_id
        WHERE person.kind <> 'person' OR coalesce(approver.owner_id, approver.id) = person.id
    """,
}
