"""Why a binding does not match: one small reason for each exchange type that decides by the binding's own contents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from amqpy_broker.core.arguments import Argument, Arguments
from amqpy_broker.core.exchanges.headers import MATCH_ARGUMENT
from amqpy_broker.core.exchanges.topic import ANY_WORDS, ONE_WORD, split_words
from amqpy_broker.testing.looking.messages import python_value

_WILDCARDS: Final = (ONE_WORD, ANY_WORDS)


def direct_mismatch(binding_key: str, key: str) -> str:
    """Say why a routing key is not a direct exchange's binding key."""
    told = f"the key differs: {key!r} != {binding_key!r}"
    if key.casefold().strip() == binding_key.casefold().strip():
        return f"{told} (by case or white space only)"
    if any(word in _WILDCARDS for word in split_words(binding_key)):
        return f"{told} (a direct exchange knows no wildcards)"
    return told


def topic_mismatch(pattern: str, key: str) -> str:
    """Say why a routing key does not fit a topic exchange's pattern."""
    wanted, words = split_words(pattern), split_words(key)
    if ANY_WORDS not in wanted:
        return _word_mismatch(wanted, words, 1) or f"{_words(len(words))}, the pattern wants {len(wanted)}"
    least = sum(word != ANY_WORDS for word in wanted)
    if len(words) < least:
        return f"{_words(len(words))}, the pattern wants at least {least}"
    first = wanted.index(ANY_WORDS)
    last = len(wanted) - 1 - wanted[::-1].index(ANY_WORDS)
    head, tail = wanted[:first], wanted[last + 1 :]
    start = len(words) - len(tail)
    return (
        _word_mismatch(head, words, 1)
        or _word_mismatch(tail, words[start:], start + 1)
        or f"{'.'.join(wanted[first : last + 1])!r} is not in {'.'.join(words[first:start])!r}"
    )


def _word_mismatch(wanted: list[str], words: list[str], number: int) -> str:
    """Say which word differs first; they are compared as far as there are both."""
    for at, (want, word) in enumerate(zip(wanted, words, strict=False), number):
        if want not in (word, ONE_WORD):
            return f"word {at} {word!r} != {want!r}"
    return ""


def _words(count: int) -> str:
    return f"the key has {count} word{'' if count == 1 else 's'}"


def conditions_of(arguments: Arguments) -> tuple[str, dict[str, Argument]]:
    """Return how the conditions of a headers binding are joined, "all" or "any", and which they are."""
    mode = str(arguments[MATCH_ARGUMENT].value) if MATCH_ARGUMENT in arguments else "all"
    with_x = mode.endswith("-with-x")
    return mode.partition("-")[0], {
        name: wanted
        for name, wanted in arguments.items()
        if name != MATCH_ARGUMENT and (with_x or not name.startswith("x-"))
    }


def headers_reason(
    arguments: Arguments, headers: Arguments, fits: Callable[[str, Argument], bool], *, matches: bool
) -> str:
    """Say why headers fit a headers exchange's binding, or why not.

    Args:
        arguments: the binding's.
        headers: the message's.
        fits: says whether one condition is met.
        matches: whether all of them together are.
    """
    join, conditions = conditions_of(arguments)
    met = [name for name, wanted in conditions.items() if fits(name, wanted)]
    if matches:
        if not conditions:
            return "it asks for no header"
        return f"{', '.join(map(repr, met))} {'fits' if len(met) == 1 else 'fit'}"
    if not conditions:
        return "any of its headers must fit, and it names none"
    wrong = [_header_mismatch(name, headers.get(name), conditions[name]) for name in conditions if name not in met]
    return f"{'none fits: ' if join == 'any' and len(wrong) > 1 else ''}{'; '.join(wrong)}"


def _header_mismatch(name: str, header: Argument | None, wanted: Argument) -> str:
    if header is None:
        return f"{name!r} is missing"
    value, want = python_value(header), python_value(wanted)
    if type(value) is type(want) and value != want:
        return f"{name!r} is {value!r}, not {want!r}"
    return f"{name!r} is {value!r} ({header.kind}), not {want!r} ({wanted.kind})"
