"""A parent department, and the department of a grant, belong to the same entity: held by composite keys."""

from django.db import migrations


def same_entity(table, column, name):
    return migrations.RunSQL(
        f"""ALTER TABLE {table} ADD CONSTRAINT {name}
            FOREIGN KEY ({column}, entity_id) REFERENCES departments (id, entity_id)""",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


class Migration(migrations.Migration):
    dependencies = [("entities", "0002_grants_to_the_minute")]
    operations = [
        same_entity("departments", "parent_id", "parent_department_of_same_entity"),
        same_entity("role_grants", "department_id", "grant_department_of_same_entity"),
    ]
