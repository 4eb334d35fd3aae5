"""The command: python -m benchmarks --help"""

import fnmatch
import sys
import time
from pathlib import Path
from typing import List, Optional, Sequence

import click

from . import environments, measure, page, rates, results
from .case import Case
from .catalogue import all_cases

FOLDER = click.option(
    "--environments",
    "folder",
    type=click.Path(path_type=Path),
    default=environments.default_folder,
    show_default="~/.cache/gluon_linalg_benchmarks, or $GLUON_LINALG_BENCHMARKS",
    help="Where the peers' environments are.",
)
OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for results.json and benchmarks.md  [default: those of the repository]",
)


@click.group()
def main() -> None:
    """Times this package beside other libraries, in turns, after comparing results."""


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(environments.names()))
@click.option("--python", default=sys.executable, help="The Python of the environments.")
@FOLDER
def setup(names: Sequence[str], python: str, folder: Path) -> None:
    """Installs the peers, each in an environment of its own, with pinned versions."""
    for name in names or environments.names():
        click.echo(f"{name}: {folder / name}")
        environments.set_up(name, folder, python)


@main.command("list")
@click.argument("names", nargs=-1)
def listed(names: Sequence[str]) -> None:
    """Shows the cases, or those of these names: patterns such as 'kalman/*' or 'linalg'."""
    for case in chosen(names, slow=True):
        note = ", slow" if case.slow else ""
        click.echo(f"{case.name}  [{', '.join(one.label for one in case.contenders)}{note}]")


@main.command()
@click.argument("names", nargs=-1)
@click.option("--threads", multiple=True, type=int, default=(1, 2), show_default=True)
@click.option("--turns", type=click.IntRange(1), default=15, show_default=True, help="At most.")
@click.option("--only", multiple=True, help="Contenders whose names begin so.")
@click.option("--slow", is_flag=True, help="Also the cases that take long.")
@FOLDER
@OUTPUT
def run(
    names: Sequence[str],
    threads: Sequence[int],
    turns: int,
    only: Sequence[str],
    slow: bool,
    folder: Path,
    output: Optional[Path],
) -> None:
    """Runs all cases, or those of these names, and writes their rows; others are kept.

    A case that is named in full is run also if it is slow.
    """
    known, failed, limits = results.of_folder(output), 0, {}
    names_of_all = [case.name for case in all_cases()]
    for case in chosen(names, slow):
        for count in sorted(set(threads) & set(case.threads)):
            if count not in limits:
                limits[count] = rates.measure(count, folder)
                known.put_rates(count, limits[count], measure.taken())
            begin = time.monotonic()
            row = measure.measure(
                case,
                count,
                turns,
                folder,
                limits[count],
                lambda label: not only or label.startswith(tuple(only)),
            )
            row["seconds"] = time.monotonic() - begin
            failed += any("failed" in one for one in (row, *row["contenders"].values()))
            known.put(row)
            known.write()
            page.update(known, names_of_all, output)
            click.echo("\n".join(page.told(row)))
    if failed:
        raise click.ClickException(f"{failed} rows failed, or a contender in them")


@main.command("page")
@click.option("--check", is_flag=True, help="Only compare with the page; the status tells.")
def filled(check: bool) -> None:
    """Fills the tables of docs/benchmarks.md in from benchmarks/results.json."""
    known, names = results.of_folder(None), [case.name for case in all_cases()]
    if check:
        sys.exit(page.is_stale(known, names))
    page.update(known, names, None)


def chosen(names: Sequence[str], slow: bool) -> List[Case]:
    """The cases of these names, all without. Raises click.BadParameter for one that is none's."""
    cases, found = all_cases(), []
    for name in names:
        patterns = (name, f"{name}/*", f"{name}*" if name.endswith("/") else name)
        if not any(fnmatch.fnmatch(case.name, p) for case in cases for p in patterns):
            raise click.BadParameter(f"no case is called {name!r}; see `python -m benchmarks list`")
        found += patterns
    return [
        case
        for case in cases
        if (slow or not case.slow or case.name in names)
        and (not names or any(fnmatch.fnmatch(case.name, pattern) for pattern in found))
    ]


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
