"""Orders with FastStream: what fails is tried again after an hour, and put aside after three times."""

from typing import Annotated, Final, Protocol

from faststream import AckPolicy, Context, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue, RabbitRouter
from pydantic import BaseModel

RETRY_AFTER_MS: Final = 3_600_000
TRIES_MAX: Final = 3

ORDERS: Final = RabbitQueue(
    "orders",
    durable=True,
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders.retry"},
)
# Nobody consumes here: what has waited for an hour returns to the orders.
RETRY: Final = RabbitQueue(
    "orders.retry",
    durable=True,
    arguments={
        "x-message-ttl": RETRY_AFTER_MS,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "orders",
    },
)
FAILED: Final = RabbitQueue("orders.failed", durable=True)


class Order(BaseModel):
    product: str
    count: int


class Shop(Protocol):
    """Where orders go."""

    async def deliver(self, order: Order) -> None:
        """Deliver it, or raise."""


router = RabbitRouter()


@router.subscriber(ORDERS, ack_policy=AckPolicy.REJECT_ON_ERROR)
async def handle(order: Order, message: RabbitMessage, shop: Annotated[Shop, Context()]) -> None:
    try:
        await shop.deliver(order)
    except ConnectionError:
        if _tries(message) < TRIES_MAX:
            raise
        await failed.publish(order, headers={"tries": TRIES_MAX}, persist=True)


failed = router.publisher(FAILED)


def _tries(message: RabbitMessage) -> int:
    """Count this try and those before it."""
    deaths = message.headers.get("x-death", [])
    return 1 + sum(death["count"] for death in deaths if death["queue"] == ORDERS.name)


def make_app(url: str, shop: Shop) -> FastStream:
    """Make the app. It declares its queues when it starts."""
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=10), reconnect_interval=0.01)
    broker.include_router(router)
    app = FastStream(broker)
    app.context.set_global("shop", shop)

    @app.on_startup
    async def declare() -> None:
        await broker.connect()
        await broker.declare_queue(RETRY)
        await broker.declare_queue(FAILED)

    return app
