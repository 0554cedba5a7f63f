"""The GL code of a share: the most specific mapping, else the product's, the department's, the suspense account."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import product as combinations
from uuid import UUID

from django.conf import settings

from billing.entities.models import BillingEntity, Department
from billing.invoicing.errors import GlCodeMissing
from billing.invoicing.models import GLCodeMapping, GlSource, InvoiceLine

# Which of product, department and tax category a mapping names: the more the better, and of as many in this order.
SPECIFICITY = sorted(
    combinations((True, False), repeat=3), key=lambda named: (-sum(named), [not n for n in named])
)[:-1]


@dataclass(frozen=True)
class GlCode:
    code: str
    source: str
    mapping_id: UUID | None = None


class GlCodes:
    """The mappings that may concern some customers. Read once for a batch."""

    def __init__(self, mappings: Iterable[GLCodeMapping] = ()) -> None:
        self._by_scope = defaultdict(list)
        for mapping in mappings:
            scope = (mapping.entity_id, mapping.product_id, mapping.department_id, mapping.tax_category)
            self._by_scope[scope].append(mapping)

    @classmethod
    def for_customers(cls, customers: Iterable[BillingEntity]) -> "GlCodes":
        above = {entity_id for customer in customers for entity_id in line_of_descent(customer)}
        return cls(GLCodeMapping.objects.filter(entity_id__in=above))

    def of(self, line: InvoiceLine, department: Department, customer: BillingEntity) -> GlCode:
        """Raises GlCodeMissing where there is none, not even a suspense account."""
        mapping = self._mapping_of(line, department, customer)
        if mapping:
            return GlCode(mapping.gl_code, GlSource.MAPPING, mapping.pk)
        for code, source in (
            (line.gl_code, GlSource.PRODUCT),
            (department.default_gl_code, GlSource.DEPARTMENT),
            (settings.SUSPENSE_GL_CODE, GlSource.SUSPENSE),
        ):
            if code:
                return GlCode(code, source)
        raise GlCodeMissing(
            f"'{line.description}' for {department} has no GL code. Set one on the product or the department,"
            " or map one.",
            product=line.description,
            department=department.code,
        )

    def _mapping_of(
        self, line: InvoiceLine, department: Department, customer: BillingEntity
    ) -> GLCodeMapping | None:
        """What a mapping names counts first, then how near its entity is to the customer."""
        if not self._by_scope:
            return None
        nearest_first = line_of_descent(customer)[::-1]
        for by_product, by_department, by_tax in SPECIFICITY:
            for entity_id in nearest_first:
                scope = (
                    entity_id,
                    line.product_id if by_product else None,
                    department.pk if by_department else None,
                    line.tax_category if by_tax else "",
                )
                for mapping in self._by_scope.get(scope, ()):
                    if covers(mapping, line.service_starts_on):
                        return mapping
        return None


def line_of_descent(entity: BillingEntity) -> list[UUID]:
    """Everything above the entity, the root first, and itself last."""
    return [UUID(hex=part) for part in entity.path.strip("/").split("/") if part]


def covers(validity: object, day: date) -> bool:
    """Is `day` in the half-open period of something with `starts_on` and `ends_on`?"""
    return validity.starts_on <= day and (validity.ends_on is None or day < validity.ends_on)
