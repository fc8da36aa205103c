"""Hypothesis causes thousands of mistakes: only ours are worth a line."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _only_errors_are_logged() -> Iterator[None]:
    logger = logging.getLogger("amqpy_broker")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)
