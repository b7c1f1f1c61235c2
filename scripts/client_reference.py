"""Write docs/client-api.md from the client's docstrings: python -m scripts.client_reference

Reads the source and imports nothing, so that integrations need not have their frameworks.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import cleandoc
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "client" / "switchyard_client"
PAGE = ROOT / "docs" / "client-api.md"

HEAD = """# API reference of the client

Made of the docstrings by `python -m scripts.client_reference`; a test tells when it is out of date.
What the parts are for is told in [the client library](client.md) and the pages it leads to.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Entry:
    """One public name: a class, a function, or what a class has."""

    name: str
    signature: str
    text: str
    members: list["Entry"] = field(default_factory=list)

    @property
    def undocumented(self) -> list[str]:
        """The names here and below that say nothing about themselves."""
        own = [] if self.text else [self.name]
        return own + [f"{self.name}.{n}" for member in self.members for n in member.undocumented]


def main() -> int:
    PAGE.write_text(page())
    return 0


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for module, entries in modules().items():
        parts += [f"## {module}\n", *(_section(entry) for entry in entries)]
    return "\n".join(parts)


def modules() -> dict[str, list[Entry]]:
    """Every public module with its public names, in the order of the page."""
    found = {
        "switchyard_client": list(_exported()),
        "switchyard_client.testing": list(_public(PACKAGE / "testing.py")),
    }
    for file in sorted((PACKAGE / "integrations").glob("[!_]*.py")):
        found[f"switchyard_client.integrations.{file.stem}"] = list(_public(file))
    return found


def _exported() -> Iterator[Entry]:
    """What the package imports for its users, from the modules where it is."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            yield from _entries(PACKAGE / f"{node.module}.py", names)


def _public(file: Path) -> Iterator[Entry]:
    """What a module's `__all__` has."""
    return _entries(file, _all_of(file))


def _all_of(file: Path) -> set[str]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return set(names)
    raise ValueError(f"{file} has no __all__")


def _entries(file: Path, names: set[str]) -> Iterator[Entry]:
    body = ast.parse(file.read_text()).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef) and node.name in names:
            yield _class(node)
        elif isinstance(node, Function) and node.name in names:
            yield _function(node, is_method=False)
        elif (name := _name_of(node)) and name in names:
            yield Entry(name, name, _string(following))


def _class(node: ast.ClassDef) -> Entry:
    inits = [n for n in node.body if isinstance(n, Function) and n.name == "__init__"]
    arguments = _arguments(inits[0], is_method=True) if inits else None
    bases = [ast.unparse(base) for base in node.bases]
    signature = arguments or (f"({', '.join(bases)})" if bases else "")
    return Entry(node.name, f"class {node.name}{signature}", _text(node), list(_members(node)))


def _members(node: ast.ClassDef) -> Iterator[Entry]:
    overloaded = set()
    for member, following in zip(node.body, [*node.body[1:], None], strict=True):
        name = _name_of(member)
        if name is None or name.startswith("_") or name in overloaded:
            continue
        if isinstance(member, Function):
            if any(ast.unparse(decorator) == "overload" for decorator in member.decorator_list):
                continue
            overloaded.add(name)
            yield _function(member, is_method=True)
        else:
            yield Entry(name, _declared(member), _string(following))


def _name_of(node: ast.stmt) -> str | None:
    if isinstance(node, Function):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _declared(node: ast.stmt) -> str:
    return ast.unparse(node).replace("\n", " ")


def _function(node: Function, *, is_method: bool) -> Entry:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
        return Entry(node.name, f"{node.name}: {returns.removeprefix(' -> ')}", _text(node))
    begin = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    signature = f"{begin}{node.name}{_arguments(node, is_method=is_method)}{returns}"
    return Entry(node.name, signature, _text(node))


def _arguments(node: Function, *, is_method: bool) -> str:
    text = ast.unparse(node.args)
    return f"({re.sub(r'^(self|cls)(, )?', '', text) if is_method else text})"


def _text(node: ast.ClassDef | Function) -> str:
    return cleandoc(ast.get_docstring(node) or "")


def _string(node: ast.stmt | None) -> str:
    """The docstring of a field stands behind it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return cleandoc(str(node.value.value))
    return ""


def _section(entry: Entry) -> str:
    head = f"### {entry.name}\n\n`{entry.signature}`\n\n{_markdown(entry.text)}\n"
    items = [
        f"- `{member.signature}`{_indented(_markdown(member.text))}" for member in entry.members
    ]
    return "\n".join([head, *items, ""] if items else [head])


def _markdown(text: str) -> str:
    """Google's `Args:` as a list."""
    lines, in_arguments = [], False
    for line in text.splitlines():
        if line == "Args:":
            in_arguments = True
            lines.append("Arguments:\n")
        elif in_arguments and (found := re.match(r"    (\w[\w, ]*): (.*)", line)):
            names = ", ".join(f"`{name}`" for name in found[1].split(", "))
            lines.append(f"- {names}: {found[2]}")
        else:
            in_arguments = in_arguments and (not line or line.startswith("    "))
            lines.append(line.removeprefix("      ") if in_arguments else line)
    return "\n".join(lines)


def _indented(text: str) -> str:
    if not text:
        return ""
    lines = [f"  {line}" if line else "" for line in text.splitlines()]
    return "\n" + "\n".join(["", *lines, ""])


if __name__ == "__main__":
    sys.exit(main())
