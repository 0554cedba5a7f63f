"""What the console of every app is made of; the kernel's own pages are registered here."""

from billing.kernel.console import pages  # noqa: F401  registers them
