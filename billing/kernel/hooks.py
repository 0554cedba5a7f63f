"""Extension points: a lower app asks, higher apps answer, and no import runs upwards.

Each app declares all its hooks in its `hooks.py` and iterates over the answers where it needs them; higher apps
register theirs with the hook as decorator, in a module that is imported when their app is ready (`reactions.py`).
`show_wiring` lists every hook with its answers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import QuerySet

from billing.kernel.models import Job

Answer = TypeVar("Answer")

HOOKS: dict[str, "Hook | KeyedHook"] = {}


class Hook(Generic[Answer]):
    """Any number of answers, in the order of their registration: `for answer in hook`.

    `name` is "<app label>.<name of the variable>". `contract` tells whoever registers with which arguments, under
    which locks and how often an answer is called, what it returns and what it may raise.
    """

    def __init__(self, name: str, contract: str) -> None:
        assert name not in HOOKS, f"the hook {name} is declared twice"
        HOOKS[name] = self
        self.name, self.__doc__ = name, contract
        self._answers: list[Answer] = []

    def __call__(self, answer: Answer) -> Answer:
        """Register, as a decorator or by a call."""
        assert answer not in self._answers, f"{answer} is registered twice with {self.name}"
        self._answers.append(answer)
        return answer

    def __iter__(self) -> Iterator[Answer]:
        return iter(tuple(self._answers))

    def __len__(self) -> int:
        return len(self._answers)

    def registered(self) -> list[tuple[str, Answer]]:
        """The answers as `show_wiring` lists them: (key, answer), without keys here."""
        return [("", answer) for answer in self._answers]

    @contextmanager
    def only(self, *answers: Answer) -> Iterator[None]:
        """For tests: exactly these answers inside the block (none: nobody answers). Registrations inside are undone."""
        before, self._answers = self._answers, list(answers)
        try:
            yield
        finally:
            self._answers = before


class KeyedHook(Mapping[str, Answer]):
    """At most one answer per key; read as a mapping. `name` and `contract` as for a Hook."""

    def __init__(self, name: str, contract: str) -> None:
        assert name not in HOOKS, f"the hook {name} is declared twice"
        HOOKS[name] = self
        self.name, self.__doc__ = name, contract
        self._answers: dict[str, Answer] = {}

    def __call__(self, key: str) -> Callable[[Answer], Answer]:
        """The decorator that registers the answer for `key`."""

        def register(answer: Answer) -> Answer:
            assert key not in self._answers, f"'{key}' is registered twice with {self.name}"
            self._answers[key] = answer
            return answer

        return register

    def __getitem__(self, key: str) -> Answer:
        return self._answers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._answers))

    def __len__(self) -> int:
        return len(self._answers)

    def registered(self) -> list[tuple[str, Answer]]:
        return list(self._answers.items())

    @contextmanager
    def only(self, answers: Mapping[str, Answer] | None = None) -> Iterator[None]:
        """For tests: exactly these answers inside the block (none: nobody answers). Registrations inside are undone."""
        before, self._answers = self._answers, dict(answers or {})
        try:
            yield
        finally:
            self._answers = before


# The kernel's own.

rows_in_reach: Hook[Callable[[QuerySet, AbstractBaseUser, str, str], QuerySet]] = Hook(
    "kernel.rows_in_reach",
    """`(rows, reader, permission, path to the entity's id)`: those of `rows` that belong to entities within the
    reader's reach. The console's audit trail, outbox and jobs belong to entities, which are above the kernel. As long
    as nobody answers, nobody sees a row.""",
)

Progress = Callable[[int, int | None], None]
background_job: KeyedHook[Callable[[Job, Progress], dict | None]] = KeyedHook(
    "kernel.background_job",
    """Does jobs of the kind that is the key: `(job, progress)`. The kind is stored with each job: never reuse or
    rename it. A handler may be started again after a crash, so it finds out by itself what is done. It opens its own
    transactions and calls `progress(done, total)` between them, at least once in five minutes. What it returns
    becomes the job's result.""",
)
