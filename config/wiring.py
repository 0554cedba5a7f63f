"""Who reacts to what: every event with its subscribers, every hook with its answers, every periodic task.

An app never imports upwards, so a reader cannot follow these arrows in the code. Here they are as text.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec

from celery import current_app
from django.apps import apps

from approvals.kinds import CONFLICTS_OF_INTEREST, EFFECTS, UNAPPROVED_AMOUNTS
from billing.invoicing.billing_runs.hooks import OWING
from billing.invoicing.drafting.hooks import CLAIMS, RECOMPUTATIONS, SOURCES
from billing.invoicing.issuing.hooks import GUARDS as DRAFT_GUARDS
from billing.invoicing.verification.services.timeline import TELLERS
from billing.kernel.api.approval import RESPONDERS
from billing.kernel.approval import GUARDS as ACT_GUARDS
from billing.kernel.approval import REQUESTERS
from billing.kernel.events import SUBSCRIBERS, Event
from billing.kernel.hooks import HOOKS
from config import urls  # noqa: F401  (what the API registers)
from config.schedule import SCHEDULE

# Registries that are not yet hooks, as "<module>.<name>". A test finds those that are missing.
REGISTRIES: dict[str, dict[str, Callable] | list[Callable]] = {
    "approvals.kinds.EFFECTS": EFFECTS,
    "approvals.kinds.CONFLICTS_OF_INTEREST": CONFLICTS_OF_INTEREST,
    "approvals.kinds.UNAPPROVED_AMOUNTS": UNAPPROVED_AMOUNTS,
    "billing.invoicing.issuing.hooks.GUARDS": DRAFT_GUARDS,
    "billing.invoicing.billing_runs.hooks.OWING": OWING,
    "billing.invoicing.drafting.hooks.CLAIMS": CLAIMS,
    "billing.invoicing.drafting.hooks.RECOMPUTATIONS": RECOMPUTATIONS,
    "billing.invoicing.drafting.hooks.SOURCES": SOURCES,
    "billing.invoicing.verification.services.timeline.TELLERS": TELLERS,
    "billing.kernel.api.approval.RESPONDERS": RESPONDERS,
    "billing.kernel.approval.REQUESTERS": REQUESTERS,
    "billing.kernel.approval.GUARDS": ACT_GUARDS,
}
SHOWN_OTHERWISE = {
    "billing.kernel.events.SUBSCRIBERS",  # beside their events
    "billing.access.permissions.PERMISSIONS",  # declarations, not arrows
}


def lines() -> list[str]:
    """One arrow per line, sorted: an event, a hook or an interval, and what answers."""
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.hooks"):
            import_module(f"{app.name}.hooks")
    return sorted({*_events(), *_registered(), *_periodic()})


def _events() -> Iterable[str]:
    for kind in _event_classes():
        reactions = SUBSCRIBERS.get(kind.name, {})
        for subscriber, reaction in reactions.items():
            yield f"event {kind.name} -> {subscriber}: {_place(reaction)}"
        if not reactions:
            yield f"event {kind.name} -> nobody"


def _event_classes() -> list[type[Event]]:
    """Every event that an app of ours declares in its `events` module."""
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.events"):
            import_module(f"{app.name}.events")
    return [kind for kind in _below(Event) if hasattr(kind, "name") and not _is_of_a_test(kind)]


def _below(kind: type[Event]) -> list[type[Event]]:
    return [deeper for lower in kind.__subclasses__() for deeper in (lower, *_below(lower))]


def _registered() -> Iterable[str]:
    for hook in HOOKS.values():
        answers = [(key, answer) for key, answer in hook.registered() if not _is_of_a_test(answer)]
        for key, answer in answers:
            yield f"hook {hook.name} -> {key}{': ' if key else ''}{_place(answer)}"
        if not answers:
            yield f"hook {hook.name} -> nobody"
    for registry, held in REGISTRIES.items():
        if not held:
            yield f"{registry} -> nobody"
        named = held.items() if isinstance(held, dict) else (("", answering) for answering in held)
        for name, answering in named:
            if not _is_of_a_test(answering):
                yield f"{registry} -> {name}{': ' if name else ''}{_place(answering)}"


def _periodic() -> Iterable[str]:
    current_app.loader.import_default_modules()
    for entry in SCHEDULE.values():
        task = current_app.tasks.get(entry["task"])
        yield f"every {entry['schedule']} -> {entry['task']}: {_place(task.run) if task else 'nobody'}"


def _is_of_a_test(thing: Callable) -> bool:
    return ".tests." in thing.__module__


def _place(function: Callable) -> str:
    """Where a reader finds it. What a factory made is found where the factory is."""
    return f"{function.__module__}.{function.__qualname__}".replace(".<locals>.<lambda>", "")
