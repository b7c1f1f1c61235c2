"""YAML as a configuration file means it: plain data, bounded, every key once. Pure.

Read from the parser's events, so nothing is built before its bounds are checked: aliases count for
as much as they stand for, and a file cannot name a type to construct.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from app.core import strict_json

MAX_DEPTH = strict_json.MAX_DEPTH + 8  # what REST takes as metadata stands deeper in a document
MAX_NODES = 1_000_000
PLAIN = "tag:yaml.org,2002:"
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def loads(body: bytes) -> Any:
    """Parse a document of text, numbers, true, false, null, lists and mappings.

    Raises ValueError, naming the line: on anything but one UTF-8 document, duplicate keys, keys
    that are no text, tags, deep nesting, aliases that blow up, NaN, infinity, null characters.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("The file is not UTF-8.") from None
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ValueError(f"Not YAML: {error.problem} (line {line}).") from None
    except yaml.YAMLError:
        raise ValueError("Not YAML: it contains a control character.") from None
    return builder.document


def dumps(document: Any) -> str:
    """The same data as YAML, in the order it has, texts of several lines as blocks."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    return text


class _Dumper(yaml.SafeDumper):
    """No aliases: every item of the file can be read, and changed, for itself.

    libyaml's dumper is twice as fast, but writes a prompt with an emoji as one escaped line.
    """

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    """A block for prompts, so that a diff of the file shows the line that changed."""
    lines = text.split("\n")
    if not all(line.isprintable() for line in lines):
        style: str | None = '"'  # escapes, for some line breaks would be read as others
    elif len(lines) > 1 and not text[0].isspace() and all(it == it.rstrip() for it in lines):
        style = "|"
    else:
        style = None
    return dumper.represent_scalar(f"{PLAIN}str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(dict, yaml.SafeDumper.represent_dict)


@dataclass
class _Node:
    """A value, and what it counts for where an alias repeats it."""

    value: Any
    size: int = 1
    height: int = 0


@dataclass
class _Open(_Node):
    """A list or mapping whose end has not come yet."""

    anchor: str | None = None
    key: str | None = None
    """The key that waits for its value."""


class _Builder:
    """Turns events into data."""

    def __init__(self) -> None:
        self.document: Any = None
        self._open: list[_Open] = []
        self._anchors: dict[str, _Node] = {}
        self._documents = 0
        self._nodes = 0
        self._line = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event in. Raises ValueError."""
        if event.start_mark is not None:
            self._line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            self._refuse_if(self._documents > 1, "a second document begins")
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_if(event.tag not in (None, "!"), "tags are not taken")
            empty: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._refuse_if(len(self._open) >= MAX_DEPTH, f"nested more than {MAX_DEPTH} levels")
            self._open.append(_Open(empty, anchor=event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            self._add(closed, closed.anchor, counts=1)
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(event.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_if(event.tag not in (None, "!"), "tags are not taken")
            self._add(_Node(self._scalar(event)), event.anchor, counts=1)

    def _add_alias(self, anchor: str | None) -> None:
        name = str(anchor)
        # Inside its own anchor an alias is unknown too, so nothing ever contains itself.
        self._refuse_if(name not in self._anchors, f"nothing is anchored as '{name[:64]}' so far")
        node = self._anchors[name]
        too_deep = len(self._open) + node.height > MAX_DEPTH
        self._refuse_if(too_deep, f"nested more than {MAX_DEPTH} levels")
        self._add(node, None, counts=node.size)

    def _add(self, node: _Node, anchor: str | None, counts: int) -> None:
        self._nodes += counts
        self._refuse_if(self._nodes > MAX_NODES, f"more than {MAX_NODES} values")
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.document = node.value
            return
        parent = self._open[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.value, list):
            parent.value.append(node.value)
        elif parent.key is None:
            parent.key = self._key(parent.value, node.value)
        else:
            parent.value[parent.key] = node.value
            parent.key = None

    def _key(self, mapping: dict[str, Any], key: Any) -> str:
        self._refuse_if(not isinstance(key, str), "a key is text: put it in quotes")
        self._refuse_if(key in mapping, f"the key '{str(key)[:64]}' stands twice")
        return str(key)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        self._refuse_if(_NOT_STORABLE.search(text) is not None, "a character that is no text")
        kind = _resolver.resolve(yaml.ScalarNode, text, event.implicit).removeprefix(PLAIN)
        if kind == "null":
            return None
        if kind == "bool":
            return SafeConstructor.bool_values[text.lower()]
        if kind not in {"int", "float"} or ":" in text:
            return text  # dates and 12:30 are texts here
        self._refuse_if(
            len(text) > strict_json.MAX_DIGITS,
            f"a number of more than {strict_json.MAX_DIGITS} digits",
        )
        number = getattr(_constructor, f"construct_yaml_{kind}")(
            yaml.ScalarNode(PLAIN + kind, text)
        )
        self._refuse_if(kind == "float" and not math.isfinite(number), "not a finite number")
        return number

    def _refuse_if(self, wrong: bool, reason: str) -> None:
        if wrong:
            raise ValueError(f"Line {self._line}: {reason}.")


_resolver = Resolver()
_constructor = SafeConstructor()
