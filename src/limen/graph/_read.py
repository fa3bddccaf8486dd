"""Read the tables of a graph file: TOML, JSON or YAML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final

from limen.errors import Code
from limen.graph._problems import Problem, refuse
from limen.types import format_bytes

_MOST_BYTES: Final = 16 << 20
_KINDS: Final = {".json": "JSON", ".yaml": "YAML", ".yml": "YAML"}


def read_tables(path: Path) -> dict[str, object]:
    """Return what a graph file holds; its name tells what it is written in.

    Raises:
        GraphError: UNREADABLE_FILE, with the reason and the place in the file where one is known.
    """
    kind = _KINDS.get(path.suffix, "TOML")
    remedy = "correct it there; what follows has not been read"
    try:
        found = _parse(kind, _text_of(path))
        if isinstance(found, dict):
            return found
        reason = f"cannot be read: it holds a {type(found).__name__}, no table"
        remedy = "write one table, each key once, as the tutorial shows"
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        remedy = "give the path of a graph file"
    except UnicodeDecodeError as error:
        reason = f"is no {kind}: byte {error.start} is not UTF-8"
        remedy = "save the file as UTF-8"
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, _NotYamlError) as error:
        reason = f"is no {kind}: {error}"
    except ImportError:
        reason = "cannot be read: YAML needs the package pyyaml"
        remedy = "install the extra: pip install 'limen[yaml]'; or write the file as TOML"
    except RecursionError:
        reason = "cannot be read: nested too deeply"
        remedy = "write one table, each key once, as the tutorial shows"
    except ValueError as error:
        reason = f"cannot be read: {error}"
        remedy = "write one table, each key once, as the tutorial shows"
    raise refuse(path.name, [Problem(Code.UNREADABLE_FILE, str(path), reason, remedy)])


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it is longer than {format_bytes(_MOST_BYTES)}")
    # Some editors begin a file with a byte order mark.
    return data.decode("utf-8").removeprefix("\ufeff")


def _parse(kind: str, text: str) -> object:
    match kind:
        case "JSON":
            return json.loads(text, object_pairs_hook=_table_of)
        case "YAML":
            return _parse_yaml(text)
        case _:
            return tomllib.loads(text)


class _NotYamlError(Exception):
    """The text is no YAML, or more of it than a graph file needs."""


def _parse_yaml(text: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """Makes plain values; knows no aliases, whose expansion has no bound."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("it uses an alias (*name): write the value itself")
            return super().compose_node(parent, index)

    def table(loader: Loader, node: yaml.MappingNode) -> dict[str, object]:
        pairs = loader.construct_pairs(node, deep=True)
        return _table_of([(str(key), value) for key, value in pairs])

    Loader.add_constructor("tag:yaml.org,2002:map", table)
    try:
        found: object = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise _NotYamlError(" ".join(str(error).split())) from error
    return found


def _table_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a table; of two equal keys, as of two nodes with one name, none may be lost."""
    table: dict[str, object] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {key!r} stands twice in one table")
        table[key] = value
    return table
