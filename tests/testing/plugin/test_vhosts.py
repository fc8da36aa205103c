import pika
import pytest

from amqpy_broker.testing import Broker, BrokerThread, Misuse
from tests.server.loops import connected, on_each_loop


@on_each_loop
async def test_a_vhost_goes_with_everything_in_it_and_its_clients_are_told() -> None:
    async with Broker() as broker:
        broker.add_vhost("there")
        async with connected(broker.port, vhost="there") as client:
            broker.remove_vhost("there")
            said = await client.hear()
        assert said.name == "Connection.Close"
        assert (said.fields["reply_code"], said.fields["reply_text"]) == (
            320,
            "CONNECTION_FORCED - vhost 'there' is deleted",
        )
        assert list(broker.core.vhosts) == ["/"]


def test_a_vhost_that_comes_again_is_empty() -> None:
    with BrokerThread() as broker:
        for _ in range(2):
            broker.add_vhost("there")
            connection = pika.BlockingConnection(pika.URLParameters(f"{broker.url}there"))
            channel = connection.channel()
            assert channel.queue_declare("q", durable=True).method.message_count == 0
            channel.basic_publish("", "q", b"")
            connection.close()
            broker.remove_vhost("there")


def test_a_vhost_that_is_there_or_is_not_or_cannot_be_is_told() -> None:
    with BrokerThread() as broker:
        with pytest.raises(Misuse, match="there is a vhost '/' already"):
            broker.add_vhost("/")
        with pytest.raises(Misuse, match="there is no vhost 'there': there are '/'"):
            broker.remove_vhost("there")
        with pytest.raises(Misuse, match="1 to 255 bytes"):
            broker.add_vhost("x" * 256)
