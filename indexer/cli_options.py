"""What the commands share: the session, the global options, the kinds of values."""

from __future__ import annotations

import contextlib
import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer import completion
from indexer.errors import UserError
from indexer.narration import Narrator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

DEFAULT_DB = "liquidations.duckdb"
FORMATS = ("table", "csv", "json", "parquet")


class Session:
    "What holds for the whole run: which database, how loud."

    def __init__(self) -> None:
        self.reset()

    def reset(self, db: str | None = None) -> None:
        "As it is before any option is read."
        self.db = db or DEFAULT_DB
        self.debug = False
        self.narrate = Narrator()

    @contextlib.contextmanager
    def store(self, *, writable: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        "The database, open while the block runs."
        from indexer import store

        connection = store.connect(self.db, read_only=not writable)
        try:
            yield connection
        finally:
            connection.close()


SESSION = Session()


def _set(_context: click.Context, option: click.Parameter, value: Any) -> None:  # noqa: ANN401 - any option's value
    "Take a global option from wherever it stands: before the command or after it."
    if value in (None, False):
        return
    if option.name == "quiet":
        SESSION.narrate.is_quiet = value
    else:
        setattr(SESSION, str(option.name), value)


def _global_options() -> list[click.Parameter]:
    shared: dict[str, Any] = {"expose_value": False, "callback": _set}
    return [
        click.Option(
            ["--db"],
            metavar="PATH",
            help=f"Database file; else INDEXER_DB, else {DEFAULT_DB}.",
            shell_complete=completion.file,
            **shared,
        ),
        click.Option(["--quiet"], is_flag=True, help="No narration on stderr.", **shared),
        click.Option(["--debug"], is_flag=True, help="A traceback where an error is reported.", **shared),
    ]


class Command(click.Command):
    "A command that takes the global options too."

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*arguments, **settings)
        self.params += _global_options()


class Group(click.Group):
    "A group whose commands take the global options."

    command_class = Command
    group_class = type

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(*arguments, **settings)
        self.params += _global_options()


class Instant(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    "A time in ISO 8601 as naive UTC."

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401
        "The time; a zone is converted, none means UTC."
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is not a time in ISO 8601, like 2025-10-10T21:00:00", param, ctx)
        return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


class BlockBound(click.ParamType):  # type: ignore[type-arg]
    "A block number, latest or finalized."

    name = "block"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:  # noqa: ANN401
        "The number, or the word."
        if value in {"latest", "finalized"}:
            return str(value)
        if not str(value).isdecimal():
            self.fail(f"{value} is neither a block number, latest nor finalized", param, ctx)
        return int(value)


def window(command: Callable[..., Any]) -> Callable[..., Any]:
    "The options --since and --until."
    until = click.option("--until", type=Instant(), metavar="T", help="End of the window (UTC), excluded.")
    since = click.option("--since", type=Instant(), metavar="T", help="Start of the window (UTC), included.")
    return since(until(command))


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    "The options --format and --output."

    @functools.wraps(command)
    def checked(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on as they are
        if options["form"] == "parquet" and options["output"] is None:
            raise UserError("parquet is not text; give --output FILE")
        return command(*arguments, **options)

    output = click.option(
        "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write here, not to stdout."
    )
    form = click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
    return form(output(checked))
