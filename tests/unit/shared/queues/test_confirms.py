"""Publisher confirms, with a channel that says what RabbitMQ would."""

from collections import defaultdict
from collections.abc import Callable

import pytest

from shared.queues import confirms


class FakeChannel:
    """A channel on which confirms arrive when the test says so."""

    def __init__(self) -> None:
        """Begin without confirms."""
        self.confirming = False
        self.events: dict[str, set[Callable[[int, bool], None]]] = defaultdict(set)

    def confirm_select(self) -> None:
        """Be put into confirm mode."""
        self.confirming = True

    def say(self, what: str, tag: int, *, multiple: bool = False) -> None:
        """Confirm or refuse a message, or all up to it."""
        for hear in self.events[what]:
            hear(tag, multiple)


class Publisher:
    """Publishes letters and notes what became of them."""

    def __init__(self, letters: str) -> None:
        """Publish letters, whose tags count from 1."""
        self.channel = FakeChannel()
        self.taken: list[str] = []
        self.refused: list[str] = []
        self.confirms = confirms.Confirms[str](self.channel, on_ack=self.taken.append, on_nack=self.refused.append)
        for letter in letters:
            self.confirms.add(letter)

    @property
    def outstanding(self) -> str:
        """Return the letters that are not confirmed yet."""
        return "".join(self.confirms.outstanding.values())


def test_the_channel_confirms_and_all_is_outstanding_at_first() -> None:
    publisher = Publisher("abc")
    assert publisher.channel.confirming
    assert (publisher.outstanding, publisher.taken, publisher.refused) == ("abc", [], [])


def test_one_confirm_settles_one_message() -> None:
    publisher = Publisher("abc")
    publisher.channel.say("basic_ack", 2)
    assert (publisher.outstanding, publisher.taken) == ("ac", ["b"])


def test_one_confirm_may_settle_all_up_to_it() -> None:
    publisher = Publisher("abcd")
    publisher.channel.say("basic_ack", 2)
    publisher.channel.say("basic_ack", 3, multiple=True)
    assert (publisher.outstanding, publisher.taken) == ("d", ["b", "a", "c"])


@pytest.mark.parametrize(("multiple", "refused"), [(False, ["b"]), (True, ["a", "b"])])
def test_refused_messages_are_told_apart(multiple: bool, refused: list[str]) -> None:
    publisher = Publisher("abc")
    publisher.channel.say("basic_nack", 2, multiple=multiple)
    assert (publisher.taken, publisher.refused) == ([], refused)


@pytest.mark.parametrize("multiple", [False, True])
def test_a_confirm_said_twice_counts_once(multiple: bool) -> None:
    publisher = Publisher("a")
    publisher.channel.say("basic_ack", 1, multiple=multiple)
    publisher.channel.say("basic_ack", 1, multiple=multiple)
    publisher.channel.say("basic_nack", 1, multiple=multiple)
    assert (publisher.taken, publisher.refused, publisher.outstanding) == (["a"], [], "")


def test_a_confirm_of_something_never_published_is_passed_over() -> None:
    publisher = Publisher("a")
    publisher.channel.say("basic_ack", 9)
    assert publisher.outstanding == "a"


def test_messages_may_be_published_while_others_are_settled() -> None:
    publisher = Publisher("ab")
    publisher.channel.say("basic_ack", 2, multiple=True)
    publisher.confirms.add("c")
    publisher.channel.say("basic_ack", 3)
    assert publisher.taken == ["a", "b", "c"]
