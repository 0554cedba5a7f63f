"""The menu of the finance console, for one reader."""

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


def navigation(request: HttpRequest) -> list[dict]:
    """The groups of CONSOLE_MENU with the pages that exist and that this person may open."""
    groups = []
    for title, entries in settings.CONSOLE_MENU.items():
        items = [
            {"title": name, "icon": icon, "link": link}
            for name, icon, app, model in entries
            if request.user.has_perm(f"{app}.view_{model}") and (link := _list_of(app, model))
        ]
        if items:
            groups.append({"title": title, "separator": True, "collapsible": False, "items": items})
    return groups


def _list_of(app: str, model: str) -> str | None:
    try:
        return reverse(f"admin:{app}_{model}_changelist")
    except NoReverseMatch:
        return None
