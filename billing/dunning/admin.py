"""Dunning in the console: policies and whom they are for, what was done, pauses, fees and letters."""

from billing.dunning import console_cases, console_mails, console_policies

__all__ = ["console_cases", "console_mails", "console_policies"]
