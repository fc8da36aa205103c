from collections.abc import AsyncIterator

import pytest
from app import Order, make_app

from amqpy_broker.testing import Broker


class FlakyShop:
    """Fails so many times."""

    def __init__(self) -> None:
        self.failures_left = 0
        self.delivered: list[Order] = []

    async def deliver(self, order: Order) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise ConnectionError("the shop is closed")
        self.delivered.append(order)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker(virtual_time=True, strict="error") as broker:
        yield broker


@pytest.fixture
def shop() -> FlakyShop:
    return FlakyShop()


@pytest.fixture(autouse=True)
async def app(broker: Broker, shop: FlakyShop) -> AsyncIterator[None]:
    app = make_app(broker.url, shop)
    await app.start()
    yield
    await app.stop()


EGGS = {"product": "egg", "count": 12}


async def test_an_order_is_delivered(broker: Broker, shop: FlakyShop) -> None:
    broker.publish("", "orders", EGGS)
    await broker.settled()
    assert shop.delivered == [Order(product="egg", count=12)]
    broker.assert_all_acked("orders")


async def test_what_fails_is_tried_again_after_an_hour_and_not_before(broker: Broker, shop: FlakyShop) -> None:
    shop.failures_left = 1
    broker.publish("", "orders", EGGS)
    await broker.settled()
    broker.assert_queue("orders.retry", ready=1)

    await broker.advance(minutes=59)
    assert not shop.delivered
    await broker.advance(minutes=1)
    await broker.settled()
    assert len(shop.delivered) == 1


async def test_what_fails_three_times_is_put_aside_with_its_history(broker: Broker, shop: FlakyShop) -> None:
    shop.failures_left = 3
    broker.publish("", "orders", EGGS)
    for _ in range(2):
        await broker.settled()
        await broker.advance(hours=1)
    await broker.settled()
    assert not shop.delivered
    assert [letter.reason for letter in broker.dead_lettered()] == ["rejected", "expired"] * 2
    broker.assert_queue("orders.failed", ready=1)
    assert broker.assert_published("", "orders.failed", headers={"tries": 3}).json() == EGGS


async def test_an_order_that_cannot_be_read_does_not_stop_the_others(broker: Broker, shop: FlakyShop) -> None:
    broker.publish("", "orders", {"product": "egg"})
    broker.publish("", "orders", EGGS)
    await broker.settled()
    assert len(shop.delivered) == 1


async def test_the_connection_breaks_before_the_acknowledgement(broker: Broker, shop: FlakyShop) -> None:
    with broker.faults.drop_connection(method="basic.ack", sent_by="client", times=1):
        broker.publish("", "orders", EGGS)
        await broker.wait_for(lambda broker: broker.acked("orders"))
    # Delivered twice: the shop had better know its orders.
    assert len(shop.delivered) == 2
