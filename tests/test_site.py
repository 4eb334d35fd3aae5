"""What the site makes of pages: links of names, lists of tables where it is narrow, docstrings."""

import runpy
from pathlib import Path

import pytest

# They need Python 3.10.
pytest.importorskip("mkdocs")
pytest.importorskip("griffe")
HOOKS = runpy.run_path(str(Path(__file__).resolve().parent.parent / "docs" / "hooks.py"))


@pytest.mark.parametrize(
    "code, identifier",
    [
        ("PCABlock", "gluon_linalg.PCABlock"),
        ("PCABlock(k)", "gluon_linalg.PCABlock"),
        ("gl.fit(layer, x, y)", "gluon_linalg.fitting.fit.fit"),
        ("kernels.Categorical", "gluon_linalg.kernels.Categorical"),
        ("likelihoods.Categorical", "gluon_linalg.likelihoods.Categorical"),
        ("FitResult.summary", "gluon_linalg.fitting.result.FitResult.summary"),
        ("functional.lq", "gluon_linalg.functional.lq.lq"),
    ],
)
def test_names_lead_to_the_reference(code, identifier):
    part = f"<code>{code}</code>"
    page = HOOKS["_linked_names"](f"<p>See {part}.</p>", "")
    assert page.startswith(f'<p>See <autoref identifier="{identifier}"')
    assert page.endswith(f">{part}</autoref>.</p>")


def test_a_table_in_a_docstring_is_one_on_its_page():
    text = "====  =====\nnews  p(y | x)\n      and more\nlag   of x_t\n====  ====="
    rows = HOOKS["_markdown"](text).splitlines()[2:]
    assert rows == [r"| news | p(y \| x) and more |", r"| lag | of x\_t |"]


@pytest.mark.parametrize(
    "html",
    [
        "<code>Categorical</code>",  # a kernel, or a likelihood
        "<code>fit</code>",  # a method of many
        "<code>Trainer</code>",
        '<a href="x.html"><code>PCABlock</code></a>',
        "<h2><code>PCABlock</code></h2>",
        "<pre><code>PCABlock</code></pre>",
    ],
)
def test_what_is_no_name_of_one_thing_is_left(html):
    assert HOOKS["_linked_names"](html, "") == html


def test_a_page_may_leave_its_module_out():
    linked = HOOKS["_linked_names"]("<code>lq</code>", "functional.")
    assert 'identifier="gluon_linalg.functional.lq.lq"' in linked


def table(heads, rows):
    head = "".join(f"<th>{cell}</th>\n" for cell in heads)
    body = "".join(f"<tr>\n{''.join(f'<td>{c}</td>{chr(10)}' for c in row)}</tr>\n" for row in rows)
    return f"<table>\n<thead>\n<tr>\n{head}</tr>\n</thead>\n<tbody>\n{body}</tbody>\n</table>"


def listed(html):
    return HOOKS["on_page_content"](html, page=PAGE, config=None, files=None)


class PAGE:
    class file:
        src_uri = "page.md"


def test_cells_of_a_list_say_what_they_are():
    found = listed(table(["key", "type", "meaning"], [["a", "number", "Its size."]]))
    assert found.startswith('<div class="list"><table>')
    assert '<td data-label="type: ">number</td>' in found
    assert "<td>a</td>" in found and "<td>Its size.</td>" in found


def test_tables_of_numbers_stay_tables():
    numbers = table(["case", "value"], [["a long name of a case " * 5, "1.0"]])
    assert listed(numbers) == numbers
    assert 'class="list"' in listed(table(["case", "value"], [["a", "a sentence " * 9]]))


def test_nothing_in_a_docstring_is_markup():
    assert HOOKS["_escaped"]("m <= n, |a| * b_i, `x_i`") == r"m &lt;= n, \|a\| \* b\_i, `x_i`"
    made = HOOKS["_markdown"]("| a | b |\n|---|---|\n| 1 | 2 |")
    assert made == "```text\n| a | b |\n|---|---|\n| 1 | 2 |\n```"
