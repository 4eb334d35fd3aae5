"""Runs the scripts of docs/notebooks and writes notebooks with their outputs, and their pictures.

    python docs/make_notebooks.py [NAME ...]

A script has cells in the percent format (jupytext) and runs as a program, too. The last picture of
each becomes docs/images/NAME.png, for the pages. Needs the extra `docs`.
"""

import base64
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parent


def make(script: Path) -> None:
    notebook = jupytext.read(script)
    # Of Python alone, whatever the kernel of this machine is called.
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": script.parent}}).execute()
    pictures = []
    for number, cell in enumerate(notebook.cells):
        # What differs from run to run says nothing.
        cell.id = f"{script.stem}-{number}"
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            pictures += [
                one.data["image/png"] for one in cell.outputs if "image/png" in one.get("data", {})
            ]
    notebook.metadata = {"language_info": {"name": "python"}, **notebook.metadata}
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    if pictures:
        (DOCS / "images" / f"{script.stem}.png").write_bytes(base64.b64decode(pictures[-1]))


if __name__ == "__main__":
    for path in sorted((DOCS / "notebooks").glob("*.py")):
        if path.stem in sys.argv[1:] or not sys.argv[1:]:
            print(path.stem, flush=True)
            make(path)
