"""What can be wrong with what was written."""


class Damaged(Exception):
    """These octets are not what was written."""
