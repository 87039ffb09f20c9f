"""What a shell offers after the tab key: read from file names and texts, so that it answers at once."""

from __future__ import annotations

import json
import os
import re
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING

from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from indexer import pack
from indexer.chains import CHAINS
from indexer.datasets import DATASETS
from indexer.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_INDEXER_COMPLETE"
HERE = Path(__file__).parent
VENUE = re.compile(r'Deployment\(\s*(?:venue=)?"(\w+)"')
MAJOR = ("BTC", "ETH", "SOL")
PROVIDERS = ("coinalyze", "coinglass")
# bash breaks words at `=` and hands over only what follows: what stands before it must not come back, and a name that
# still wants its value gets no blank behind it.
BASH = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" kind value
    local word="${line##*[[:space:]]}" before=""
    if [[ $COMP_WORDBREAKS == *=* ]]; then before="${word%%"${word##*=}"}"; fi
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("${value#"$before"}")
                if [[ $value == *= ]]; then compopt -o nospace; fi ;;
        esac
    done < <(env COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(ShellComplete):
    "Completion for bash 4.4 and later that knows NAME=VALUE."

    name = "bash"
    source_template = BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        "The words before the one under the cursor, and that one; the shell hands over the line as it is typed."
        line = os.environ["COMP_WORDS"]
        words = list(dropwhile(lambda word: "=" in word, split_arg_string(line)))[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        "One line an item: its kind, its value."
        return f"{item.type},{item.value}"


def script(shell: str, command: click.Command, program: str) -> str:
    "What `shell` (bash, zsh, fish) must read once to complete `program`."
    register()
    kind = get_completion_class(shell)
    if kind is None:
        raise UserError(f"{shell}: no completion for this shell; choose one of {', '.join(SHELLS)}")
    return kind(command, {}, program, VARIABLE).source()


def register() -> None:
    "Have our bash in the place of click's, which takes NAME=VALUE for three words."
    add_completion_class(Bash)


def questions(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "Names of the pack; those of a theme once its name is begun, a file's own name where that is begun."
    named = pack.find()
    full = {name: one.title for name, one in named.items()}
    short = {name.split("/")[1]: one.title for name, one in named.items()}
    return offered(full, incomplete) or offered(short, incomplete)


def assignments(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "NAME= of the question's parameters that have no value yet, or the values of NAME= where they are few."
    try:  # a word before an option without its value is not read as the argument yet
        known = pack.named(context.params.get("name") or next(iter(context.args), "")).parameters
    except UserError:
        known = {name: each for one in pack.find().values() for name, each in one.parameters.items()}
    name, equals, begun = incomplete.partition("=")
    if equals:
        return values_of(name, begun) if name in known else []
    taken = {given.partition("=")[0] for given in context.params.get("assignments") or ()}
    return offered({f"{one}=": each.help for one, each in known.items() if one not in taken}, incomplete)


def values_of(name: str, begun: str) -> list[CompletionItem]:
    "Items NAME=VALUE; of a list the last member is completed and no member is offered twice."
    if name in pack.CHOICES:
        return offered([f"{name}={one}" for one in pack.CHOICES[name]], f"{name}={begun}")
    lists: dict[str, Callable[[], Iterable[str]]] = {"venues": venue_names, "assets": asset_names}
    if name in lists:
        *before, _ = begun.split(",")
        head = "".join(f"{one}," for one in before)
        return offered([f"{name}={head}{one}" for one in lists[name]() if one not in before], f"{name}={begun}")
    if name == "reference_asset":
        return offered([f"{name}={one}" for one in asset_names()], f"{name}={begun}")
    return []


def chains(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "Slugs of the chains that are known."
    return offered(sorted(CHAINS), incomplete)


def protocols(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "Decoders: a module each."
    return offered(modules("protocols"), incomplete)


def exchanges(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "Centralised venues: a module each; providers of buckets where files can be read."
    providers = (
        PROVIDERS if context.info_name == "cefi" and "files" in {one.name for one in context.command.params} else ()
    )
    return offered([*modules("venues"), *providers], incomplete)


def tables(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "Tables that leave as files."
    return offered(list(DATASETS), incomplete)


def file(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    "A file: the shell completes it."
    return [CompletionItem(incomplete, type="file")]


def offered(names: Iterable[str] | dict[str, str], incomplete: str) -> list[CompletionItem]:
    "An item for each name that begins so, with its help where `names` has one."
    helps = names if isinstance(names, dict) else dict.fromkeys(names)
    return [CompletionItem(name, help=text) for name, text in helps.items() if name.startswith(incomplete)]


def modules(folder: str) -> list[str]:
    "Names of the modules in a folder of the package."
    return sorted(path.stem for path in (HERE / folder).glob("*.py") if path.stem != "__init__")


def venue_names() -> list[str]:
    "Every built-in venue: forks by their own name, Hyperliquid, exchanges."
    declared = (path.read_text() for path in (HERE / "protocols").glob("*.py"))
    forks = {name for text in declared for name in VENUE.findall(text)}
    return sorted(forks | {"hyperliquid"} | set(modules("venues")))


def asset_names() -> list[str]:
    "Canonical assets of the built-in tokens, the most traded first."
    table = json.loads((HERE / "data" / "tokens.json").read_text())
    at = table["columns"].index("asset")
    known = {str(row[at]) for rows in table["rows"].values() for row in rows if row[at] is not None}
    return [*MAJOR, *sorted(known - set(MAJOR))]
