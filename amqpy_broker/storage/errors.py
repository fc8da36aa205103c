"""What can be wrong with what was written."""

import sqlite3
from typing import Final

# What reading a damaged file raises. The second comes of SQLite's own words, when they cite what is no text.
UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)


class Damaged(Exception):
    """These octets are not what was written."""
