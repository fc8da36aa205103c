"""From the protocol header to an open vhost, and every way that it fails."""

import pytest
from pamqp.commands import Channel, Connection

from amqpy_broker.core.users import Permissions, User, hash_password
from amqpy_broker.protocols.amqp091.connection import State
from amqpy_broker.protocols.amqp091.tables import write_table
from tests.wire import CAPABILITIES, PROTOCOL_HEADER, Client, frame, handshake, method, new_broker, read, refusal

LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
)
both_profiles = pytest.mark.parametrize("profile", ["3.10", "4.0"])


def begun(client: Client, steps: int, **options: object) -> Client:
    """Take so many steps of a handshake: header, start-ok, tune-ok, open."""
    for octets in handshake(**options)[:steps]:  # type: ignore[arg-type]
        client.feed(octets)
    return client


def closes_silently(client: Client) -> bool:
    """Say whether the connection reads no more, says nothing, and ends after RabbitMQ's three seconds."""
    said = client.heard()
    client.feed(method(0, Connection.Close))
    client.pass_time(2.9)
    waited = client.state is State.SILENT
    client.pass_time(0.2)
    return not said and waited and client.connection.closed and not client.heard()


# --- start ------------------------------------------------------------------------------------------------------------


@both_profiles
def test_the_server_describes_itself_as_rabbitmq(profile: str) -> None:
    client = begun(Client(profile=profile), 1)

    start = client.heard_one()

    properties = start["server_properties"]
    assert (start["version_major"], start["version_minor"], start["locales"]) == (0, 9, b"en_US")
    assert properties["product"] == "RabbitMQ"
    assert properties["version"] == {"3.10": "3.10.8", "4.0": "4.0.5"}[profile]
    assert properties["capabilities"] == dict.fromkeys(
        (
            "authentication_failure_close",
            "basic.nack",
            "connection.blocked",
            "consumer_cancel_notify",
            "consumer_priorities",
            "direct_reply_to",
            "exchange_exchange_bindings",
            "per_consumer_qos",
            "publisher_confirms",
        ),
        True,
    )


def test_the_server_says_who_it_really_is_in_keys_of_its_own() -> None:
    properties = begun(Client(), 1).heard_one()["server_properties"]

    assert "amqpy-broker" in properties["information"]
    assert properties["amqpy_broker_version"]


def test_anonymous_logins_came_with_4_0() -> None:
    offered = {
        profile: set(begun(Client(profile=profile), 1).heard_one()["mechanisms"].split()) for profile in ("3.10", "4.0")
    }

    assert offered == {"3.10": {b"PLAIN", b"AMQPLAIN"}, "4.0": {b"PLAIN", b"AMQPLAIN", b"ANONYMOUS"}}


def test_the_header_of_0_9_is_taken_for_0_9_1() -> None:
    client = Client()

    client.feed(b"AMQP\x01\x01\x00\x09")

    assert client.names() == ["Connection.Start"]


@pytest.mark.parametrize(
    ("header", "answers"),
    [
        (b"AMQP\x00\x00\x09\x02", {"3.10": PROTOCOL_HEADER, "4.0": PROTOCOL_HEADER}),
        (b"AMQP\x00\x01\x00\x00", {"3.10": PROTOCOL_HEADER, "4.0": b"AMQP\x03\x01\x00\x00"}),
        (b"GET / HT", {"3.10": PROTOCOL_HEADER, "4.0": b"AMQP\x03\x01\x00\x00"}),
        (b"XXXXXXXX", {"3.10": PROTOCOL_HEADER, "4.0": b"AMQP\x03\x01\x00\x00"}),
    ],
)
@both_profiles
def test_another_protocol_is_told_ours_and_the_socket_closes(
    header: bytes, answers: dict[str, bytes], profile: str
) -> None:
    client = Client(profile=profile)

    client.feed(header + b"whatever follows")

    assert client.connection.closed
    assert client.connection.data_to_send() == answers[profile]


# --- start-ok ---------------------------------------------------------------------------------------------------------


@both_profiles
def test_plain_logs_in(profile: str) -> None:
    assert Client(profile=profile).open().is_usable()


@both_profiles
def test_amqplain_logs_in(profile: str) -> None:
    from amqpy_broker.core.arguments import arguments

    response = write_table(arguments({"LOGIN": "guest", "PASSWORD": "guest"}))[4:].decode()

    assert Client(profile=profile).open(mechanism="AMQPLAIN", response=response).is_usable()


def test_anonymous_logs_in_as_guest() -> None:
    assert Client(profile="4.0").open(mechanism="ANONYMOUS", response="").is_usable()


@pytest.mark.parametrize("response", ["\x00guest\x00wrong", "\x00nobody\x00guest", "\x00\x00", "\x00guest\x00"])
def test_a_refused_login_is_explained_to_who_understands_it(response: str) -> None:
    client = begun(Client(), 1)
    client.heard()

    client.feed(handshake(response=response)[1])

    assert refusal(client.heard_one()) == ("connection", 403, LOGIN_REFUSED, 0, 0)
    client.feed(method(0, Connection.CloseOk))
    assert client.connection.closed


def test_a_refused_login_is_not_explained_to_others_who_wait_three_seconds() -> None:
    client = begun(Client(), 1)
    client.heard()
    capabilities = {**CAPABILITIES, "authentication_failure_close": False}

    client.feed(handshake(response="\x00guest\x00wrong", capabilities=capabilities)[1])

    assert closes_silently(client)


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("SCRAM-SHA-256", "\x00guest\x00guest"),
        ("plain", "\x00guest\x00guest"),
        ("", ""),
        ("PLAIN", ""),
        ("PLAIN", "guest\x00guest"),
        ("PLAIN", "admin\x00guest\x00guest"),
        ("PLAIN", "\x00guest"),
        ("AMQPLAIN", ""),
        ("AMQPLAIN", "\x00guest\x00guest"),
        ("AMQPLAIN", "\x05LOGINS\x00\x00\x00\x05guest"),
        ("AMQPLAIN", "\x05LOGINt\x01\x08PASSWORDt\x01"),
        ("AMQPLAIN", "\x05LOGINS\x00\x00\x00\x7fguest"),
    ],
)
@both_profiles
def test_what_is_no_login_at_all_closes_silently(mechanism: str, response: str, profile: str) -> None:
    client = begun(Client(profile=profile), 1)
    client.heard()

    client.feed(handshake(mechanism=mechanism, response=response)[1])

    assert closes_silently(client)


def test_anonymous_logins_are_unknown_to_3_10() -> None:
    client = begun(Client(profile="3.10"), 1)
    client.heard()

    client.feed(handshake(mechanism="ANONYMOUS", response="")[1])

    assert closes_silently(client)


@pytest.mark.parametrize(("mechanism", "response"), [("PLAIN", "\x00guest\x00guest"), ("ANONYMOUS", "")])
def test_guest_may_only_come_from_this_machine(mechanism: str, response: str) -> None:
    client = begun(Client(peer_is_local=False), 1)
    client.heard()

    client.feed(handshake(mechanism=mechanism, response=response)[1])

    assert refusal(client.heard_one())[1] == 403


def test_other_users_may_come_from_afar() -> None:
    broker = new_broker()
    broker.users.add(User("anna", hash_password("säcret"), (), {"/": Permissions()}))

    assert Client(broker, peer_is_local=False).open(response="\x00anna\x00säcret").is_usable()


def test_a_user_without_a_password_cannot_log_in_with_an_empty_one() -> None:
    broker = new_broker()
    broker.users.add(User("anna", None, (), {"/": Permissions()}))
    client = begun(Client(broker), 1)
    client.heard()

    client.feed(handshake(response="\x00anna\x00")[1])

    assert refusal(client.heard_one())[1] == 403


# --- tune -------------------------------------------------------------------------------------------------------------


def test_the_server_proposes_rabbitmqs_limits() -> None:
    client = begun(Client(), 2)

    tune = client.heard()[-1]

    assert (tune.name, dict(tune.fields)) == (
        "Connection.Tune",
        {"channel_max": 2047, "frame_max": 131_072, "heartbeat": 60},
    )


@pytest.mark.parametrize("limits", [{"frame_max": 4096}, {"frame_max": 8192}, {"channel_max": 1999}])
@both_profiles
def test_a_client_may_have_lower_limits(limits: dict[str, int], profile: str) -> None:
    assert Client(profile=profile).open(**limits).is_usable()


@pytest.mark.parametrize(
    "limits",
    [
        {"frame_max": 4095},
        {"frame_max": 131_073},
        {"frame_max": 0},
        {"channel_max": 0},
        {"channel_max": 2048},
    ],
)
@both_profiles
def test_limits_out_of_bounds_are_refused(limits: dict[str, int], profile: str) -> None:
    client = begun(Client(profile=profile), 2, **limits)
    client.heard()

    client.feed(handshake(**limits)[2])  # type: ignore[arg-type]

    assert closes_silently(client)


# --- open -------------------------------------------------------------------------------------------------------------


def test_an_unknown_vhost_is_refused() -> None:
    client = begun(Client(), 3)
    client.heard()

    client.feed(method(0, Connection.Open, virtual_host="foo"))

    assert refusal(client.heard_one()) == ("connection", 530, "NOT_ALLOWED - vhost foo not found", 10, 40)


def test_a_vhost_without_permission_is_refused() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    client = begun(Client(broker), 3)
    client.heard()

    client.feed(method(0, Connection.Open, virtual_host="other"))

    expected = "NOT_ALLOWED - access to vhost 'other' refused for user 'guest'"
    assert refusal(client.heard_one()) == ("connection", 530, expected, 10, 40)


def test_vhosts_are_name_spaces_of_their_own() -> None:
    broker = new_broker()
    broker.add_vhost("other")
    guest = broker.users.find("guest")
    assert guest is not None
    guest.permissions["other"] = Permissions()
    from pamqp.commands import Queue

    one, two = Client(broker).open(), Client(broker).open(vhost="other")
    one.call(Queue.Declare, queue="q")

    assert refusal(two.call(Queue.Declare, queue="q", passive=True))[2] == ("NOT_FOUND - no queue 'q' in vhost 'other'")


# --- out of turn ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(
    "octets",
    [
        method(0, Connection.Open, virtual_host="/"),
        method(0, Connection.CloseOk),
        method(1, Channel.Open),
        frame(3, 1, b"body"),
        frame(9, 0, b""),
        b"\x01\x00\x00\x00\x00\x00\x00!",
    ],
    ids=["open", "close-ok", "channel.open", "body", "unknown frame", "bad end"],
)
def test_anything_out_of_turn_before_tuning_closes_silently(octets: bytes, steps: int) -> None:
    client = begun(Client(), steps)
    client.heard()

    client.feed(octets)

    assert closes_silently(client)


def test_a_start_ok_larger_than_the_smallest_frame_is_refused() -> None:
    client = begun(Client(), 1)
    client.heard()

    client.feed(handshake(response="\x00guest\x00" + "x" * 5000)[1])

    assert closes_silently(client)


def test_a_heartbeat_may_come_at_any_time() -> None:
    client = Client()
    steps = handshake()
    for octets in steps:
        client.feed(octets)
        client.feed(frame(8, 0))

    assert client.names() == ["Connection.Start", "Connection.Tune", "Connection.OpenOk"]


def test_the_whole_handshake_may_come_at_once() -> None:
    client = Client()

    client.feed(b"".join(handshake()) + method(1, Channel.Open))

    assert client.names() == ["Connection.Start", "Connection.Tune", "Connection.OpenOk", "Channel.OpenOk"]


def test_a_large_frame_may_follow_the_handshake_at_once() -> None:
    from tests.wire import publish

    client = Client()

    client.feed(b"".join(handshake()) + method(1, Channel.Open) + publish(1, "", "q", b"x" * 100_000))

    assert client.state is State.RUNNING


def test_the_handshake_takes_no_longer_than_ten_seconds() -> None:
    for steps in range(4):
        client = begun(Client(), steps)
        client.heard()

        client.pass_time(9.9)
        assert not client.connection.closed
        client.pass_time(0.2)

        assert client.connection.closed
        assert not client.heard()


def test_an_open_connection_has_no_deadline_without_heartbeats() -> None:
    client = Client().open(heartbeat=0)

    assert client.connection.next_deadline_s == float("inf")


def test_what_begins_a_conversation_is_readable() -> None:
    client = begun(Client(), 1)

    assert [said.name for said in read(client.connection.data_to_send())] == ["Connection.Start"]
