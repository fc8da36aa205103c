"""Strict mode of one broker: hears every connection, asks the rules, keeps what they find."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from enum import Enum
from typing import Final

from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.firehose import Source
from amqpy_broker.core.message import Message
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.queues.base import Queue
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.testing.conversation.decoder import Conversation
from amqpy_broker.testing.conversation.events import Said, Unreadable
from amqpy_broker.testing.conversation.frames import Direction
from amqpy_broker.testing.conversation.show import show
from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.link.link import Link
from amqpy_broker.testing.strict.finding import Finding, FindingsError, StrictWarning, tell
from amqpy_broker.testing.strict.rules import RULES
from amqpy_broker.testing.strict.rules.base import Rule
from amqpy_broker.testing.strict.talk import Talk

logger = logging.getLogger(__name__)

# More nobody reads, and each one holds some lines.
FINDINGS_MAX: Final = 1000
# As much of a body as a rule compares, and a line shows.
_BODY_KEPT_BYTES: Final = 1024
# What is always the same at the beginning, and long.
_HANDSHAKE: Final = frozenset(("connection.start", "connection.start-ok", "connection.tune"))


class Level(Enum):
    """What becomes of findings when nobody has asked for them."""

    WARN = "warn"
    ERROR = "error"


def level_named(name: str) -> Level:
    """Find a level.

    Raises:
        Misuse: there is none of that name.
    """
    try:
        return Level(name)
    except ValueError:
        raise Misuse(f"strict={name!r}: there are 'warn' and 'error'") from None


def check_rule_names(names: Iterable[str]) -> frozenset[str]:
    """Find that there are rules of these names.

    Raises:
        Misuse: there is none; the text says which name may be meant.
    """
    known = [rule.name for rule in RULES]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise Misuse(f"no rule '{name}': " + (f"is it '{near[0]}'?" if near else f"there are {', '.join(known)}"))
    return frozenset(names)


class Strict:
    """Judges all that is said to one broker from now on.

    Args:
        core: the broker.
        level: what becomes of findings.
        ignore: the names of rules that are not asked.
    """

    def __init__(self, core: BrokerCore, level: Level, ignore: Iterable[str] = ()) -> None:
        self.level = level
        self._core = core
        ignored = check_rule_names(ignore)
        self._rules = [rule(self) for rule in RULES if rule.name not in ignored]
        self._talks: dict[str, Talk] = {}
        self._connection_count = 0
        # The message that rules are told of just now.
        self._published: Message | None = None
        # By what makes them the same.
        self._findings: dict[tuple[str, str, int, str], Finding] = {}

    def list_findings(self) -> list[Finding]:
        """Return what was found, in order."""
        return list(self._findings.values())

    def forget(self) -> None:
        """Forget what was found, and what was counted across connections."""
        self._findings.clear()
        for rule in self._rules:
            rule.forget()

    def tell_at_end(self) -> None:
        """Fail, or warn, if anything was found.

        Raises:
            FindingsError: something was found, and the level is ERROR.
        """
        if self._findings and self.level is Level.ERROR:
            raise FindingsError(tell(self.list_findings()))
        for finding in self.list_findings():
            warnings.warn(StrictWarning(str(finding)), stacklevel=3)

    # --- what is heard ----------------------------------------------------------------------------------------------

    def connected(self, link: Link) -> StrictEar:
        """Make the ear for a connection."""
        self._connection_count += 1
        talk = self._talks[link.name] = Talk(link.name)
        return StrictEar(self, talk, Conversation(link.clock, self._connection_count, body_kept_bytes=_BODY_KEPT_BYTES))

    def said(self, talk: Talk, said: Said) -> None:
        """Let all rules hear what was said."""
        if said.name not in _HANDSHAKE:
            talk.note(said)
        if said.direction is Direction.TO_SERVER:
            for rule in self._rules:
                rule.client_said(talk, said)
        else:
            for rule in self._rules:
                rule.server_said(talk, said)
        talk.follow(said)

    def published(self, message: Message, queues: tuple[Queue, ...], source: Source, *, mandatory: bool) -> None:
        """Let all rules know of a message that was routed."""
        talk = self._talks.get(source.connection)
        if talk is None:
            return
        self._published = message
        for rule in self._rules:
            rule.published(talk, source.channel, message, queues, mandatory)
        self._published = None

    def ended(self, talk: Talk) -> None:
        """Learn that a connection is over."""
        self._talks = {name: one for name, one in self._talks.items() if one is not talk}
        for rule in self._rules:
            rule.ended(talk)

    # --- what rules may know ----------------------------------------------------------------------------------------

    @property
    def profile(self) -> Profile:
        """The version that the broker stands in for."""
        return self._core.profile

    @property
    def now_s(self) -> float:
        """The broker's time."""
        return self._core.clock.monotonic_s()

    def find_vhost(self, talk: Talk) -> VirtualHost | None:
        """Find the vhost of a connection."""
        return self._core.vhosts.get(talk.vhost)

    def find_queue(self, talk: Talk, name: str) -> Queue | None:
        """Find a queue of a connection's vhost."""
        vhost = self.find_vhost(talk)
        return None if vhost is None else vhost.queues.get(name)

    def report(self, rule: Rule, talk: Talk, channel: int, what: str) -> None:
        """Keep a finding, or count it if it is there."""
        key = rule.name, talk.name, channel, what
        finding = self._findings.get(key)
        if finding is not None:
            finding.times += 1
        elif len(self._findings) < FINDINGS_MAX:
            said = tuple(map(show, talk.said_until(self._published)))
            finding = self._findings[key] = Finding(rule.name, what, rule.fix, talk.name, talk.vhost, channel, said)
            logger.info("strict: %s", finding.headline)


class StrictEar:
    """Hears one connection."""

    def __init__(self, strict: Strict, talk: Talk, conversation: Conversation) -> None:
        self._strict = strict
        self._talk = talk
        self._conversation = conversation

    def heard(self, direction: Direction, octets: bytes) -> None:
        """Hear bytes."""
        for event in self._conversation.heard(direction, octets):
            if isinstance(event, Said):
                self._strict.said(self._talk, event)
            elif isinstance(event, Unreadable):
                self._talk.note(event)

    def ended(self) -> None:
        """Learn that the socket is gone."""
        self._strict.ended(self._talk)
