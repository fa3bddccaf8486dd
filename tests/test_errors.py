"""The error tree is the one its page draws; codes are stable, unique and banded."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from limen import errors
from limen.errors import Code, GraphError, LimenError, SensorError

_SOURCES = Path(errors.__file__).parent
_CODES = Path(__file__).parent / "error_codes.txt"

_BANDS = {
    "QueueError": 1,
    "ManagerError": 2,
    "NodeError": 3,
    "InferenceError": 4,
    "GraphError": 5,
    "SchedulerError": 6,
    "SensorError": 7,
    "OutputError": 8,
    "LifecycleError": 9,
    "ConfigurationError": 10,
}
_LINE = re.compile(
    r"^(?P<bar>[│ ]*)(?:├──|└──) (?P<name>\w+)(?: \((?P<builtin>\w+)\))? +(?P<code>\d+)"
)

# What SPEC 2 lists for each family, as its codes are called.
_NAMED = {
    "QueueError": "QUEUE_FULL QUEUE_BACKPRESSURED QUEUE_EMPTY QUEUE_UNSUPPORTED QUEUE_POISONED",
    "ManagerError": (
        "NO_FREE_SLOTS BAD_TOKEN NOT_ALLOCATED ALREADY_BORROWED BORROW_ACTIVE MANAGER_POISONED"
    ),
    "NodeError": (
        "NODE_NO_INPUT NODE_BACKPRESSURED NODE_OVER_BUDGET EXTERNAL_UNAVAILABLE "
        "NODE_EXECUTION_FAILED"
    ),
    "InferenceError": (
        "INVALID_ARTIFACT MODEL_PORT_MISMATCH INFERENCE_FAILED RESOURCE_UNAVAILABLE"
    ),
    "GraphError": (
        "GRAPH_CYCLIC INCOMPATIBLE_PORTS INVALID_CAPACITY INVALID_INDEX OCCUPANCY_SAMPLE_FAILED"
    ),
    "SchedulerError": "SCHEDULER_FAILED",
    "SensorError": (
        "SENSOR_OPEN SENSOR_READ SENSOR_END_OF_STREAM SENSOR_RESET SENSOR_CONFIGURATION"
    ),
    "OutputError": "OUTPUT_WRITE OUTPUT_FLUSH",
    "LifecycleError": "CLOCK_UNINITIALISED TELEMETRY_UNINITIALISED WRONG_STATE DEADLOCK",
    "ConfigurationError": "CONFIGURATION",
}


def drawn_tree(text: str) -> dict[str, tuple[set[str], str]]:
    """Read the drawing: each error with the bases it shows, and its band or code."""
    found: dict[str, tuple[set[str], str]] = {}
    family = ""
    for line in text.replace("xx", "00").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        is_leaf = bool(match["bar"])
        above = family if is_leaf else "LimenError"
        family = family if is_leaf else match["name"]
        builtin = {match["builtin"]} if match["builtin"] else set()
        found[match["name"]] = ({above} | builtin, match["code"])
    return found


def real_tree() -> dict[str, tuple[set[str], str]]:
    found = {}
    for kind in kinds():
        bases = {base.__name__ for base in kind.__bases__}
        code = kind.default_code if kind.__name__ not in _BANDS else kind.default_code // 100 * 100
        found[kind.__name__] = (bases, str(int(code)))
    return found


def kinds() -> list[type[LimenError]]:
    return [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, LimenError) and kind is not LimenError
    ]


_LEAVES = [kind for kind in kinds() if kind.__name__ not in _BANDS]


def raised(sources: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield what is made of the tree: the error's name, and the code it is given by name."""
    for text in sources:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                codes = [
                    keyword.value.attr
                    for keyword in node.keywords
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Attribute)
                ]
                yield node.func.id, codes[0] if codes else ""


def unused_leaves(sources: Iterator[str]) -> set[str]:
    """Name the leaves that nobody raises, and those whose code a family is raised with."""
    made = set(raised(sources))
    names = {name for name, _ in made}
    instead = {code for name, code in made if name in _BANDS}
    return {
        leaf.__name__
        for leaf in _LEAVES
        if leaf.__name__ not in names or leaf.default_code.name in instead
    }


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    assert drawn_tree(errors.__doc__) == real_tree()


@pytest.mark.parametrize(
    ("shown", "instead"),
    [
        ("├── QueueError                               1xx\n", ""),
        ("SensorError (OSError)", "SensorError"),
        ("PortMismatchError (TypeError)", "PortMismatchError"),
        ("│   └── PortMismatchError", "├── PortMismatchError"),
        ("2xx", "3xx"),
        ("501", "502"),
    ],
)
def test_a_drawing_that_is_not_the_tree_is_told_apart(shown: str, instead: str) -> None:
    assert errors.__doc__ is not None
    assert shown in errors.__doc__
    assert drawn_tree(errors.__doc__.replace(shown, instead)) != real_tree()


def test_every_family_of_the_specification_exists() -> None:
    assert {kind.__name__ for kind in kinds()} == {
        *_BANDS,
        *(leaf.__name__ for leaf in _LEAVES),
    }
    assert all(len(leaf.__bases__) == 2 for leaf in _LEAVES), "a family and a builtin"


@pytest.mark.parametrize("family", _NAMED)
def test_every_reason_of_the_specification_has_a_code_in_the_band_of_its_family(
    family: str,
) -> None:
    for name in _NAMED[family].split():
        assert Code[name] // 100 == _BANDS[family], name


def test_a_leaf_is_raised_for_its_code_and_the_family_never_is() -> None:
    assert unused_leaves(path.read_text("utf-8") for path in _SOURCES.rglob("*.py")) == set()


def test_a_leaf_that_nobody_raises_and_a_family_in_its_place_are_found() -> None:
    all_raised = "\n".join(f"{leaf.__name__}('x')" for leaf in _LEAVES)
    assert unused_leaves(iter([all_raised])) == set()
    assert unused_leaves(iter([""])) == {leaf.__name__ for leaf in _LEAVES}
    instead = "GraphError('x', code=Code.INCOMPATIBLE_PORTS)"
    assert unused_leaves(iter([all_raised, instead])) == {"PortMismatchError"}


def test_codes_are_only_ever_appended() -> None:
    recorded = dict(
        reversed(line.split()) for line in _CODES.read_text(encoding="utf-8").splitlines()
    )
    there = {name: str(int(code)) for name, code in Code.__members__.items()}
    assert {name: there.get(name) for name in recorded} == recorded, "a code changed or went"
    assert set(there) == set(recorded), "write new codes down in error_codes.txt"


def test_every_error_can_be_imported_from_the_module_by_name() -> None:
    assert set(errors.__all__) == {*(kind.__name__ for kind in kinds()), "LimenError", "Code"}


def test_no_two_codes_share_a_number() -> None:
    assert all(code.name == name for name, code in Code.__members__.items()), "an alias"


@pytest.mark.parametrize("code", list(Code))
def test_every_code_lies_in_the_band_of_one_family(code: Code) -> None:
    assert code // 100 in _BANDS.values()


@pytest.mark.parametrize(("family", "band"), _BANDS.items())
def test_the_default_code_of_a_family_names_that_family(family: str, band: int) -> None:
    kind = getattr(errors, family)
    assert kind("x").code is kind.default_code
    assert kind.default_code // 100 == band


@pytest.mark.parametrize(("family", "band"), _BANDS.items())
def test_every_family_has_a_code_of_its_own(family: str, band: int) -> None:
    assert any(code // 100 == band for code in Code), family


def test_an_error_says_what_is_wrong_and_then_what_would_be_right() -> None:
    error = LimenError("capacity is 0", code=Code.INVALID_CAPACITY, remedy="give at least 1")
    assert str(error) == "capacity is 0; give at least 1"
    assert error.code is Code.INVALID_CAPACITY


def test_an_error_without_a_remedy_prints_only_what_is_wrong() -> None:
    assert str(LimenError("capacity is 0")) == "capacity is 0"


def test_a_graph_error_carries_its_problems() -> None:
    assert GraphError("bad", problems=("one", "two")).problems == ("one", "two")
    assert GraphError("bad").problems == ()


def test_a_sensor_error_is_caught_as_the_builtin_a_caller_would_guess() -> None:
    with pytest.raises(OSError, match="no such port; plug it in") as caught:
        raise SensorError("no such port", code=Code.SENSOR_OPEN, remedy="plug it in")
    assert isinstance(caught.value, SensorError)


@pytest.mark.parametrize("leaf", _LEAVES)
def test_a_leaf_is_caught_as_its_family_and_as_the_builtin_a_caller_would_guess(
    leaf: type[LimenError],
) -> None:
    family, builtin = leaf.__bases__
    assert leaf.default_code // 100 == _BANDS[family.__name__]
    for kind in (leaf, family, builtin, LimenError):
        with pytest.raises(kind, match=r"^wrong; right$") as caught:
            raise leaf("wrong", remedy="right")
        assert isinstance(caught.value, LimenError)
        assert caught.value.code is leaf.default_code


@pytest.mark.parametrize("family", sorted(kind.__name__ for kind in kinds()))
def test_an_error_survives_the_way_to_another_process(family: str) -> None:
    error = getattr(errors, family)("lost", code=Code.DEADLOCK, remedy="look")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.code, str(copy)) == (type(error), Code.DEADLOCK, "lost; look")
