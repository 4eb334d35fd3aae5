"""What `mkdocs` needs to know of this project.

Files beside `docs/` that are pages, links from them and to files that are none, notebooks as pages,
and docstrings, which are plain text, as Markdown.
"""

import base64
import json
import re
from html import escape
from pathlib import Path
from typing import Any, Dict, Iterator, List

from griffe import Alias, Extension, Object
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages whose files are in other places, for the sake of GitHub.
BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# Of names that were.
UNLINKED = {"changelog.md"}
# A cell of so many characters has a sentence.
LONG = 60
LINK = re.compile(r"\[([^][]*)\]\(([^()\s:#]+)(#[^()\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in BESIDE.items():
        files.append(File.generated(config, page, content=_moved(ROOT / source)))
    for path in sorted(Path(config.docs_dir).glob("notebooks/*.ipynb")):
        files.remove(files.src_uris[f"notebooks/{path.name}"])
        for name, content in _pages_of(path):
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to what is a page in another place lead there; those to files that are no pages end."""
    folder = Path(page.file.src_uri).parent
    if '<div class="pair"' in markdown:
        # Code beside code needs the place of the contents.
        page.meta["hide"] = ["toc"]

    def linked(found):
        text, target, anchor = found.groups()
        path = (Path(config.docs_dir, folder) / target).resolve()
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
        up = "../" * len(folder.parts)
        if name in BESIDE:
            return f"[{text}]({up}{BESIDE[name]}{anchor or ''})"
        inside = path.is_relative_to(config.docs_dir)
        if inside and path.suffix == ".ipynb":
            return f"[{text}]({target[:-6]}.md{anchor or ''})"
        return text if name and path.exists() and not inside else found[0]

    # Python-Markdown keeps the backslash that GitHub's tables need in code.
    cells = re.sub(r"`[^`\n|]*\\\|[^`\n]*`", lambda code: code[0].replace("\\|", "|"), markdown)
    return LINK.sub(linked, cells)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    content = re.sub(r"<table>.*?</table>", _listed, html, flags=re.DOTALL)
    if page.file.src_uri in UNLINKED:
        return content
    return _linked_names(content, "functional." * (page.file.src_uri == "api/functional.md"))


def _listed(found: Any) -> str:
    """A table of sentences is a list where there is no room for it: cells say what they are."""
    table = found[0]
    # Numbers below each other stay a table, however long the names of the rows are.
    cells = re.findall(r"</td>\s*<td[^>]*>(.*?)(?=</td>)", table, re.DOTALL)
    heads = [re.sub(r"<[^>]*>", "", head) for head in re.findall(r"<th[^>]*>(.*?)</th>", table)]
    longest = max(len(re.sub(r"<[^>]*>", "", cell)) for cell in cells)
    if heads[0] != "key" and longest < LONG:
        return table
    # The meaning of a key needs no label, and one column beside the first none either.
    labels = ["" if head == "meaning" or len(heads) < 3 else head for head in heads]
    labels[0] = ""

    def row(cells):
        parts = cells[0].split("<td")
        return parts[0] + "".join(
            f'<td data-label="{label}: "{part}' if label else f"<td{part}"
            for label, part in zip(labels, parts[1:])
        )

    body = re.sub(r"<tr>(?:(?!</tr>).)*<td.*?</tr>", row, table, flags=re.DOTALL)
    return f'<div class="list">{body}</div>'


def _moved(path: Path) -> str:
    """A page of the top folder, its links seen from docs/."""

    def linked(found):
        text, target, anchor = found.groups()
        inside = target.startswith("docs/")
        return f"[{text}]({target[5:] if inside else '../' + target}{anchor or ''})"

    text = path.read_text(encoding="utf-8")
    # An image inside a link is rewritten with the link around it.
    return re.sub(r"\]\(docs/", "](", LINK.sub(linked, text))


def _pages_of(path: Path) -> Iterator[Any]:
    """A notebook as Markdown, and the pictures in it."""
    parts: List[str] = []
    pictures = 0
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                name = f"{path.stem}_{pictures}.png"
                yield name, base64.b64decode(data["image/png"])
                parts.append(f"![{path.stem}]({name})")
            else:
                text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
                parts.append(f"``` {{ .text .output }}\n{text}\n```")
    yield f"{path.stem}.md", "\n\n".join(parts)


class PlainDocstrings(Extension):
    """Docstrings as Markdown: equations and examples as they stand, all else as plain text."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if not isinstance(obj, Alias) and obj.docstring is not None:
            obj.docstring.value = _markdown(obj.docstring.value)


def _markdown(text: str) -> str:
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text.strip("\n")))


def _paragraph(text: str) -> str:
    if text.lstrip().startswith(">>>"):
        return f"```pycon\n{text}\n```"
    if RULE.fullmatch(text.splitlines()[0]):
        return _table(text.splitlines())
    done: List[str] = []
    inside = False
    for line in text.splitlines():
        # An equation is indented, or has more than one space between its parts; a table has bars.
        equation = line.startswith(("    ", "|")) or "  " in line.strip()
        if equation != inside:
            done.append("```text" if equation else "```")
        inside = equation
        done.append(line if equation else _escaped(line))
    return "\n".join([*done, "```"] if inside else done)


# The first line, and the last, of a table of two columns.
RULE = re.compile(r"=+  +=+")


def _table(lines: List[str]) -> str:
    """A table between two rules; a line without a first cell goes on with that before it."""
    begin = lines[0].rindex(" ") + 1
    rows: List[List[str]] = []
    for line in lines[1:-1]:
        name, text = line[:begin].strip(), _escaped(line[begin:].strip())
        if name:
            rows.append([_escaped(name), text])
        else:
            rows[-1][1] += f" {text}"
    return "\n".join(["|  |  |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _shown() -> Dict[str, str]:
    """Names as prose has them, and where the reference has these."""
    pages = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/api/*.md"))
    names: Dict[str, str] = {}
    several = set()
    for path in re.findall(r"^::: (\S+)$", pages, re.MULTILINE):
        *modules, name = path.split(".")
        if "functional" in modules:
            names[f"functional.{name}"] = path
            continue
        for prefix in ("gl.", "gluon_linalg.", f"{modules[-1]}."):
            names.setdefault(prefix + name, path)
        if name[0].isupper():
            several.update({name} & set(names))
            names[name] = path
    # A name of two things is none of them without its module.
    return {name: path for name, path in names.items() if name not in several}


SHOWN = _shown()
# What has links of its own, or should have none; code of one line; errors in docstrings.
PARTS = re.compile(
    r"(<pre.*?</pre>|<a .*?</a>|<autoref.*?</autoref>|<h\d.*?</h\d>|<code>[^<]*</code>"
    r"|\b[A-Z]\w+Error\b)",
    re.DOTALL,
)
NAME = re.compile(r"(?:<code>)?([\w.]+?)(\.[a-z_]+)?(?:\(.*\))?(?:</code>)?")


def _linked_names(page: str, prefix: str) -> str:
    """Names of the reference lead there; the prefix is what this page leaves out."""
    parts = PARTS.split(page)
    parts[1::2] = (_linked_name(part, prefix) for part in parts[1::2])
    return "".join(parts)


def _linked_name(part: str, prefix: str) -> str:
    found = NAME.fullmatch(part)
    if not found:
        return part
    name, method = found.groups(default="")
    if prefix + name in SHOWN:
        name = prefix + name
    if name + method in SHOWN:
        identifier, optional = SHOWN[name + method], ""
    elif name in SHOWN:
        identifier, optional = SHOWN[name] + method, " optional"
    else:
        return part
    return f'<autoref identifier="{identifier}"{optional}>{part}</autoref>'


def _escaped(line: str) -> str:
    """Nothing in a line of prose is markup."""
    parts = re.split(r"(``[^`]+``|`[^`]+`)", line)
    parts[::2] = [
        re.sub(r"([\\*_\[\]#|])", r"\\\1", escape(part, quote=False)) for part in parts[::2]
    ]
    return re.sub(r"^(\d+)\.", r"\1\\.", re.sub(r"^([-+])", r"\\\1", "".join(parts)))
