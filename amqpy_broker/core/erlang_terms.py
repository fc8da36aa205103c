"""Erlang terms as RabbitMQ prints them into its reply texts: ``{leftover_string,"ms"}``, ``<<"quorum">>``.

Clients match these texts, so terms look as ``io_lib:format`` of Erlang/OTP 25 to 27 makes them. In Python they are:

=============  =============================================
Erlang         Python
=============  =============================================
atom           ``Atom``, ``bool``
binary         ``bytes``
string         ``str`` (to Erlang a list of characters)
integer        ``int``
float          ``float``
tuple, list    ``tuple``, ``list``
=============  =============================================

Two things are left out because no reply text needs them: atoms that are reserved words are not quoted, and tuples and
lists of more than 80 characters are not broken into lines.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias


class Atom(str):
    """An Erlang atom."""

    __slots__ = ()


Term: TypeAlias = "Atom | str | bytes | bool | int | float | tuple[Term, ...] | list[Term]"

# What ``~p`` fits into a line.
_LINE_LENGTH: Final = 79
_BARE_ATOM: Final = re.compile(r"[a-zß-öø-ÿ][0-9A-Za-z_@À-ÖØ-öø-ÿ]*")
# io_lib:printable_latin1_list/1 and io_lib:printable_unicode_list/1.
_READABLE_LATIN1: Final = re.compile(r"[ -~\xa0-\xff\n\r\t\v\b\f\x1b]+")
_READABLE: Final = re.compile(r"[ -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff\n\r\t\v\b\f\x1b]+")
_ESCAPES: Final = str.maketrans(
    {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\b": r"\b", "\f": r"\f", "\x1b": r"\e"}
)
# From here on not every integer is a float, and float_to_list/2 says so by writing an exponent.
_EXACT_INTEGERS_END: Final = 2.0**53


def format_p(term: Term, *, unicode: bool = True) -> str:
    """Print a term with its text readable, as ``~tp`` does, or as ``~p``, to which only Latin-1 is text.

    RabbitMQ 3.10 prints with ``~p``, 4.0 with ``~tp`` except after ``invalid arg 'x' for queue 'q' in vhost '/':``. The
    two differ in text that is not ASCII.
    """
    return _printed(term, _string, _binary) if unicode else _printed(term, _latin1_string, _latin1_binary)


def format_p_at(term: Term, column: int) -> str:
    """Print a term as ``~tp`` does in the middle of a line: a tuple that passes column 80 goes on below."""
    printed = format_p(term)
    if not isinstance(term, tuple) or column + len(printed) < _LINE_LENGTH:
        return printed
    return "{" + (",\n" + " " * (column + 1)).join(map(format_p, term)) + "}"


def format_w(term: Term) -> str:
    """Print a term with all its text as numbers, as ``~w`` does."""
    return _printed(term, _characters, _octets)


def _printed(term: Term, string: Callable[[str], str], binary: Callable[[bytes], str]) -> str:
    match term:
        case Atom():
            return term if _BARE_ATOM.fullmatch(term) else _quoted(term, "'")
        case str():
            return string(term)
        case bytes():
            return binary(term)
        case bool():
            return "true" if term else "false"
        case float():
            return _float(term)
        case tuple():
            return "{" + ",".join([_printed(item, string, binary) for item in term]) + "}"
        case list():
            return "[" + ",".join([_printed(item, string, binary) for item in term]) + "]"
        case _:
            return str(term)


def _string(text: str) -> str:
    return _quoted(text, '"') if _READABLE.fullmatch(text) else _characters(text)


def _latin1_string(text: str) -> str:
    return _quoted(text, '"') if _READABLE_LATIN1.fullmatch(text) else _characters(text)


def _characters(text: str) -> str:
    return "[" + ",".join([str(ord(character)) for character in text]) + "]"


def _binary(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return _latin1_binary(octets)
    if not _READABLE.fullmatch(text):
        return _octets(octets)
    encoding = "" if octets.isascii() else "/utf8"
    return "<<" + _quoted(text, '"') + encoding + ">>"


def _latin1_binary(octets: bytes) -> str:
    if not _READABLE_LATIN1.fullmatch(octets.decode("latin-1")):
        return _octets(octets)
    # Octets that look like Latin-1 go into the reply text as they are, and mean what they meant.
    return "<<" + _quoted(text_of(octets), '"') + ">>"


def _octets(octets: bytes) -> str:
    return "<<" + ",".join(map(str, octets)) + ">>"


def text_of(octets: bytes) -> str:
    """Return the text that octets mean, as ``~ts`` prints them: UTF-8, or else Latin-1."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _quoted(text: str, quote: str) -> str:
    return quote + text.translate(_ESCAPES).replace(quote, "\\" + quote) + quote


def _float(number: float) -> str:
    """Print the fewest digits that mean this number, in the shorter notation."""
    shortest = Decimal(repr(number)).normalize()
    sign, digits, _ = shortest.as_tuple()
    first, *others = map(str, digits)
    scientific = f"{'-' if sign else ''}{first}.{''.join(others) or '0'}e{shortest.adjusted()}"
    positional = f"{shortest:f}"
    if "." not in positional:
        positional += ".0"
    if abs(number) >= _EXACT_INTEGERS_END or len(scientific) < len(positional):
        return scientific
    return positional
