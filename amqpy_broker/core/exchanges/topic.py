"""The topic exchange: a trie over the words of the binding keys."""

from typing import ClassVar, Final

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.errors import PreconditionFailed
from amqpy_broker.core.exchanges.base import DestinationCounts, Exchange, ExchangeProperties, Matched
from amqpy_broker.core.exchanges.bindings import Binding

ONE_WORD: Final = "*"
ANY_WORDS: Final = "#"


class _Node:
    """One word of a binding key; `bound` holds what is bound with the words down to here."""

    __slots__ = ("bound", "children")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.bound = DestinationCounts()


class TopicExchange(Exchange):
    """Send each message where the binding key's pattern fits: `*` is one word, `#` any number of them.

    Words are what dots part: the empty routing key is one empty word to `*` in neither specification nor RabbitMQ,
    which splits it into no words at all.
    """

    __slots__ = ("_root",)

    type: ClassVar[str] = "topic"

    def __init__(self, properties: ExchangeProperties) -> None:
        super().__init__(properties)
        self._root = _Node()

    def check_binding(self, binding: Binding) -> None:
        """Refuse a binding key with too many wildcards, where there is a limit."""
        most, count = self.profile.topic_hash_max, split_words(binding.key).count(ANY_WORDS)
        if most is not None and count > most:
            raise PreconditionFailed(
                f"Topic binding key '{binding.key}' uses {count} '#' wildcards, at most {most} are allowed"
            )

    def route(self, routing_key: str, headers: Arguments, matched: Matched) -> None:
        """Walk all nodes that fit, one step of a work list each: deep keys cannot exhaust the stack."""
        words = split_words(routing_key)
        count = len(words)
        to_visit = [(self._root, 0)]
        # Two '#' reach the same node and word in many ways; each pair is visited once, so work is nodes times words.
        visited: set[tuple[_Node, int]] = set()
        while to_visit:
            node, at = to_visit.pop()
            children = node.children
            if at == count:
                node.bound.match_all(matched)
            elif children:
                child = children.get(words[at])
                # A word of a routing key that happens to be '*' or '#' is a plain word; its nodes are visited below.
                if child is not None and words[at] not in (ONE_WORD, ANY_WORDS):
                    to_visit.append((child, at + 1))
                child = children.get(ONE_WORD)
                if child is not None:
                    to_visit.append((child, at + 1))
            child = children.get(ANY_WORDS)
            if child is not None:
                for rest in range(at, count + 1):
                    # Who came here before went on from here to the last word.
                    if (child, rest) in visited:
                        break
                    visited.add((child, rest))
                    to_visit.append((child, rest))

    def _index(self, binding: Binding) -> None:
        node = self._root
        for word in split_words(binding.key):
            node = node.children.setdefault(word, _Node())
        node.bound.add(binding.destination)

    def _unindex(self, binding: Binding) -> None:
        path = [self._root]
        words = split_words(binding.key)
        for word in words:
            path.append(path[-1].children[word])
        path[-1].bound.remove(binding.destination)
        for parent, word, node in reversed(list(zip(path, words, path[1:], strict=False))):
            if node.bound or node.children:
                break
            del parent.children[word]


def split_words(key: str) -> list[str]:
    """Split a routing or binding key at its dots; the empty key has no words."""
    return key.split(".") if key else []
