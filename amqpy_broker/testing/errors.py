"""What the test kit complains of."""


class Misuse(RuntimeError):
    """The test kit is used in a way that cannot work; the text says what to do instead."""


class NotSettled(TimeoutError):
    """Something is still left to do; the text says what."""
