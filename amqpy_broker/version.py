"""The version, where it costs nothing to read: `importlib.metadata` would be a tenth of the start-up time."""

from typing import Final

VERSION: Final = "0.1.0"
