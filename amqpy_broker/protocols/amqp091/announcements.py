"""What connections, channels and consumers tell the event exchange (https://www.rabbitmq.com/docs/event-exchange).

RabbitMQ names Erlang processes as `pid`; here it is the connection's name, with the channel's number for a channel.
"""

import re
from typing import Final

from amqpy_broker.core.arguments import Arguments
from amqpy_broker.core.events import Detail, Events
from amqpy_broker.core.names import NODE_NAME
from amqpy_broker.core.queues.base import Consumer
from amqpy_broker.protocols.amqp091.channel import Channel

# 127.0.0.1:50712 -> 127.0.0.1:5672
_ENDS: Final = re.compile(r"(.*):(\d+) -> (.*):(\d+)")
_PROTOCOL: Final = "{0,9,1}"


def tell_login(events: Events, connection: str, mechanism: str, user: str, error: str) -> None:
    """Tell that a user logged in, or why not."""
    peer_host, peer_port, host, _ = _ends(connection)
    details: dict[str, Detail] = {
        "name": user,
        "connection_type": "network",
        "connection_name": connection,
        "auth_mechanism": mechanism,
        "protocol": _PROTOCOL,
        "ssl": False,
        "host": host,
        "peer_host": peer_host,
        "peer_port": peer_port,
    }
    if error:
        details["error"] = error
    events.tell("user.authentication.failure" if error else "user.authentication.success", **details)


def tell_connection_created(
    events: Events,
    connection: str,
    *,
    user: str,
    vhost: str,
    mechanism: str,
    channel_max: int,
    frame_max: int,
    heartbeat_s: int,
    client_properties: Arguments,
    connected_at_ms: int,
) -> None:
    """Tell that a connection is open."""
    peer_host, peer_port, host, port = _ends(connection)
    events.tell(
        "connection.created",
        type="network",
        pid=connection,
        name=connection,
        port=port,
        peer_port=peer_port,
        host=host,
        peer_host=peer_host,
        ssl=False,
        auth_mechanism=mechanism,
        protocol=_PROTOCOL,
        user=user,
        vhost=vhost,
        timeout=heartbeat_s,
        frame_max=frame_max,
        channel_max=channel_max,
        client_properties=client_properties,
        connected_at=connected_at_ms,
        node=NODE_NAME,
        user_who_performed_action=user,
    )


def tell_connection_closed(events: Events, connection: str, client_properties: Arguments) -> None:
    """Tell that a connection is closed."""
    events.tell(
        "connection.closed", name=connection, pid=connection, node=NODE_NAME, client_properties=client_properties
    )


def tell_channel_created(events: Events, channel: Channel) -> None:
    """Tell that a channel is open."""
    session = channel.session
    events.tell(
        "channel.created",
        pid=_pid(channel),
        name=_pid(channel),
        connection=session.connection_name,
        number=channel.number,
        user=session.actor.user.name,
        vhost=session.vhost.name,
        user_who_performed_action=session.actor.user.name,
    )


def tell_channel_closed(events: Events, channel: Channel) -> None:
    """Tell that a channel is closed."""
    events.tell("channel.closed", pid=_pid(channel), user_who_performed_action=channel.session.actor.user.name)


def tell_consumer_created(events: Events, channel: Channel, consumer: Consumer) -> None:
    """Tell that a queue has a new consumer."""
    events.tell(
        "consumer.created",
        consumer_tag=consumer.tag,
        exclusive=consumer.exclusive,
        ack_required=not consumer.no_ack,
        channel=_pid(channel),
        vhost=channel.vhost.name,
        queue=consumer.queue.name,
        prefetch_count=consumer.prefetch_count,
        arguments=consumer.arguments,
        user_who_performed_action=channel.session.actor.user.name,
    )


def tell_consumer_deleted(events: Events, channel: Channel, consumer: Consumer) -> None:
    """Tell that a consumer is gone: cancelled, or with its channel."""
    events.tell(
        "consumer.deleted",
        consumer_tag=consumer.tag,
        channel=_pid(channel),
        queue=consumer.queue.name,
        vhost=channel.vhost.name,
        user_who_performed_action=channel.session.actor.user.name,
    )


def _pid(channel: Channel) -> str:
    return f"{channel.session.connection_name} ({channel.number})"


def _ends(connection: str) -> tuple[str, int, str, int]:
    """Read where a connection comes from, and where it goes to, from its name; without sockets there is nothing."""
    found = _ENDS.fullmatch(connection)
    return (found[1], int(found[2]), found[3], int(found[4])) if found else ("", 0, "", 0)
