"""Definitions as fixtures."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pika
import pytest

from amqpy_broker.testing import BrokerThread, DefinitionsError, DefinitionsWarning

EXPORTED = Path(__file__).parents[2] / "core/definitions/rabbitmq-3.10.json"


def test_what_rabbitmq_has_exported_can_be_used() -> None:
    with BrokerThread() as broker:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DefinitionsWarning)
            broker.load_definitions(EXPORTED)
        shop = pika.BlockingConnection(pika.URLParameters(broker.url.replace("guest:guest", "shop:secret") + "orders"))
        shop.channel().basic_publish("shop.events", "order.new", b"a")
        shop.close()
        broker.settled()
        assert broker.core.vhosts["orders"].queues["shop.orders"].ready_count == 1


def test_what_is_left_out_is_warned_of_where_it_was_loaded() -> None:
    with BrokerThread() as broker, pytest.warns(DefinitionsWarning) as caught:
        broker.load_definitions(str(EXPORTED))
    assert any(str(warning.message).startswith("topic_permissions[0] ('shop') is left out") for warning in caught)
    assert {Path(warning.filename).name for warning in caught} == {Path(__file__).name}


def test_guest_may_use_new_vhosts_unless_it_is_said_what_it_may() -> None:
    with BrokerThread() as broker:
        mine = {"user": "guest", "vhost": "closed", "configure": "", "write": "", "read": ""}
        broker.load_definitions({"vhosts": [{"name": "open"}, {"name": "closed"}], "permissions": [mine]})
        connection = pika.BlockingConnection(pika.URLParameters(broker.url + "open"))
        connection.channel().queue_declare("q")
        connection.close()
        connection = pika.BlockingConnection(pika.URLParameters(broker.url + "closed"))
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().queue_declare("q")
        connection.close()


def test_what_is_written_is_json_that_can_be_loaded(tmp_path: Path) -> None:
    with BrokerThread() as broker, BrokerThread() as other:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        connection.channel().queue_declare("q", durable=True, arguments={"x-max-length": 5})
        connection.close()
        file = tmp_path / "definitions.json"
        file.write_text(json.dumps(broker.definitions()))
        other.load_definitions(file)
        assert other.definitions() == broker.definitions()


def test_the_definitions_of_one_vhost_go_into_another() -> None:
    with BrokerThread() as broker:
        broker.load_definitions({"vhosts": [{"name": "a"}, {"name": "b"}]})
        queue = {"name": "q", "durable": True, "auto_delete": False, "arguments": {}}
        broker.load_definitions({"queues": [queue]}, vhost="a")
        broker.load_definitions(broker.definitions(vhost="a"), vhost="b")
        assert list(broker.core.vhosts["b"].queues) == ["q"]


def test_a_file_that_is_wrong_is_a_definitions_error(tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    with BrokerThread() as broker:
        file.write_bytes(b"\xff{")
        with pytest.raises(DefinitionsError, match="this is no JSON"):
            broker.load_definitions(file)
        file.write_text('{"queues": [{"name": 5}]}')
        with pytest.raises(DefinitionsError, match=r"queues\[0\]\.name must be a text, not 5"):
            broker.load_definitions(file)
