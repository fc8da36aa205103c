"""Patterns that name queues and exchanges: PCRE's in RabbitMQ, Python's regular expressions here.

What the two write differently is translated, as far as it is common: `[[:alpha:]]`, `\\Q...\\E`, `(?<name>...)`.
What is wrong with a pattern is told in PCRE's words, for the mistakes that are common.
"""

import re
from functools import lru_cache
from typing import Final

from amqpy_broker.core.arguments import octets_of

# A class of characters, to the end if nothing closes it; octets that stand for themselves; where a group has its name.
_FOREIGN: Final = re.compile(
    rb"\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*(?:\]|\\?\Z)|\\Q(.*?)(?:\\E|\Z)|\\.|\(\?<(?=\w)", re.DOTALL
)
# In a class: a set with a name; an octet that means something to Python, or may one day.
_IN_CLASS: Final = re.compile(rb"\\.|\[:(\w+):\]|--|[\[&~|]", re.DOTALL)
_SETS: Final = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"ascii": rb"\x00-\x7f",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"!-~",
    b"lower": rb"a-z",
    b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-\~",
    b"space": rb"\t-\r ",
    b"upper": rb"A-Z",
    b"word": rb"\w",
    b"xdigit": rb"0-9A-Fa-f",
}
# Python's words: PCRE's.
_WORDS: Final = {
    "bad escape (end of pattern)": "\\ at end of pattern",
    "min repeat greater than max repeat": "numbers out of order in {} quantifier",
    "missing ), unterminated subpattern": "missing )",
    "multiple repeat": "nothing to repeat",
    "unbalanced parenthesis": "unmatched parentheses",
    "unterminated character set": "missing terminating ] for character class",
}
# What PCRE finds out only at the end.
_AT_THE_END: Final = ("bad escape (end of pattern)", "missing ), unterminated subpattern", "unterminated character set")


class BadPattern(ValueError):
    """This is no pattern; PCRE's words for it, and how many octets it had read by then."""

    def __init__(self, words: str, offset: int) -> None:
        super().__init__(words, offset)
        self.words = words
        self.offset = offset


# Operators write the patterns; there are as many as there are policies.
@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[bytes]:
    """Make a regular expression of a pattern. A name is octets to RabbitMQ: a dot is one of them.

    Raises:
        BadPattern: it is none.
    """
    octets = octets_of(pattern)
    try:
        return re.compile(_FOREIGN.sub(_in_python, octets))
    except re.error as failure:
        raise BadPattern(_WORDS.get(failure.msg, failure.msg), _offset(failure, octets)) from None


def _in_python(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text.startswith(b"["):
        # The bracket that opens the class stays what it is.
        return b"[" + _IN_CLASS.sub(_in_class, text[1:])
    if text.startswith(rb"\Q"):
        return re.escape(found[1])
    return b"(?P<" if text == b"(?<" else text


def _in_class(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if found[1] is not None:
        return _SETS.get(found[1], re.escape(text))
    if text == b"--":
        return rb"-\-"
    return text if text.startswith(b"\\") else b"\\" + text


def _offset(failure: re.error, octets: bytes) -> int:
    if failure.msg in _AT_THE_END or failure.pos is None:
        return len(octets)
    if failure.msg == "min repeat greater than max repeat":
        return octets.find(b"}", failure.pos)
    return failure.pos
