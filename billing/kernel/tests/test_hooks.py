import pytest

from billing.kernel.hooks import HOOKS, Hook, KeyedHook


@pytest.fixture(autouse=True)
def no_hook_is_left_behind():
    before = dict(HOOKS)
    yield
    HOOKS.clear()
    HOOKS.update(before)


def test_answers_come_in_the_order_of_their_registration():
    hook = Hook("test.asked", "Returns a number.")

    @hook
    def first():
        return 1

    hook(lambda: 2)

    assert [answer() for answer in hook] == [1, 2]
    assert len(hook) == 2
    assert first() == 1  # the decorator returns what it registers
    assert HOOKS["test.asked"] is hook


def test_a_keyed_hook_reads_as_a_mapping():
    hook = KeyedHook("test.kinds", "Returns a number.")

    @hook("one")
    def first():
        return 1

    assert hook["one"] is first
    assert list(hook) == ["one"]
    assert hook.get("two") is None
    assert hook.registered() == [("one", first)]


def test_an_answer_is_registered_once():
    hook, keyed = Hook("test.asked", ""), KeyedHook("test.kinds", "")
    hook(len)
    keyed("one")(len)
    with pytest.raises(AssertionError, match="twice"):
        hook(len)
    with pytest.raises(AssertionError, match="twice"):
        keyed("one")(max)
    assert (list(hook), dict(keyed)) == ([len], {"one": len})


def test_a_hook_is_declared_once():
    Hook("test.asked", "")
    with pytest.raises(AssertionError, match="twice"):
        KeyedHook("test.asked", "")


def test_only_replaces_the_answers_for_one_block():
    hook, keyed = Hook("test.asked", ""), KeyedHook("test.kinds", "")
    hook(len)
    keyed("one")(len)

    with hook.only(), keyed.only():
        assert (list(hook), dict(keyed)) == ([], {})
        hook(max)
        keyed("one")(max)
        assert (list(hook), dict(keyed)) == ([max], {"one": max})
    with pytest.raises(RuntimeError), hook.only(min), keyed.only({"two": min}):
        assert (list(hook), dict(keyed)) == ([min], {"two": min})
        raise RuntimeError

    assert (list(hook), dict(keyed)) == ([len], {"one": len})
