"""The part of the kit that asks strict mode what it has found."""

from __future__ import annotations

from amqpy_broker.testing.errors import Misuse
from amqpy_broker.testing.in_broker import InBroker, in_broker
from amqpy_broker.testing.strict.finding import Finding, assert_none
from amqpy_broker.testing.strict.strict import Strict


class Findings(InBroker):
    """What clients did wrong, if the broker was made with `strict`."""

    @property
    def findings(self) -> list[Finding]:
        """What strict mode has found so far.

        Raises:
            Misuse: the broker was made without `strict`.
        """
        return self._list_findings()

    def assert_no_findings(self) -> None:
        """Find that strict mode has found nothing.

        Raises:
            AssertionError: it has; the text tells all of it.
            Misuse: the broker was made without `strict`.
        """
        assert_none(self._list_findings())

    @in_broker
    def clear_findings(self) -> None:
        """Forget what strict mode has found: what comes later is found again.

        Raises:
            Misuse: the broker was made without `strict`.
        """
        self._judge().forget()

    @in_broker
    def _list_findings(self) -> list[Finding]:
        return self._judge().list_findings()

    def _judge(self) -> Strict:
        strict = self.inside().strict
        if strict is None:
            raise Misuse('this broker does not look for mistakes: make it with strict="warn" or strict="error"')
        return strict
