"""The command line."""

import click


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=5672)
@click.option("--profile", default="4.0")
def main(host: str, port: int, profile: str) -> None:
    """Run a broker."""
    import anyio
    from amqpy_broker import Broker
    import logging

    logging.basicConfig(level="INFO")

    async def serve() -> None:
        async with Broker(host=host, port=port, profile=profile) as broker:
            click.echo(f"amqpy-broker is ready at {broker.url}")
            await anyio.sleep_forever()

    anyio.run(serve, backend_options={"use_uvloop": True})
