"""Dead letters: what a message looks like after it died, and where it goes (https://www.rabbitmq.com/docs/dlx).

Rule 1: `x-death` has an entry for each pair of queue and reason, the latest death first; a pair that was there is
        counted up and moves to the front.
Rule 2: the expiration is taken off, and remembered in the entry: a dead letter does not die of it again.
Rule 3: a message that would reach a queue it died in before, without having been rejected on the way, is dropped:
        it"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.message import Message
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Reason

X_DEATH: Final = "x-death"
_CC: Final = "CC"
# What a client wrote may be counted up no further than it can be written.
_COUNT_MAX: Final = 2**63 - 1
_FIRST: Final = "x-first-death-"
_LAST: Final = "x-last-death-"
# What 4.x ignores when a client wrote it.
_STORY: Final = (X_DEATH, _FIRST, _LAST)


@dataclass(frozen=True, slots=True)
class Death:
    """One death of a message."""

    queue: str
    reason: Reason
    unix_s: int


def text(value: str) -> Argument:
    """Make a header's value of a text."""
    return Argument("longstr", value)


def headers_after(message: Message, death: Death, profile: Profile) -> dict[str, Argument]:
    """Make the header table of a message after a death. RabbitMQ sorts a table that it changes."""
    headers = dict(message.headers)
    tell = _told_by_3_x if profile.tells_deaths_as_3_x else _told_by_4_x
    return dict(sorted(tell(headers, message, death).items()))


def _told_by_4_x(headers: dict[str, Argument], message: Message, death: Death) -> dict[str, Argument]:
    if not message.died:
        headers = {name: value for name, value in headers.items() if not name.startswith(_STORY)}
    entry = _entry(message, death, headers)
    deaths = deaths_of(headers)
    earlier = _take_earlier(deaths, death)
    if earlier is not None:
        entry = _counted_up(earlier)
    story = _story(message, death)
    return (
        _told(_FIRST, story)
        | headers
        | {X_DEATH: _array([_expiration(message) | entry if earlier is None else entry, *deaths])}
        | _told(_LAST, story)
    )


def _told_by_3_x(headers: dict[str, Argument], message: Message, death: Death) -> dict[str, Argument]:
    entry = _entry(message, death, headers) | _expiration(message)
    known = headers.get(X_DEATH)
    if known is None:
        return headers | {X_DEATH: _array([entry])} | _told(_FIRST, _story(message, death))
    if known.kind != "array":
        return headers | {X_DEATH: _array([entry])}
    deaths = deaths_of(headers)
    earlier = _take_earlier(deaths, death)
    if earlier is not None:
        entry = _counted_up(earlier)
    return headers | {X_DEATH: _array([dict(sorted(entry.items())), *reversed(deaths)])}


def _story(message: Message, death: Death) -> dict[str, str]:
    return {"reason": death.reason.value, "queue": death.queue, "exchange": message.exchange}


def _told(when: str, story: Mapping[str, str]) -> dict[str, Argument]:
    return {when + word: text(value) for word, value in story.items()}


def _array(deaths: Iterable[Arguments]) -> Argument:
    return Argument("array", [Argument("table", dict(entry)) for entry in deaths])


def deaths_of(headers: Arguments) -> list[Arguments]:
    """Read the entries of x-death, the latest first."""
    value = headers.get(X_DEATH)
    if value is None or not isinstance(value.value, list):
        return []
    return [entry.value for entry in value.value if isinstance(entry.value, dict)]


def died_in(message: Message, queue: str) -> bool:
    """Say whether a message is a dead letter of the queue."""
    return message.died and any(_says(entry, "queue", queue) for entry in deaths_of(message.headers))


def would_cycle(headers: Arguments, queue: str) -> bool:
    """Say whether a message with these headers died in the queue before, with nobody having rejected it since."""
    for entry in deaths_of(headers):
        if _says(entry, "reason", Reason.REJECTED.value):
            return False
        if _says(entry, "queue", queue):
            return True
    return False


def _entry(message: Message, death: Death, headers: Arguments) -> dict[str, Argument]:
    return {
        "count": Argument("long", 1),
        "reason": text(death.reason.value),
        "queue": text(death.queue),
        "time": Argument("timestamp", death.unix_s),
        "exchange": text(message.exchange),
        "routing-keys": Argument("array", [text(key) for key in (message.routing_key, *_carbon_copies(headers))]),
    }


def _expiration(message: Message) -> dict[str, Argument]:
    return {} if message.expiration_ms is None else {"original-expiration": text(str(message.expiration_ms))}


def _carbon_copies(headers: Arguments) -> list[str]:
    copies = headers.get(_CC)
    if copies is None or not isinstance(copies.value, list):
        return []
    return [str(key.value) for key in copies.value]


def _take_earlier(deaths: list[Arguments], death: Death) -> Arguments | None:
    """Take the entry of an earlier death of the same kind out of the list."""
    for at, earlier in enumerate(deaths):
        if _is(earlier, death.queue, death.reason):
            return deaths.pop(at)
    return None


def _counted_up(earlier: Arguments) -> dict[str, Argument]:
    """Keep the entry of an earlier death of the same kind, with one more in its count."""
    count = earlier.get("count")
    times = count.value if count is not None and isinstance(count.value, int) else 0
    return {**earlier, "count": Argument("long", min(times + 1, _COUNT_MAX))}


def _is(entry: Arguments, queue: str, reason: Reason) -> bool:
    return _says(entry, "queue", queue) and _says(entry, "reason", reason.value)


def _says(entry: Arguments, word: str, value: str) -> bool:
    argument = entry.get(word)
    return argument is not None and argument.value == value
