# SPDX-License-Identifier: Apache-2.0
"""What the shell offers at TAB: commands and options, and what the server has by name.

The shell's part is a few lines that ask `muster complete`. What a word stands for is known by the
name of the command's parameter. A server that does not answer within a second offers nothing.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.argument import Argument

from muster.cli.client import ApiError, Client

TIMEOUT = 1.0
MOST = 200

SCRIPTS = {
    "bash": """\
_muster() {
  local IFS=$'\\n'
  COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o bashdefault -o default -F _muster muster
""",
    "zsh": """\
#compdef muster
_muster() {
  local -a found
  found=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  [[ -n "${found[1]}" ]] && compadd -- "${found[@]}" || _files
}
compdef _muster muster
""",
    "fish": """\
complete -c muster -f -a '(muster complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
""",  # noqa: E501
}

# A parameter's name, and what it names; under `name` it is the first word of the command that says.
_KINDS = {
    "machine": "machines",
    "machines": "machines",
    "also": "machines",
    "goal": "machines",
    "keep": "machines",
    "tag": "tags",
    "pool": "pools",
    "script": "scripts",
    "scripts": "scripts",
    "test": "tests",
    "tests": "tests",
    "rule": "rules",
    "profile": "profiles",
    "host": "hosts",
    "id": "operations",
}
_ROOTS = {"machine": "machines", "tag": "tags", "rule": "rules", "profile": "profiles",
          "script": "scripts", "host": "hosts"}  # fmt: skip


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print what makes TAB complete: source <(muster completion bash).

    Parameters
    ----------
    shell
        bash: into ~/.bashrc: source <(muster completion bash);
        zsh: into ~/.zshrc, behind compinit: source <(muster completion zsh);
        fish: muster completion fish > ~/.config/fish/completions/muster.fish
    """
    print(SCRIPTS[shell], end="")


def complete(
    app: cyclopts.App, words: Annotated[Sequence[str], Parameter(allow_leading_hyphen=True)]
) -> None:
    """Print a line for each thing that the last of `words` can become."""
    *before, current = words or [""]
    # Whatever is wrong, a shell that waits for TAB is told nothing of it.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            found = sorted({one for one in candidates(app, before, current) if one})
        except (ApiError, SystemExit, cyclopts.CycloptsError):
            found = []
    print("\n".join(found))


def candidates(app: cyclopts.App, before: list[str], current: str) -> Iterator[str]:
    """Everything that begins with `current` behind the words `before`."""
    chain, apps, rest = app.parse_commands(before)
    node = apps[-1]
    if not rest and not current.startswith("-"):
        yield from (name for name in node if name.startswith(current) and name[0] != "-")
    if node.default_command is None:
        return
    arguments = list(node.assemble_argument_collection())
    chosen = _meant(arguments, rest)
    if current.startswith("-"):
        yield from (n for a in arguments for n in a.names if n.startswith("--" + current[2:]))
    elif chosen is not None:
        offered = list(chosen.get_choices() or ()) or list(
            _offered(chain, arguments, chosen, current)
        )
        yield from (name for name in offered if name.startswith(current))


def _meant(arguments: Sequence[Argument], rest: Sequence[str]) -> Argument | None:
    """What the word behind `rest` is a value of."""
    open_option: Argument | None = None
    place = 0
    for word in rest:
        option = next((a for a in arguments if word in a.names and word[0] == "-"), None)
        if option is not None:
            open_option = None if option.hint in (bool, bool | None) else option
        elif open_option is not None:
            # One value each; those that take several stay open.
            open_option = open_option if open_option.parameter.consume_multiple else None
        else:
            place += 1
    if open_option is not None:
        return open_option
    positional = sorted((a for a in arguments if a.index is not None), key=lambda a: a.index or 0)
    if place < len(positional):
        return positional[place]
    last = positional[-1] if positional else None
    return last if last and last.field_info.kind is last.field_info.VAR_POSITIONAL else None


def _offered(
    chain: Sequence[str], arguments: Sequence[Argument], chosen: Argument, current: str
) -> Iterator[str]:
    name = chosen.field_info.name
    if name == "more":
        # More of what comes before it.
        before = [
            a for a in arguments if a.index is not None and a.index == (chosen.index or 0) - 1
        ]
        name = before[0].field_info.name if before else name
    root = chain[0] if chain else ""
    kind = _ROOTS.get(root, "") if name == "name" else _KINDS.get(name, "")
    if name == "goal":
        yield from ("on", "off", "cycle")
    if kind:
        yield from _known(kind, current)


def _known(kind: str, current: str) -> Iterator[str]:
    """Names of things on the server, at most MOST of machines."""
    client = Client(timeout=TIMEOUT)
    if kind == "machines":
        # The page begins right before the first name that begins so.
        after = f"{current[:-1]}{chr(ord(current[-1]) - 1)}~" if current else ""
        page = client.get("/machines", fields="name", limit=MOST, after=after)
        yield from (one["name"] for one in page["items"])
    elif kind in ("scripts", "tests"):
        for one in client.get("/scripts", fields="name,script_type,tags"):
            if kind == "scripts" or one["script_type"] == "testing":
                yield from (one["name"], *(one["tags"] if kind == "tests" else ()))
    else:
        field = "id" if kind == "operations" else "name"
        yield from (one[field] for one in client.get(f"/{kind}", fields=field))
