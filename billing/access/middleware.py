from billing.kernel import context


class ActorMiddleware:
    """Tells the audit trail who is signed in. Keys say so themselves, when they are checked."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.user.is_authenticated:
            context.become(actor=f"user:{request.user.pk}")
        return self.get_response(request)
