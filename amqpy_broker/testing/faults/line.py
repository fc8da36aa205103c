"""One client's conversation, with everything that may go wrong in it: the filter that faults have on a link.

It knows what the conversation is about, shows each frame to the faults, and keeps the books of publishes. The first
fault that wants something done with a frame decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from amqpy_broker.testing.conversation.frames import Direction, FrameKind, WireFrame, method_frame_of
from amqpy_broker.testing.faults.confirm_book import ConfirmBook
from amqpy_broker.testing.faults.ends import End
from amqpy_broker.testing.faults.seen import Seen
from amqpy_broker.testing.link.link import DROP, PASS, Hold, Link, Verdict

_CONFIRMS = frozenset(("basic.ack", "basic.nack"))
_BODY_SIZE = slice(4, 12)


class Asked(Protocol):
    """Who says what becomes of frames."""

    def filter(self, line: Line, seen: Seen) -> Verdict:
        """Say what becomes of a frame."""
        ...


class Line:
    """A link's filter: one for all faults. It stays as long as its books differ from the broker's."""

    def __init__(self, end: End, faults: Callable[[], Sequence[Asked]], done: Callable[[], None] | None = None) -> None:
        self.end = end
        self.knowledge = end.learned()
        self._faults = faults
        # Told when it may be that this is needed no more.
        self._done = done
        self._is_busy = False
        # Whether it may have come in the middle of a frame of the client, which it has not seen.
        self._is_new = True
        # Where the message of a method is being dropped with it; the link forgets that with its filter.
        self._dropping: set[tuple[Direction, int]] = set()
        # The number of the publish that passes now, on a channel that confirms; 0 for none.
        self.publish_number = 0
        # Whether the client was told that it is refused.
        self._refused = False
        # By channel: octets that are missing of a message to the client, or -1 if its header is; what is to be said
        # when it is complete.
        self._missing: dict[int, int] = {}
        self._unsaid: dict[int, list[WireFrame]] = {}
        # Channels that we closed in the broker's place: from whom nothing counts any more, before close-ok.
        self._closing: set[tuple[Direction, int]] = set()

    @property
    def is_needed(self) -> bool:
        """Whether it must stay though there are no faults any more."""
        return bool(self._is_busy or self._dropping or self._unsaid or self._closing) or not all(
            channel.confirms is None or channel.confirms.is_plain for channel in self.knowledge.channels.values()
        )

    def now_s(self) -> float:
        """Tell the time of the broker's clock."""
        return self.end.link.clock.monotonic_s()

    # --- frames -----------------------------------------------------------------------------------------------------

    def filter(self, link: Link, frame: WireFrame) -> Verdict:
        """Say what becomes of a frame."""
        if self._closing and self._is_said_in_vain(frame):
            return DROP
        if self._is_new and frame.direction is Direction.TO_SERVER:
            self._look_again()
        self._is_busy = True
        verdict = self._decide(frame)
        self._is_busy = False
        where = frame.direction, frame.channel
        if verdict is DROP and frame.begins_content:
            self._dropping.add(where)
        elif frame.kind is FrameKind.METHOD:
            self._dropping.discard(where)
        if self._done is not None and not self._faults():
            self._done()
        return verdict

    def _look_again(self) -> None:
        """Learn once more what has been, now that the broker has all before this frame."""
        self._is_new = False
        if self.end.broker is not None:
            self.end.broker.catch_up()
            self.knowledge = self.end.learned()

    def _decide(self, frame: WireFrame) -> Verdict:
        if frame.name == "connection.start-ok":
            # It tells its own connection's name.
            self.knowledge.learn(frame)
        book = self._book(frame)
        self.publish_number = book.count_publish() if book and _is_publish(frame) else 0
        verdict = self._ask(Seen(frame, self.end.peer, self.knowledge))
        if book is not None:
            verdict = self._write_up(book, frame, verdict)
        self.publish_number = 0
        if verdict is not DROP:
            self.knowledge.learn(frame)
        return self._with_what_is_unsaid(frame, verdict)

    def say(self, frame: WireFrame) -> None:
        """Say a method to the client, but never amid a message on the same channel."""
        if frame.channel in self._missing:
            self._unsaid.setdefault(frame.channel, []).append(frame)
        else:
            self.end.link.to_client(frame.octets)

    def _ask(self, seen: Seen) -> Verdict:
        for fault in self._faults():
            verdict = fault.filter(self, seen)
            if verdict is not PASS:
                return verdict
        return PASS

    def _with_what_is_unsaid(self, frame: WireFrame, verdict: Verdict) -> Verdict:
        """Follow messages to the client; after the last frame of one comes what had to wait for it."""
        if frame.direction is Direction.TO_SERVER or verdict is DROP:
            return verdict
        if frame.begins_content:
            self._missing[frame.channel] = -1
            return verdict
        if frame.kind is FrameKind.HEADER:
            self._missing[frame.channel] = int.from_bytes(frame.payload[_BODY_SIZE], "big")
        elif frame.kind is FrameKind.BODY and frame.channel in self._missing:
            self._missing[frame.channel] -= len(frame.payload)
        if self._missing.get(frame.channel) != 0:
            return verdict
        del self._missing[frame.channel]
        unsaid = self._unsaid.pop(frame.channel, [])
        if unsaid and isinstance(verdict, Hold):
            # They wait behind what is held, but are not put in its place.
            self.end.link.call_at(self.now_s(), partial(self._say_all, unsaid))
            return verdict
        return [frame, *unsaid] if unsaid and verdict is PASS else verdict

    def _say_all(self, frames: Sequence[WireFrame]) -> None:
        for frame in frames:
            self.say(frame)

    # --- closing in the broker's place ------------------------------------------------------------------------------

    def close(self, channel: int, close: WireFrame) -> None:
        """Say connection.close or channel.close in the broker's place, where it cannot be asked to.

        The client says nothing that counts before its close-ok; then the broker's side of the link ends, too. A channel
        is closed at the broker at once.
        """
        self.end.link.to_client(close.octets)
        self._closing.add((Direction.TO_SERVER, channel))
        self._closing.add((Direction.TO_CLIENT, channel))
        if channel:
            self.end.link.to_server(close.octets)
        self.knowledge.channels.pop(channel, None)
        self._missing.pop(channel, None)
        self._unsaid.pop(channel, None)

    def _is_said_in_vain(self, frame: WireFrame) -> bool:
        """Say whether a frame is nothing to the other side, because the channel or all is closing."""
        if (frame.direction, 0) in self._closing:
            if frame.direction is Direction.TO_SERVER and frame.name == "connection.close-ok":
                self.end.link.drop()
            return True
        where = frame.direction, frame.channel
        if where not in self._closing:
            return False
        if frame.name == "channel.close-ok":
            self._closing.discard(where)
        return True

    # --- confirms ---------------------------------------------------------------------------------------------------

    def refuse_publish(self, channel: int) -> None:
        """Tell the client that the publish that passes now is refused."""
        nack = {"delivery_tag": self.publish_number}
        self.say(method_frame_of(Direction.TO_CLIENT, channel, "basic.nack", nack))
        self._refused = True

    def hold_back_confirm(self, channel: int, seconds: float) -> None:
        """Hold back the confirm of the publish that passes now; infinity is for ever."""
        book = self.knowledge.channel(channel).confirms
        if book is not None:
            book.held_back_s[self.publish_number] = seconds

    def _book(self, frame: WireFrame) -> ConfirmBook | None:
        known = self.knowledge.channels.get(frame.channel)
        return known.confirms if known is not None else None

    def _write_up(self, book: ConfirmBook, frame: WireFrame, verdict: Verdict) -> Verdict:
        """Keep the book of a channel that confirms; what the broker confirms is told in the client's numbers."""
        if self.publish_number:
            refused, self._refused = self._refused, False
            if verdict is DROP:
                book.keep_from_broker(self.publish_number, refused=refused)
            else:
                book.pass_on(self.publish_number)
        elif verdict is PASS and frame.direction is Direction.TO_CLIENT and frame.name in _CONFIRMS:
            return self._rewrite(book, frame)
        return verdict

    def _rewrite(self, book: ConfirmBook, frame: WireFrame) -> Verdict:
        """Write a confirm in the client's numbers, without those that it must not hear of, or not yet."""
        tag, multiple = frame.arguments.get("delivery_tag"), bool(frame.arguments.get("multiple"))
        assert isinstance(tag, int)
        numbers = book.confirmed(tag, multiple=multiple)
        was_plain = book.is_plain
        tellable = []
        for number in numbers:
            seconds = book.held_back_s.pop(number, 0.0)
            if not seconds:
                tellable.append(number)
                continue
            book.withhold(number)
            if seconds != float("inf"):
                again = partial(self._tell_late, book, frame, number)
                self.end.link.call_at(self.now_s() + seconds, again)
        if not numbers or (was_plain and tellable == numbers):
            book.tell(numbers)
            return PASS
        return self._confirms(book, frame, tellable) or DROP

    def _tell_late(self, book: ConfirmBook, frame: WireFrame, number: int) -> None:
        # The channel may be another one by now.
        if self._book(frame) is book:
            self._say_all(self._confirms(book, frame, [number]))

    def _confirms(self, book: ConfirmBook, frame: WireFrame, numbers: Sequence[int]) -> list[WireFrame]:
        return [
            method_frame_of(
                Direction.TO_CLIENT,
                frame.channel,
                frame.name,
                {"delivery_tag": confirm.number, "multiple": confirm.multiple},
            )
            for confirm in book.tell(numbers)
        ]


def _is_publish(frame: WireFrame) -> bool:
    return frame.direction is Direction.TO_SERVER and frame.name == "basic.publish"
