"""What all tests share: how long Hypothesis may think, and that the broker never stumbles over itself."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "long", deadline=None, max_examples=3000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("long" if os.environ.get("AMQPY_LONG_TESTS") else "default")


@pytest.fixture(autouse=True)
def _nothing_is_our_mistake() -> Iterator[None]:
    """Fail a test in which the broker logged an exception: no peer can cause one."""
    handler = _Exceptions()
    logger = logging.getLogger("amqpy_broker")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    assert not handler.texts, handler.texts


class _Exceptions(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.texts.append(logging.Formatter().format(record))
