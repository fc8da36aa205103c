"""The command's frame: one-line errors, and subcommands that are imported when they are asked for."""

import importlib
import sys
from typing import Any, Final, NoReturn

import click

# Each is a module of this package, with a click command of the same name.
LAZY_COMMANDS: Final = frozenset(("proxy", "store", "trace"))


class CommandGroup(click.Group):
    """Says what is wrong with an option or the file in one line, and where it was said."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all subcommands."""
        return sorted({*super().list_commands(ctx), *LAZY_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a subcommand; a start of the broker must not pay for importing the others."""
        if cmd_name not in LAZY_COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(f"amqpy_broker.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run as a command."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as failure:
            fail(failure.format_message().rstrip(".") + _said_in(failure), failure.exit_code)
        except click.Abort:
            fail("aborted")
        sys.exit(code)


def fail(text: str, code: int = 1) -> NoReturn:
    """Say in one line what is wrong, and exit."""
    click.echo(f"amqpy-broker: {text}", err=True)
    raise SystemExit(code)


def _said_in(failure: click.ClickException) -> str:
    context, parameter = getattr(failure, "ctx", None), getattr(failure, "param", None)
    if context is None or parameter is None:
        return ""
    source = context.get_parameter_source(parameter.name)
    if source is click.core.ParameterSource.DEFAULT_MAP:
        return f" (said in {context.params['config'].path})"
    if source is click.core.ParameterSource.ENVIRONMENT:
        return f" (said in {context.auto_envvar_prefix}_{parameter.name.upper()})"
    return ""
