"""The command line: parse, call, print; every heavy import stands inside its command."""

from __future__ import annotations

import gc
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from indexer import __version__, completion, interrupts
from indexer.cli_backfill import backfill, follow
from indexer.cli_options import SESSION, Group, output_options, window
from indexer.errors import IndexerError, NoEndpoint, UserError

STAYS = "interrupted; what was committed stays"


@click.group(cls=Group, no_args_is_help=True, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(__version__, prog_name="indexer")
def cli() -> None:
    "Index liquidations of DeFi protocols, Hyperliquid and exchanges into one DuckDB file, and ask it."


cli.add_command(backfill)
cli.add_command(follow)


@cli.command()
def price() -> None:
    "Value what is unvalued from the stored prices."
    from indexer.backfill import price as value

    with SESSION.store(writable=True) as connection:
        value(connection, SESSION.narrate)


@cli.command()
def redecode() -> None:
    "Decode again from the stored raw logs and records, without any network."
    from indexer import cefi
    from indexer.backfill import redecode as decode_again
    from indexer.hyperliquid import again

    with SESSION.store(writable=True) as connection:
        decode_again(connection, SESSION.narrate)
        cefi.redecode(connection, SESSION.narrate)
        again.redecode(connection, SESSION.narrate)


@cli.command(add_help_option=False)
@click.argument("name", required=False, shell_complete=completion.questions)
@click.option(
    "-p", "assignments", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; repeatable.",
    shell_complete=completion.assignments,
)  # fmt: skip
@output_options
@click.option("--help", "-h", "wants_help", is_flag=True, help="Parameters and columns of NAME, or this text.")
@click.pass_context
def query(
    ctx: click.Context,
    name: str | None,
    assignments: tuple[str, ...],
    form: str,
    output: Path | None,
    *,
    wants_help: bool,
) -> None:
    "Answer a question of the pack; without NAME, list them."
    from indexer import pack, query_text

    if name is None or wants_help:
        listed = ctx.get_help() if wants_help and name is None else query_text.listing(pack.find())
        click.echo(listed if name is None else query_text.described(pack.named(name)))
        return
    from indexer import query as answers
    from indexer import query_coverage, query_format

    question, values = pack.named(name), query_text.values(assignments)
    with SESSION.store() as connection:
        answer = answers.run(connection, question, values)
        for line in query_coverage.narrate(connection, question, values):
            SESSION.narrate(line)
        query_format.write(answer, form, sys.stdout, output)


@cli.command()
@click.argument("statement", metavar="SELECT")
@output_options
def sql(statement: str, form: str, output: Path | None) -> None:
    "Rows of one SELECT; nothing can be changed."
    from indexer import adhoc, query_format

    with SESSION.store() as connection:
        query_format.write(adhoc.run(connection, statement), form, sys.stdout, output)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--dataset", "names", multiple=True, metavar="NAME", help="Only this table; repeatable.",
    shell_complete=completion.tables,
)  # fmt: skip
@window
def export(directory: Path, names: tuple[str, ...], since: datetime | None, until: datetime | None) -> None:
    "Write Parquet, partitioned, with a manifest."
    from indexer import export as parquet

    with SESSION.store() as connection:
        parquet.write(connection, directory, SESSION.narrate, names, (since, until))


@cli.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
def import_files(paths: tuple[Path, ...]) -> None:
    "Store exported Parquet, or CSV with the same columns: all of it, or nothing."
    from indexer import imports

    with SESSION.store(writable=True) as connection:
        imports.load(connection, paths, SESSION.narrate)


@cli.command()
@click.argument("out", required=False, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html")
@window
@click.option("-p", "assignments", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; repeatable.")
@click.option(
    "--png", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Each picture as DIR/NAME.png."
)
@click.option("--terminal", "is_printed", is_flag=True, help="Print the pictures here.")
def report(
    out: Path | None,
    since: datetime | None,
    until: datetime | None,
    assignments: tuple[str, ...],
    png: Path | None,
    *,
    is_printed: bool,
) -> None:
    "The liquidation report: pictures and numbers of a window, as one HTML file, as PNG files, or here."
    from indexer import query_text
    from indexer.report.write import report as write

    if out is None and png is None and not is_printed:
        raise UserError("nowhere to write: give FILE.html, --png DIR or --terminal")
    stream = sys.stdout if is_printed else None
    with SESSION.store() as connection:
        write(connection, out, SESSION.narrate, (since, until), query_text.values(assignments), png, stream)


@cli.command()
def status() -> None:
    "What is covered and what is not, how complete it is, how far behind."
    from indexer import status as state

    with SESSION.store() as connection:
        click.echo(state.text(connection, SESSION.db, datetime.now(UTC).replace(tzinfo=None)))


@cli.command()
def verify() -> int:
    "Audit the stored rows: nothing counted twice, exact, covered."
    from indexer import audit

    with SESSION.store() as connection:
        checks = list(audit.run(connection))
    click.echo("\n".join(map(str, checks)))
    return int(any(check.is_failed for check in checks))


@cli.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"), show_default=True)
def demo(out: Path) -> int:
    "The whole job on recorded input, offline, in seconds."
    from indexer import demo as show

    return show.run(out, SESSION.narrate)


@cli.command("completion")
@click.argument("shell", type=click.Choice(completion.SHELLS))
def completion_script(shell: str) -> None:
    r"""Print what a shell needs to complete commands, questions, their parameters, chains, protocols and venues.

    \b
    bash   eval "$(indexer completion bash)"      in ~/.bashrc
    zsh    eval "$(indexer completion zsh)"       in ~/.zshrc, after compinit
    fish   indexer completion fish > ~/.config/fish/completions/indexer.fish
    """
    click.echo(completion.script(shell, cli, "indexer"), nl=False)


def main() -> None:
    "Run the command line; the exit code says what became of it."
    SESSION.reset(os.environ.get("INDEXER_DB"))
    if completion.VARIABLE in os.environ:
        completion.register()
    try:
        with interrupts.heeded(STAYS):
            code = cli.main(prog_name="indexer", standalone_mode=False)
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (KeyboardInterrupt, click.Abort):
        code = _report(STAYS, interrupts.EXIT_CODE)
    except Exception as error:
        if SESSION.debug:
            raise
        code = _report(*_told(error))
    finally:
        SESSION.narrate.close()
    gc.freeze()  # Python walks all that is left when it ends, for nothing
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: Exception) -> tuple[str, int]:
    "An error as one line and its exit code."
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message(), 2
    if isinstance(error, click.UsageError):
        asked = error.ctx.command_path if error.ctx else "indexer"
        return f"{error.format_message().rstrip('.')}; see `{asked} --help`", 2
    if isinstance(error, UserError | click.ClickException):
        return str(error), 2
    if isinstance(error, NoEndpoint):
        return str(error), 3
    if isinstance(error, IndexerError):
        return str(error), 1
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; choose another place or mend this one", 1
    if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
        return STAYS, interrupts.EXIT_CODE
    engine = sys.modules.get("duckdb")
    if engine is not None and isinstance(error, engine.Error):
        from indexer import store

        return store.explain(SESSION.db, error), 1
    return f"{type(error).__name__}: {error} (a mistake of ours: run again with --debug and report it)", 1


def _report(line: str, code: int) -> int:
    click.echo(f"indexer: {line}" if code != interrupts.EXIT_CODE else line, err=True)
    return code


if __name__ == "__main__":
    main()
