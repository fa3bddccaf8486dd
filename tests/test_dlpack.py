"""DLPack in and out: NumPy's own, a double of another library, old and new protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import limen
from limen.errors import PayloadMismatchError
from limen.message import DLPackBuffer, Message, from_dlpack, to_dlpack
from limen.types import DataType

_NUMERIC = [dtype for dtype in DataType if dtype is not DataType.BF16]
_BF16 = DataType.BF16.numpy_dtype()


Array = np.ndarray[Any, Any]


class TensorDouble:
    """Stands for another library's tensor: old protocol unless it is told a version."""

    def __init__(
        self, array: Array, *, device: tuple[int, int] = (1, 0), versioned: bool = False
    ) -> None:
        self.array, self.device, self.versioned = array, device, versioned

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **asked: object) -> object:
        if asked and not self.versioned:
            raise TypeError("unexpected keyword")
        offered: Any = self.array
        return offered.__dlpack__(**asked)

    @classmethod
    def taking(cls, offered: DLPackBuffer) -> Array:
        """Import as a library of the old protocol does, which asks without a version."""
        return np.from_dlpack(_Capsule(offered.__dlpack__(), offered.__dlpack_device__()))


class _Capsule:
    def __init__(self, capsule: object, device: tuple[int, int]) -> None:
        self.capsule, self.device = capsule, device

    def __dlpack__(self, **asked: object) -> object:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class HalfDouble:
    """Offers its bytes, but not where they lie."""

    def __dlpack__(self) -> object:
        raise AssertionError("never asked")


def frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("dtype", _NUMERIC)
def test_every_numeric_type_goes_out_and_comes_in_without_a_copy(dtype: DataType) -> None:
    array = np.ones((2, 3), dtype.numpy_dtype())
    back = from_dlpack(to_dlpack(array))
    assert back.dtype == array.dtype
    assert np.shares_memory(back, array)
    assert (back == array).all()


@pytest.mark.parametrize("versioned", [False, True])
def test_what_comes_in_is_read_only_whoever_made_it(versioned: bool) -> None:
    array = np.arange(6.0).reshape(2, 3)
    for producer in (array, TensorDouble(array, versioned=versioned), to_dlpack(array)):
        found = from_dlpack(producer)
        assert np.shares_memory(found, array)
        with pytest.raises(ValueError, match="read-only"):
            found[0, 0] = 1  # type: ignore[call-overload]
    array[0, 0] = 5
    assert array.flags.writeable, "the producer's own array stays as it was"


def test_a_copy_may_be_written_and_is_independent() -> None:
    array = np.arange(3.0)
    for producer in (array, TensorDouble(array)):
        found: Any = from_dlpack(producer, copy=True)
        found[0] = 9
    assert array[0] == 0


def test_strides_are_kept() -> None:
    array = np.arange(24.0).reshape(4, 6)[::2, 1::2].T
    found = from_dlpack(TensorDouble(array))
    assert found.strides == array.strides
    assert (found == array).all()


@pytest.mark.parametrize("wrong", [None, 5, [1.0], b"abc", HalfDouble()])
def test_what_offers_no_dlpack_is_refused(wrong: object) -> None:
    with pytest.raises(PayloadMismatchError, match=f"{type(wrong).__name__} offers no DLPack"):
        from_dlpack(wrong)


@pytest.mark.parametrize("device", [(2, 0), (2, 3), (10, 0), (8, 0)])
def test_a_tensor_on_a_device_is_refused_before_it_is_asked_for_memory(
    device: tuple[int, int],
) -> None:
    double = TensorDouble(np.zeros(3), device=device)
    place = f"device {device[0]}:{device[1]}, not on the host; copy it to the host first"
    with pytest.raises(PayloadMismatchError, match=place):
        from_dlpack(double)


@pytest.mark.parametrize("device", [(1, 0), (3, 0), (11, 1)])
def test_memory_that_the_processor_reads_is_taken(device: tuple[int, int]) -> None:
    array = np.arange(3.0)
    assert np.shares_memory(from_dlpack(TensorDouble(array, device=device)), array)


@pytest.mark.parametrize(
    "array",
    [np.zeros(3, _BF16), np.zeros(3, ">f4"), np.zeros(3, "M8[s]"), np.zeros(3, object)],
    ids=["bf16", "other byte order", "times", "objects"],
)
def test_a_producer_that_cannot_is_refused_with_its_reason(array: Array) -> None:
    with pytest.raises(PayloadMismatchError, match=r"cannot be taken as an array: .*dense tensor"):
        from_dlpack(TensorDouble(array))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"abc", "a bytes is no array"),
        (np.zeros(3, _BF16), "no element type bfloat16; view it as 16-bit whole numbers"),
        (np.zeros(3, object), "no element type object; convert"),
        (np.array(["a"]), "no element type str"),
    ],
)
def test_what_the_protocol_does_not_know_does_not_go_out(wrong: Array, said: str) -> None:
    with pytest.raises(PayloadMismatchError, match=said):
        to_dlpack(wrong)


def test_bf16_goes_out_and_comes_in_as_its_bits() -> None:
    values = np.array([1, 2, 3], _BF16)
    back = from_dlpack(to_dlpack(values.view(np.uint16))).view(_BF16)
    assert back.tolist() == values.tolist()
    assert np.shares_memory(back, values)


def test_a_read_only_array_is_shared_with_those_who_can_be_told() -> None:
    array = frozen(np.arange(3.0))
    taken = np.from_dlpack(to_dlpack(array))
    assert np.shares_memory(taken, array)
    assert not taken.flags.writeable


def test_a_read_only_array_is_copied_for_those_who_cannot_be_told() -> None:
    array = frozen(np.arange(3.0))
    taken = TensorDouble.taking(to_dlpack(array))
    assert not np.shares_memory(taken, array)
    assert taken.tolist() == [0, 1, 2]
    writable = np.arange(3.0)
    assert np.shares_memory(TensorDouble.taking(to_dlpack(writable)), writable)


def test_whoever_forbids_copies_gets_the_error_of_the_protocol() -> None:
    array = frozen(np.arange(3.0))
    with pytest.raises(BufferError, match="cannot be told"):
        TensorDouble.taking(to_dlpack(array, copy=False))
    with pytest.raises(BufferError, match="cannot be told"):
        to_dlpack(array).__dlpack__(copy=False)
    assert np.shares_memory(np.from_dlpack(to_dlpack(array, copy=False)), array)


def test_whoever_wants_a_copy_gets_one_that_may_be_written() -> None:
    for array in (np.arange(3.0), frozen(np.arange(3.0))):
        for taken in (
            np.from_dlpack(to_dlpack(array, copy=True)),
            TensorDouble.taking(to_dlpack(array, copy=True)),
            np.from_dlpack(_Capsule(to_dlpack(array).__dlpack__(copy=True), (1, 0))),
        ):
            assert not np.shares_memory(taken, array)
            assert taken.tolist() == [0, 1, 2]


def test_another_device_than_the_host_is_refused() -> None:
    offered = to_dlpack(np.arange(3.0))
    assert offered.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="not on device"):
        offered.__dlpack__(dl_device=(2, 0))
    assert offered.__dlpack__(dl_device=(1, 0)) is not None


@given(st.lists(st.integers(1, 4), max_size=4), st.sampled_from(_NUMERIC), st.booleans())
def test_every_small_array_survives_the_round_trip(
    shape: list[int], dtype: DataType, read_only: bool
) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype.numpy_dtype())
    if read_only:
        frozen(array)
    for back in (from_dlpack(to_dlpack(array)), TensorDouble.taking(to_dlpack(array))):
        assert back.shape == array.shape
        assert back.dtype == array.dtype
        assert (back == array).all()


# In a run.


class Foreign(limen.Source):
    """Emits tensors of another library."""

    def spec(self) -> limen.TensorSpec:
        return limen.TensorSpec(DataType.F32, (3,))

    def open(self, clock: object, now: int) -> None:
        self.left = [TensorDouble(np.full(3, n, np.float32)) for n in range(3)]

    def try_produce(self, now: int) -> limen.Produced | limen.SourceSignal:
        if not self.left:
            return limen.SourceSignal.END_OF_STREAM
        return limen.Produced(from_dlpack(self.left.pop(0)))


class Export(limen.Sink):
    def __init__(self) -> None:
        self.sums: list[float] = []

    def consume(self, message: Message, now: int) -> None:
        assert isinstance(message.payload, np.ndarray)
        offered = to_dlpack(message.payload)
        assert isinstance(offered, DLPackBuffer)
        shared, copied = np.from_dlpack(offered), TensorDouble.taking(offered)
        assert np.shares_memory(shared, message.payload)
        assert not np.shares_memory(copied, message.payload)
        self.sums.append(float(shared.sum()))


def test_foreign_tensors_go_through_a_graph_and_out_again() -> None:
    graph, sink = limen.Graph("foreign"), Export()
    graph.add("foreign", Foreign())
    graph.add("export", sink)
    graph.connect("foreign", "export", policy=limen.EdgePolicy.block(4))
    limen.run(graph, clock=limen.SimClock())
    assert sink.sums == [0, 3, 6]
