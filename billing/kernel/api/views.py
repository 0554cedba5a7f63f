"""The kernel's own resource: long work, shown to whoever asked for it."""

from billing.kernel.api.serializers import ReadSerializer
from billing.kernel.api.viewsets import ServiceViewSet
from billing.kernel.models import Job


class JobRead(ReadSerializer):
    class Meta:
        model = Job
        fields = (
            "id",
            "kind",
            "state",
            "done",
            "total",
            "result",
            "error",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields


class JobViewSet(ServiceViewSet):
    """Long work that was queued: its state, progress, result or error."""

    serializer_class = JobRead
    lookup_url_kwarg = "job_id"
    signed_in_is_enough = True  # a job is its requester's; others do not find it

    def get_queryset(self):
        return Job.objects.filter(requested_by=self.actor)
