"""What the test kit complains of."""


class Misuse(RuntimeError):
    """The test kit is used in a way that cannot work; the text says what to do instead."""


class NotSettled(TimeoutError):
    """Something is still left to do; the text says what."""


class NoSuchThing(LookupError):
    """There is no queue, exchange, vhost or connection of that name; the text says what there is."""


class NoMessage(LookupError):
    """A queue has no message to take; the text says what it has."""


class Unroutable(RuntimeError):
    """A message that must reach a queue reaches none; the text explains why."""


class NotSeen(AssertionError, TimeoutError):
    """What was waited for did not come; the text tells what there is instead."""
