"""Erlang terms as RabbitMQ prints them into its reply texts (``{leftover_string,"ms"}``, ``<<"quorum">>``).

Clients match these texts, so the terms must look exactly as ``io_lib:format`` makes them. In Python they are:

==================  ================================
Erlang              Python
==================  ================================
atom                ``Atom``, ``bool``
binary              ``bytes``
string              ``str``
integer, float      ``int``, ``float``
tuple, list         ``tuple``, ``list``
==================  ================================

A term is never broken over several lines: RabbitMQ does that past 80 columns.
"""

import re
from typing import Final, TypeAlias


class Atom(str):
    """An Erlang atom."""

    __slots__ = ()


Term: TypeAlias = "Atom | str | bytes | bool | int | float | tuple[Term, ...] | list[Term]"

_BARE_ATOM: Final = re.compile(r"[a-zß-öø-ÿ][0-9A-Za-z_@À-ÖØ-öø-ÿß]*")
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\v": "\\v", "\f": "\\f", "\x1b": "\\e"}


def format_p(term: Term) -> str:
    """Print a term as ``~tp`` does: octets and characters that can be read are shown as text."""
    match term:
        case Atom():
            return _atom(term)
        case bool():
            return "true" if term else "false"
        case str():
            return _string(term)
        case bytes():
            return _binary(term)
        case float():
            return _float(term)
        case tuple():
            return "{" + ",".join(map(format_p, term)) + "}"
        case list():
            return "[" + ",".join(map(format_p, term)) + "]"
        case _:
            return str(term)


def format_w(term: Term) -> str:
    """Print a term as ``~w`` does: octets and characters are shown as numbers."""
    match term:
        case Atom():
            return _atom(term)
        case str():
            return "[" + ",".join(str(ord(character)) for character in term) + "]"
        case bytes():
            return _octets(term)
        case tuple():
            return "{" + ",".join(map(format_w, term)) + "}"
        case list():
            return "[" + ",".join(map(format_w, term)) + "]"
        case _:
            return format_p(term)


def _atom(name: str) -> str:
    return name if _BARE_ATOM.fullmatch(name) else f"'{name}'"


def _string(text: str) -> str:
    return '"' + text + '"' if text else "[]"


def _binary(octets: bytes) -> str:
    if octets and octets.isascii() and octets.decode().isprintable():
        return f'<<"{octets.decode()}">>'
    return _octets(octets)


def _octets(octets: bytes) -> str:
    return "<<" + ",".join(map(str, octets)) + ">>"


def _float(number: float) -> str:
    return repr(number)
