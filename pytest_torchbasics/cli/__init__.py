"""The `torchbasics` commands: one file each, imported when it is used. A new command is a new file."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from typing import Any

import click

from .. import __version__


class Commands(click.Group):
    """Finds each command in the file of its name; files that begin with an underscore are none."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what nobody expected ends with 2, an interrupt with 4: 1 is a gate's alone."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("torchbasics: exit 4: it was interrupted", err=True)
            raise SystemExit(4) from None
        except Exception as error:
            click.echo(traceback.format_exc(), err=True)
            click.echo(f"torchbasics: exit 2: unexpected {type(error).__name__}; please report it", err=True)
            raise SystemExit(2) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, by the names of their files."""
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a file."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(f".{cmd_name}", __name__).command
        assert isinstance(found, click.Command)
        return found


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 nothing gated, 1 gated, 2 usage, unreadable or no matching data, 3 not comparable, "
    "4 the run is incomplete.",
)
@click.version_option(__version__, prog_name="torchbasics")
def main() -> None:
    """Show and compare what pytest-torchbasics measured."""
