from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission
from billing.entities.queries import today_at
from billing.kernel.api.viewsets import ServiceViewSet
from billing.subscriptions import queries, services
from billing.subscriptions.api import license_filters as filters
from billing.subscriptions.api import license_serializers as serializers
from billing.subscriptions.models import LicenseAssignment, LicenseTerms


class LicenseViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.LicenseRead
    filterset_class = filters.LicenseFilter
    ordering_fields = ("ends_on", "created_at")
    lookup_url_kwarg = "license_id"
    action_permissions = {
        "list": "subscriptions.view_license",
        "retrieve": "subscriptions.view_license",
        "create": "subscriptions.create_license",
        "partial_update": "subscriptions.update_license",
        "revoke": "subscriptions.revoke_license",
        "assign": "subscriptions.assign_license",
        "release": "subscriptions.assign_license",
    }

    def get_queryset(self):
        return queries.licenses_for(self.request.user, self.action_permissions[self.action])

    @extend_schema(request=serializers.LicenseCreate, responses={201: serializers.LicenseRead})
    def create(self, request):
        terms = self.parse(serializers.LicenseCreate)
        entity = terms.pop("entity")
        require(request.user, "subscriptions.create_license", entity)
        license = services.create_license(actor=self.actor, entity_id=entity.pk, **terms)
        return self.reply(license, created=True)

    @extend_schema(request=serializers.LicenseChange(partial=True), responses=serializers.LicenseRead)
    def partial_update(self, request, license_id):
        """Holds from today on. A later end, or none, renews a licence that has expired."""
        found = self.get_object()
        license = services.change_license(
            actor=self.actor,
            license_id=found.pk,
            changes=self.parse(serializers.LicenseChange, partial=True),
            on=today_at(found.entity),
            version=self.expected_version(),
        )
        return self.reply(license)

    @action(detail=True, methods=["post"])
    def revoke(self, request, license_id):
        """For good: every seat is released."""
        license = services.revoke_license(
            actor=self.actor,
            license_id=self.get_object().pk,
            as_of=timezone.now(),
            version=self.expected_version(),
            **self.parse(serializers.Revocation),
        )
        return self.reply(license)

    @extend_schema(
        request=serializers.Holder, responses={200: serializers.SeatRead, 201: serializers.SeatRead}
    )
    @action(detail=True, methods=["post"])
    def assign(self, request, license_id):
        """A seat for the holder: a new one (201) or the one they have (200)."""
        now = timezone.now()
        seat = services.assign_seat(
            actor=self.actor, license_id=self.get_object().pk, as_of=now, **self.parse(serializers.Holder)
        )
        return Response(serializers.SeatRead(seat).data, status=201 if seat.assigned_at == now else 200)

    @extend_schema(request=serializers.Holder, responses=serializers.SeatRead)
    @action(detail=True, methods=["post"])
    def release(self, request, license_id):
        """The holder's seat is free for another."""
        seat = services.release_seat(
            actor=self.actor,
            license_id=self.get_object().pk,
            as_of=timezone.now(),
            **self.parse(serializers.Holder),
        )
        return Response(serializers.SeatRead(seat).data)


class OfOneLicense(ServiceViewSet):
    """Lists what belongs to the licence in the path."""

    def license(self):
        licenses = queries.licenses_for(self.request.user, self.action_permissions[self.action])
        return get_object_or_404(licenses, pk=self.kwargs["license_id"])


class SeatViewSet(OfOneLicense):
    """Who has or had a seat, the last one first."""

    queryset = LicenseAssignment.objects.none()  # what the schema looks at
    serializer_class = serializers.SeatRead
    filterset_class = filters.SeatFilter
    search_fields = ("holder",)
    lookup_url_kwarg = "assignment_id"
    action_permissions = {"list": "subscriptions.view_licenseassignment"}

    def get_queryset(self):
        return self.license().assignments.all()


class TermsViewSet(OfOneLicense):
    """What the licence granted, from which day on; the present terms first."""

    queryset = LicenseTerms.objects.none()
    serializer_class = serializers.TermsRead
    ordering = "-number"
    lookup_url_kwarg = "terms_id"
    action_permissions = {"list": "subscriptions.view_licenseterms"}

    def get_queryset(self):
        return self.license().terms.all()
