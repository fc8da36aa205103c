"""The headers exchange: bindings are conditions on the header table."""

from collections.abc import Callable
from typing import ClassVar, Final

from amqpy_broker.core.arguments import INTEGER_KINDS, Argument, Arguments, term
from amqpy_broker.core.erlang_terms import format_p
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.base import Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding

MATCH_ARGUMENT: Final = "x-match"
_DEFAULT_MODE: Final = "all"
# How the conditions are joined, and whether arguments that begin with "x-" are conditions too.
_MODES: Final[dict[str, tuple[Callable[..., bool], bool]]] = {
    "all": (all, False),
    "any": (any, False),
    "all-with-x": (all, True),
    "any-with-x": (any, True),
}
_GROUPS: Final[dict[str, str]] = {
    **dict.fromkeys((*INTEGER_KINDS, "timestamp"), "integer"),
    **dict.fromkeys(("float", "double"), "float"),
    **dict.fromkeys(("longstr", "binary"), "text"),
}


class _Condition:
    """What one binding asks of a header table."""

    __slots__ = ("binding", "join", "wanted")

    def __init__(self, binding: Binding) -> None:
        mode = binding.arguments.get(MATCH_ARGUMENT)
        self.join, with_x = _MODES[str(mode.value) if mode else _DEFAULT_MODE]
        self.binding = binding
        self.wanted = [
            (name, argument)
            for name, argument in binding.arguments.items()
            if name != MATCH_ARGUMENT and (with_x or not name.startswith("x-"))
        ]


class HeadersExchange(Exchange):
    """Send each message where its headers fit the binding's arguments; the routing key does not matter.

    See https://www.rabbitmq.com/docs/exchanges#headers. A condition without a value (void) asks for presence only.
    """

    __slots__ = ("_conditions",)

    type: ClassVar[str] = "headers"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._conditions: dict[int, _Condition] = {}

    @property
    def decides_for_each_message(self) -> bool:
        """Always: the headers decide."""
        return True

    def check_binding(self, binding: Binding) -> None:
        """Refuse an `x-match` that is none of the four words."""
        mode = binding.arguments.get(MATCH_ARGUMENT)
        if mode is None:
            return
        if mode.kind != "longstr":
            raise PreconditionFailed(
                f"Invalid x-match field type {mode.kind} (value {format_p(term(mode.value))}); expected longstr"
            )
        if mode.value not in _MODES:
            shown = format_p(str(mode.value).encode("utf-8", "surrogateescape"))
            raise PreconditionFailed(
                f"Invalid x-match field value {shown}; expected all, any, all-with-x, or any-with-x"
            )

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Try every binding in turn."""
        equal = _equal_by_type if self.profile.headers_match_numbers_by_type else _equal_by_value
        for condition in self._conditions.values():
            if condition.join(_holds(headers.get(name), wanted, equal) for name, wanted in condition.wanted):
                matched[condition.binding.destination] = None

    def _index(self, binding: Binding) -> None:
        self._conditions[id(binding)] = _Condition(binding)

    def _unindex(self, binding: Binding) -> None:
        del self._conditions[id(binding)]


def _holds(header: Argument | None, wanted: Argument, equal: Callable[[Argument, Argument], bool]) -> bool:
    if header is None:
        return False
    return wanted.kind == "void" or equal(header, wanted)


def _equal_by_value(header: Argument, wanted: Argument) -> bool:
    """3.x compares Erlang terms with `==`: 1, 1.0 and the timestamp 1 are equal, and so are text and its octets."""
    if header.kind == wanted.kind:
        return header.value == wanted.value
    ours, theirs = term(header.value), term(wanted.value)
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


def _equal_by_type(header: Argument, wanted: Argument) -> bool:
    """4.x groups the wire types and compares within a group: integers, floats, text.

    It counts the timestamps of a message in milliseconds, but not those of a binding.
    """
    if header.kind == "timestamp" and isinstance(header.value, int):
        header = Argument("long", header.value * 1000)
    return _GROUPS.get(header.kind, header.kind) == _GROUPS.get(wanted.kind, wanted.kind) and _equal_by_value(
        header, wanted
    )
