"""How the documentation is built: `make docs`, where a warning is an error."""

from __future__ import annotations

import inspect
import pkgutil
import re
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import qstore_core
from qstore_core.scaffold import KINDS, make_plugin
from qstore_core.testing.runner import checks_of

project = "qstore"
author = "qstore contributors"
release = qstore_core.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"qstore {release}"

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "literal"  # docstrings are written as in Markdown: `this` is code
suppress_warnings = ["ref.python"]  # short names of types that several modules have

_CODE = re.compile(r"(`[^`]*`)")


def _escaped(lines: Sequence[str]) -> list[str]:
    """Prose whose stars, bars and trailing underscores mean themselves; code in it may go over several lines."""
    parts = _CODE.split("\n".join(lines))
    plain = [re.sub(r"([*|])|(?<=\w)(_)(?=\W|$)", r"\\\1\2", part) for part in parts[::2]]
    plain[1:] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in plain[1:]]  # the s of `Parameter`s
    return "".join(part for pair in zip(plain, [*parts[1::2], ""], strict=True) for part in pair).split("\n")


def _prepared(lines: Sequence[str]) -> Iterator[str]:
    """A docstring's lines as reStructuredText: prose escaped, indented blocks as literal ones, doctests as they are."""
    before = ""
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        block = list(group)
        if blank or block[0].lstrip().startswith(">>>"):
            yield from block
            continue
        if block[0].startswith("    ") and before and not before.startswith("    "):
            yield from ("::", "", *block)
            continue
        before = block[-1] if not block[0].startswith("    ") else before
        yield from _escaped(block)


def _prepare(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "property"):  # napoleon takes what stands before a colon for a type
        lines[:] = [line.replace(": ", " \N{EN DASH} ") for line in lines]
    lines[:] = list(_prepared(lines))


class Suite(SphinxDirective):
    """`{suite} module.Class`: the checks of a suite, from its docstrings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A list with a line for each check."""
        suite = pkgutil.resolve_name(self.arguments[0])()
        text = [
            f"- **{name.removeprefix('test_').replace('_', ' ')}.** {_about(check)}" for name, check in checks_of(suite)
        ]
        return self.parse_text_to_nodes("\n".join(text))


class TemplateFile(SphinxDirective):
    """`{template} kind/file.py`: a file that `qstore new-plugin mine` would write."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The file as code."""
        kind, _, file = self.arguments[0].partition("/")
        with tempfile.TemporaryDirectory() as folder:
            made = make_plugin("mine", kind, Path(folder))
            text = (made / "qstore_mine" / f"{KINDS[kind].module}.py").read_text(encoding="utf-8")
        assert file == "implementation.py"
        return [nodes.literal_block(text, text, language="python")]


def _about(check: Any) -> str:
    return (inspect.getdoc(check) or "").partition("\n")[0]


def setup(app: Any) -> None:
    """Prepare docstrings before napoleon reads their sections; add the directives."""
    app.connect("autodoc-process-docstring", _prepare, priority=100)
    app.add_directive("suite", Suite)
    app.add_directive("template", TemplateFile)
