"""Rules of the specification for the classes connection and channel, each by its name."""

from pamqp.commands import Channel, Connection, Queue

from tests.wire import Client, frame, handshake, method, publish, refusal


def test_protocol_header_comes_first() -> None:
    """[connection.start] The server starts with connection.start when it has seen the protocol header."""
    client = Client()
    assert client.heard() == []

    client.feed(handshake()[0])

    assert client.names() == ["Connection.Start"]


def test_bad_protocol_header_is_answered_with_ours() -> None:
    """[protocol header] A server that cannot speak the protocol must write a valid one, and close the socket."""
    client = Client()

    client.feed(b"AMQP\x00\x00\x08\x00")

    assert client.connection.data_to_send().startswith(b"AMQP")
    assert client.connection.closed


def test_locales_include_en_us() -> None:
    """[connection.start.locales:required-support] The server must support at least the en_US locale."""
    client = Client()
    client.feed(handshake()[0])

    assert client.heard_one()["locales"] == b"en_US"


def test_frame_min_size_is_accepted() -> None:
    """[connection.tune.frame-max:minimum] Until the limit is negotiated, frames of 4096 octets must be accepted."""
    client = Client()
    client.feed(handshake()[0])
    client.heard()

    start_ok = handshake(response="\x00guest\x00" + "x" * 3900)[1]
    client.feed(start_ok)

    assert len(start_ok) < 4096
    assert refusal(client.heard_one())[1] == 403


def test_channel_numbers_beyond_the_limit_are_refused() -> None:
    """[connection.tune-ok.channel-max:upper-limit] No more channels than were negotiated."""
    client = Client().open(channels=1, channel_max=1)

    assert refusal(client.call(Channel.Open, channel=2))[1] == 530


def test_virtual_hosts_are_separate() -> None:
    """[connection.open.virtual-host:separation] Connections to one vhost cannot see another's queues."""
    from amqpy_broker.core.users import Permissions

    one = Client().open()
    one.broker.add_vhost("other")
    user = one.broker.users.find("guest")
    assert user is not None
    user.permissions["other"] = Permissions()
    two = Client(one.broker).open(vhost="other")

    one.call(Queue.Declare, queue="q")

    assert refusal(two.call(Queue.Declare, queue="q", passive=True))[1] == 404


def test_virtual_host_must_be_permitted() -> None:
    """[connection.open.virtual-host:security] The server should verify that the client may use the vhost."""
    client = Client()
    client.broker.add_vhost("secret")
    for octets in handshake(vhost="secret"):
        client.feed(octets)

    assert refusal(client.heard()[-1])[1] == 530


def test_connection_close_stability() -> None:
    """[connection.close:stability] After close, everything but close and close-ok must be discarded."""
    client = Client().open()
    client.send(Connection.Open, channel=0)
    client.heard()

    client.feed(method(1, Queue.Declare, queue="q") + frame(2, 1, b"") + method(0, Connection.CloseOk))

    assert client.connection.closed
    assert client.heard() == []


def test_connection_close_ok_is_sent() -> None:
    """[connection.close-ok] The peer that is asked to close confirms."""
    assert Client().open().call(Connection.Close, channel=0).name == "Connection.CloseOk"


def test_channel_open_state() -> None:
    """[channel.open:state] A client must not open a channel twice: 504."""
    client = Client().open()

    assert refusal(client.call(Channel.Open)) == (
        "connection",
        504,
        "CHANNEL_ERROR - second 'channel.open' seen",
        20,
        10,
    )


def test_channel_must_be_open() -> None:
    """[channel] Methods on a channel that is not open are an error of the connection: 504."""
    client = Client().open(channels=0)

    answer = client.call(Queue.Declare, queue="q")

    assert refusal(answer) == ("connection", 504, "CHANNEL_ERROR - expected 'channel.open'", 50, 10)


def test_channel_flow_is_agreed_to() -> None:
    """[channel.flow-ok.active] The answer tells whether content flows."""
    assert Client().open().call(Channel.Flow, active=True)["active"] is True


def test_channel_flow_cannot_be_stopped() -> None:
    """[channel.flow] As in RabbitMQ, a client stops the flow with prefetch counts, not with this: 540."""
    answer = Client().open().call(Channel.Flow, active=False)

    assert refusal(answer) == ("connection", 540, "NOT_IMPLEMENTED - active=false", 20, 20)


def test_channel_close_stability() -> None:
    """[channel.close:stability] After channel.close, everything but close and close-ok must be discarded."""
    client = Client().open()
    client.call(Queue.Declare, queue="missing", passive=True)

    client.feed(method(1, Queue.Declare, queue="q") + publish(1, "", "q", b"x"))

    assert client.heard() == []
    assert "q" not in client.broker.vhosts["/"].queues


def test_channel_close_ok_frees_the_number() -> None:
    """[channel.close-ok] The number may be used again once the close is confirmed."""
    client = Client().open()
    client.call(Queue.Declare, queue="missing", passive=True)
    client.send(Channel.CloseOk)

    assert client.call(Channel.Open).name == "Channel.OpenOk"


def test_channel_0_is_the_connections() -> None:
    """[channel zero] Methods of channels are refused there: 504."""
    answer = Client().open().call(Queue.Declare, channel=0, queue="q")

    assert refusal(answer) == (
        "connection",
        504,
        "CHANNEL_ERROR - unexpected method in connection state running",
        50,
        10,
    )


def test_connection_methods_belong_on_channel_0() -> None:
    """[channel zero] A method of the connection on another channel is refused: 503."""
    answer = Client().open().call(Connection.CloseOk)

    assert refusal(answer)[:3] == ("connection", 503, "COMMAND_INVALID - unimplemented method")


def test_heartbeat_frames_belong_on_channel_0() -> None:
    """[heartbeat] On another channel they are refused."""
    client = Client().open()

    client.feed(frame(8, 1))

    assert refusal(client.heard_one())[:3] == ("connection", 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>")


def test_frame_end_must_be_checked() -> None:
    """[frame-end] A frame that does not end with 0xCE is a fatal error: 501."""
    client = Client().open()

    client.feed(b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x0a\x00")

    expected = "FRAME_ERROR - type 1, all octets = <<0,60,0,10>>: {invalid_frame_end_marker,0}"
    assert refusal(client.heard_one()) == ("connection", 501, expected, 0, 0)


def test_unknown_frame_types_are_refused() -> None:
    """[frame type] 501."""
    client = Client().open()

    client.feed(frame(9, 0))

    expected = "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame"
    assert refusal(client.heard_one()) == ("connection", 501, expected, 0, 0)


def test_content_needs_a_method() -> None:
    """[content] A content frame without a method before it: 505."""
    client = Client().open()

    client.feed(frame(3, 1, b"body"))

    expected = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
    assert refusal(client.heard_one()) == ("connection", 505, expected, 0, 0)


def test_content_must_follow_its_method() -> None:
    """[content] A method where a content header must come: 505."""
    from pamqp.commands import Basic

    client = Client().open()
    client.send(Basic.Publish, routing_key="q")

    answer = client.call(Queue.Declare, queue="q")

    expected = "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"
    assert refusal(answer) == ("connection", 505, expected, 60, 40)
