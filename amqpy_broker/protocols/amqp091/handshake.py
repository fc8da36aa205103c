"""From the protocol header to an open vhost [AMQP 0-9-1 2.2.4]:

    header -> start -> start-ok -> tune -> tune-ok -> open -> open-ok

Until then RabbitMQ explains little: most mistakes end in a socket that closes, some of them after three seconds
(`SilentClose`). Each step takes a method and leaves the answer in the output.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pamqp import commands

from amqpy_broker.core.arguments import Arguments, arguments, plain
from amqpy_broker.core.broker import BrokerCore
from amqpy_broker.core.errors import ChannelError, LoginRefused, NotAllowed
from amqpy_broker.core.limits import CHANNEL_MAX, FRAME_SIZE_MAX, HEARTBEAT_S
from amqpy_broker.core.names import NODE_NAME
from amqpy_broker.core.profile import Profile
from amqpy_broker.core.users import User
from amqpy_broker.core.vhost import VirtualHost
from amqpy_broker.protocols.amqp091.codec import Method, method_frame
from amqpy_broker.protocols.amqp091.output import Output
from amqpy_broker.protocols.amqp091.tables import MalformedTable, read_fields
from amqpy_broker.version import VERSION

logger = logging.getLogger(__name__)

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
_SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
_LOOPBACK_ONLY_USER: Final = "guest"
# Where anonymous clients end up [https://www.rabbitmq.com/docs/access-control#mechanisms].
_ANONYMOUS_USER: Final = "guest"

_CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)


class Step(Enum):
    """What the broker waits for."""

    START_OK = "connection.start-ok"
    TUNE_OK = "connection.tune-ok"
    OPEN = "connection.open"
    DONE = "nothing"


class SilentClose(Exception):
    """The socket closes without a frame: at once, or after RabbitMQ's three seconds."""

    def __init__(self, reason: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.at_once = at_once


@dataclass(slots=True)
class Negotiated:
    """What the handshake has settled so far."""

    user: User | None = None
    vhost: VirtualHost | None = None
    channel_max: int = CHANNEL_MAX
    frame_size_max: int = FRAME_SIZE_MAX
    heartbeat_s: int = HEARTBEAT_S
    client_properties: Mapping[str, object] = field(default_factory=dict)

    def can(self, capability: str) -> bool:
        """Say whether the client announced a capability."""
        capabilities = self.client_properties.get("capabilities")
        return isinstance(capabilities, dict) and capabilities.get(capability) is True


class Handshake:
    """The handshake of one connection, one method at a time."""

    def __init__(self, broker: BrokerCore, output: Output, *, peer_is_local: bool) -> None:
        self._broker = broker
        self._output = output
        self._peer_is_local = peer_is_local
        self._steps: dict[Step, tuple[int, Callable[[Method], None]]] = {
            Step.START_OK: (commands.Connection.StartOk.index, self._start_ok),
            Step.TUNE_OK: (commands.Connection.TuneOk.index, self._tune_ok),
            Step.OPEN: (commands.Connection.Open.index, self._open),
        }
        self.step = Step.START_OK
        self.negotiated = Negotiated()
        # Told of every attempt to log in: the mechanism, the user's name, and what was wrong.
        self.on_login: Callable[[str, str, str], None] = _nobody

    def receive_header(self, header: bytes) -> None:
        """Take the eight octets that begin every connection; answer with connection.start.

        Raises:
            SilentClose: another protocol; the answer says which one we speak.
        """
        if header not in self._broker.profile.protocol_headers:
            self._output.write(_header_answer(header, self._broker.profile))
            raise SilentClose(f"bad protocol header {header!r}", at_once=True)
        profile = self._broker.profile
        self._output.write(
            method_frame(
                0,
                commands.Connection.Start,
                0,
                9,
                server_properties(profile),
                " ".join(profile.mechanisms),
                "en_US",
            )
        )

    def receive(self, method: Method) -> None:
        """Take the next method.

        Raises:
            AmqpError: refused, with a close frame.
            SilentClose: refused without.
        """
        index, step = self._steps[self.step]
        if method.index != index:
            # Before the user is known RabbitMQ explains nothing.
            if self.step is Step.OPEN:
                raise ChannelError("unexpected method in connection state opening")
            raise SilentClose(f"expected {self.step.value}")
        step(method)

    # --- start-ok ---------------------------------------------------------------------------------------------------

    def _start_ok(self, method: Method) -> None:
        asked = method.frame
        assert isinstance(asked, commands.Connection.StartOk)
        self.negotiated.client_properties = plain(method.arguments)
        mechanism, response = asked.mechanism, asked.response
        if mechanism not in self._broker.profile.mechanisms:
            raise SilentClose(f"unknown authentication mechanism '{mechanism}'")
        assert isinstance(response, bytes)
        self._log_in(mechanism, response)
        channel_max = self._broker.limits.channel_max
        self._output.write(method_frame(0, commands.Connection.Tune, channel_max, FRAME_SIZE_MAX, HEARTBEAT_S))
        self.step = Step.TUNE_OK

    def _log_in(self, mechanism: str, response: bytes) -> None:
        user, name = self._authenticated(mechanism, response)
        if user is not None and (self._peer_is_local or user.name != _LOOPBACK_ONLY_USER):
            self.negotiated.user = user
            self.on_login(mechanism, name, "")
            return
        reason = "may only connect from this machine" if user is not None else "no such user, or another password"
        logger.warning("login of user '%s' refused: %s", name, reason)
        self.on_login(mechanism, name, reason)
        refusal = LoginRefused(
            f"Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
        )
        # https://www.rabbitmq.com/docs/auth-notification
        if self.negotiated.can("authentication_failure_close"):
            raise refusal
        raise SilentClose(refusal.text)

    def _authenticated(self, mechanism: str, response: bytes) -> tuple[User | None, str]:
        users = self._broker.users
        if mechanism == "ANONYMOUS":
            return users.find(_ANONYMOUS_USER), _ANONYMOUS_USER
        name, password = (_plain_response if mechanism == "PLAIN" else _amqplain_response)(response)
        return users.authenticate(name, password), name

    # --- tune-ok ----------------------------------------------------------------------------------------------------

    def _tune_ok(self, method: Method) -> None:
        asked = method.frame
        assert isinstance(asked, commands.Connection.TuneOk)
        _check_tuned("frame_max", self._broker.profile.frame_size_min, FRAME_SIZE_MAX, asked.frame_max)
        _check_tuned("channel_max", 1, self._broker.limits.channel_max, asked.channel_max)
        self.negotiated.frame_size_max = asked.frame_max
        self.negotiated.channel_max = asked.channel_max
        self.negotiated.heartbeat_s = asked.heartbeat
        self.step = Step.OPEN

    # --- open -------------------------------------------------------------------------------------------------------

    def _open(self, method: Method) -> None:
        asked = method.frame
        assert isinstance(asked, commands.Connection.Open)
        user = self.negotiated.user
        assert user is not None
        name = asked.virtual_host
        self._broker.limits.check_connections(self._broker.connections_count)
        vhost = self._broker.vhosts.get(name)
        if vhost is None:
            raise NotAllowed(f"vhost {name} not found")
        vhost.limits.check_connections(vhost.connections_count, name, user.name)
        if name not in user.permissions:
            raise NotAllowed(f"access to vhost '{name}' refused for user '{user.name}'")
        self.negotiated.vhost = vhost
        self._output.write(method_frame(0, commands.Connection.OpenOk, ""))
        self.step = Step.DONE


def _nobody(mechanism: str, user: str, error: str) -> None:
    """Nobody wants to know."""


def server_properties(profile: Profile) -> Arguments:
    """Describe the server as RabbitMQ does: clients read product and version; ours stand in keys of their own."""
    ours = {
        "capabilities": dict.fromkeys(_CAPABILITIES, True),
        "cluster_name": NODE_NAME,
        "copyright": profile.copyright,
        "information": f"amqpy-broker {VERSION}, compatible with RabbitMQ {profile.version}",
        "platform": f"Erlang/OTP {profile.erlang}",
        "product": "RabbitMQ",
        "version": profile.version,
        "amqpy_broker_version": VERSION,
    }
    return arguments(dict(sorted(ours.items())))


def _header_answer(header: bytes, profile: Profile) -> bytes:
    """Say which protocol we speak: 4.x advertises AMQP 1.0 with SASL, but not to who came with a 0-9 of some kind."""
    looks_like_0_9 = header.startswith(b"AMQP\x00\x00") and header[6] >= 9
    if profile.answers_bad_header_with_sasl and not looks_like_0_9:
        return _SASL_HEADER
    return PROTOCOL_HEADER


def _plain_response(response: bytes) -> tuple[str, str]:
    """Read `NUL user NUL password` (RFC 4616 without an authorisation identity)."""
    octets = response.split(b"\x00")
    if len(octets) != 3 or octets[0]:
        raise SilentClose("response of mechanism PLAIN is invalid")
    return _text(octets[1]), _text(octets[2])


def _amqplain_response(response: bytes) -> tuple[str, str]:
    """Read a field table without its length, with LOGIN and PASSWORD."""
    try:
        table = read_fields(response, 0, len(response))
        name, password = table["LOGIN"], table["PASSWORD"]
    except (MalformedTable, KeyError):
        raise SilentClose("response of mechanism AMQPLAIN is missing LOGIN or PASSWORD field") from None
    if (name.kind, password.kind) != ("longstr", "longstr"):
        raise SilentClose("response of mechanism AMQPLAIN has LOGIN or PASSWORD of another type than longstr")
    return str(name.value), str(password.value)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _check_tuned(name: str, least: int, most: int, value: int) -> None:
    """Refuse what RabbitMQ's `validate_negotiated_integer_value` refuses; 0 means "no limit"."""
    if value and value < least:
        raise SilentClose(f"negotiated {name} = {value} is lower than the minimum allowed value ({least})")
    if not value or value > most:
        detail = "" if value else " (no limit)"
        raise SilentClose(f"negotiated {name} = {value}{detail} is higher than the maximum allowed value ({most})")
