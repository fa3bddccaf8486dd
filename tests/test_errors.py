"""The error tree is the one its page draws; codes are stable, unique and banded."""

from __future__ import annotations

import pickle
import re

import pytest

from limen import errors
from limen.errors import Code, GraphError, LimenError, SensorError

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
_LINE = re.compile(r"(?:├──|└──) (\w+)(?: \((\w+)\))?")


def drawn_tree(text: str) -> dict[str, set[str]]:
    """Read the drawing: each family with the bases it shows."""
    return {
        name: {"LimenError"} | ({builtin} if builtin else set())
        for name, builtin in _LINE.findall(text)
    }


def real_tree() -> dict[str, set[str]]:
    return {
        name: {base.__name__ for base in kind.__bases__}
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, LimenError) and kind is not LimenError
    }


def test_the_drawn_tree_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    assert drawn_tree(errors.__doc__) == real_tree()


def test_a_drawing_that_lacks_a_family_or_a_base_is_told_apart() -> None:
    assert errors.__doc__ is not None
    assert drawn_tree(errors.__doc__.replace("├── QueueError\n", "")) != real_tree()
    assert drawn_tree(errors.__doc__.replace("SensorError (OSError)", "SensorError")) != real_tree()


def test_every_family_of_the_specification_exists() -> None:
    assert set(_BANDS) == set(real_tree())


def test_every_error_can_be_imported_from_the_module_by_name() -> None:
    assert set(errors.__all__) == {*real_tree(), "LimenError", "Code"}


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


@pytest.mark.parametrize("family", sorted(_BANDS))
def test_an_error_survives_the_way_to_another_process(family: str) -> None:
    error = getattr(errors, family)("lost", code=Code.DEADLOCK, remedy="look")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.code, str(copy)) == (type(error), Code.DEADLOCK, "lost; look")
