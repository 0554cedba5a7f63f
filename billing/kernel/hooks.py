"""Extension points: a lower app asks, higher apps answer, and no import runs upwards.

Each app declares all its hooks in its `hooks.py` and iterates over the answers where it needs them; higher apps
register theirs with the hook as decorator, in a module that is imported when their app is ready (`reactions.py`).
`show_wiring` lists every hook with its answers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

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
