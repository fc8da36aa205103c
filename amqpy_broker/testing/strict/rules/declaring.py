"""Declarations that contradict each other, or ask for what is on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from amqpy_broker.testing.conversation.events import Said
from amqpy_broker.testing.strict.rules.base import Rule
from amqpy_broker.testing.strict.talk import Talk, flag, table, text

# Deprecation came with 3.12: https://www.rabbitmq.com/release-information/deprecated-features-list
_KNOWS_NO_DEPRECATION: Final = "3.10"
_DEPRECATED_ARGUMENTS: Final[Mapping[str, str]] = {
    "x-ha-policy": "mirrored queues are gone since 4.0",
    "x-queue-master-locator": "it is called x-queue-leader-locator now",
    "x-queue-mode": "classic queues know no modes since 3.12",
    "x-cancel-on-ha-failover": "mirrored queues are gone since 4.0",
    "x-queue-version": "4.3 knows version 2 alone",
}


class InequivalentRedeclare(Rule):
    """A queue or an exchange is declared in two ways."""

    name: ClassVar[str] = "inequivalent-redeclare"
    fix: ClassVar[str] = (
        "declare it everywhere with the same arguments, best in one place of the code; to change it, delete it first,"
        " or set what changes by a policy"
    )

    def server_said(self, talk: Talk, said: Said) -> None:
        """Look for the broker's refusal."""
        if said.name == "channel.close" and "inequivalent arg" in text(said, "reply_text"):
            self.report(talk, said.channel, f"the channel was closed: {text(said, 'reply_text')}")


class TransientQueue(Rule):
    """A queue that is neither durable nor exclusive."""

    name: ClassVar[str] = "transient-queue"
    fix: ClassVar[str] = (
        "declare the queue durable, or exclusive if it is for one connection; let x-expires delete it when nobody uses"
        " it (deprecated feature transient_nonexcl_queues, refused by RabbitMQ 4.3)"
    )

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at declarations."""
        if said.name != "queue.declare" or _is_excused(self, said):
            return
        if not flag(said, "durable") and not flag(said, "exclusive"):
            self.report(talk, said.channel, f"queue '{text(said, 'queue')}' is declared neither durable nor exclusive")


class GlobalPrefetch(Rule):
    """A prefetch count that a channel's consumers share."""

    name: ClassVar[str] = "global-prefetch"
    fix: ClassVar[str] = (
        "set the prefetch count of each consumer (basic.qos with global=False) (deprecated feature global_qos, refused"
        " by RabbitMQ 4.3)"
    )

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at basic.qos."""
        if said.name == "basic.qos" and flag(said, "global") and not _is_excused(self, said):
            self.report(talk, said.channel, "a prefetch count is set for the whole channel")


class DeprecatedArgument(Rule):
    """An argument that is no longer, or that has another name."""

    name: ClassVar[str] = "deprecated-argument"
    fix: ClassVar[str] = "leave the argument away, or use what has taken its place"

    def client_said(self, talk: Talk, said: Said) -> None:
        """Look at the arguments of queues and consumers."""
        if said.name not in ("queue.declare", "basic.consume") or _is_excused(self, said):
            return
        arguments = table(said)
        for name, reason in _DEPRECATED_ARGUMENTS.items():
            if name in arguments and not (name == "x-queue-version" and arguments[name].value == 2):
                self.report(talk, said.channel, f"argument {name} of queue '{text(said, 'queue')}': {reason}")


def _is_excused(rule: Rule, said: Said) -> bool:
    return flag(said, "passive") or rule.surroundings.profile.name == _KNOWS_NO_DEPRECATION
