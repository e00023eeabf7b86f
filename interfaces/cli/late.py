"""Commands whose modules are imported when they are called, so that `billing --help` is quick."""

from typing import Any

import typer
from typer.core import TyperCommand
from typing_extensions import override


class Late(TyperCommand):
    """Stands for a command in the list of commands, where its name and its line are enough.

    What is registered is a function without parameters, which imports the module and returns the
    app of the command, or one that has the command under its name; the function's docstring is
    the line.
    """

    def load(self) -> Any:
        """The command itself, or the group of it."""
        if self.callback is None:
            raise TypeError(f"{self.name}: a function that imports it is needed")
        app: typer.Typer = self.callback()
        command: Any = typer.main.get_command(app)
        return getattr(command, "commands", {}).get(self.name, command)

    @override
    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the arguments as the command itself does, which is then the one that is run."""
        return self.load().make_context(info_name, args, parent, **extra)
