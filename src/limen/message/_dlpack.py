"""Arrays of other libraries, in and out, through the DLPack protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from limen.errors import PayloadMismatchError

# Device kinds of the protocol whose memory the processor reads: host, CUDA and ROCm pinned host.
_HOST_KINDS: Final = (1, 3, 11)
_CPU: Final = (1, 0)
_BF16_REMEDY: Final = "view it as 16-bit whole numbers, and what arrives as bf16 again"


def from_dlpack(producer: object, *, copy: bool = False) -> NDArray[np.generic]:
    """Return the array that another library's tensor is, without a copy.

    It is read-only, whatever the producer says, and lives as long as it is referred to; the memory
    stays the producer's, who may write to it.

    Args:
        producer: Anything with ``__dlpack__`` and ``__dlpack_device__``, in host memory.
        copy: Return a copy instead, which may be written.

    Raises:
        PayloadMismatchError: It is no such tensor, lies on a device, or has no NumPy element type.
    """
    array = producer if isinstance(producer, np.ndarray) else _import(producer)
    if copy:
        return array.copy()
    view = array.view()
    view.flags.writeable = False
    return view


def _import(producer: object) -> NDArray[np.generic]:
    kind = type(producer)
    if not (hasattr(kind, "__dlpack__") and hasattr(kind, "__dlpack_device__")):
        raise PayloadMismatchError(
            f"a {kind.__qualname__} offers no DLPack",
            remedy="give a tensor of a library that does, or a NumPy array",
        )
    offered: Any = producer
    device, ordinal = offered.__dlpack_device__()
    if device not in _HOST_KINDS:
        raise PayloadMismatchError(
            f"a {kind.__qualname__} lies on device {int(device)}:{ordinal}, not on the host",
            remedy="copy it to the host first, as in tensor.cpu()",
        )
    try:
        array: NDArray[np.generic] = np.from_dlpack(offered)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise PayloadMismatchError(
            f"a {kind.__qualname__} cannot be taken as an array: {error}",
            remedy=f"give a dense tensor of numbers; if it is bf16, {_BF16_REMEDY}",
        ) from error
    return array


@dataclass(frozen=True, slots=True, eq=False)
class DLPackBuffer:
    """An array as other libraries take it in: ``torch.from_dlpack(to_dlpack(x))``.

    Args:
        array: What it offers.
        copy: As in ``to_dlpack``.
    """

    array: NDArray[np.generic]
    copy: bool | None = None

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return the host."""
        return _CPU

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """Return the capsule; called by the library that takes it.

        Raises:
            BufferError: It would have to be copied and must not be, or is wanted on a device.
        """
        if dl_device is not None and tuple(dl_device) != _CPU:
            raise BufferError(f"the array lies on the host, not on device {dl_device}")
        copies = self.copy if copy is None else copy
        told = max_version is not None and max_version >= (1, 0)
        if not self.array.flags.writeable and not told and copies is not True:
            if copies is False:
                raise BufferError("the array is read-only, which this consumer cannot be told")
            copies = True
        array: Any = self.array.copy() if copies else self.array
        return array.__dlpack__(max_version=max_version) if told else array.__dlpack__()


def to_dlpack(array: NDArray[np.generic], *, copy: bool | None = None) -> DLPackBuffer:
    """Offer an array to another library.

    Payloads are read-only, and the newer protocol (1.0) says so. Consumers of the older one cannot
    be told, and get a copy: written to, the array would change for others who read it. Shared
    memory is valid as long as the payload, that is, during the call.

    Args:
        array: What to offer.
        copy: Always (True), never (False: such consumers get a BufferError), or as above (None).

    Raises:
        PayloadMismatchError: It is no array, or of an element type that the protocol does not know.
    """
    if not isinstance(array, np.ndarray):
        raise PayloadMismatchError(
            f"a {type(array).__qualname__} is no array", remedy="give an array"
        )
    if array.dtype.kind not in "biufc":
        raise PayloadMismatchError(
            f"DLPack of NumPy has no element type {array.dtype.name}",
            remedy=_BF16_REMEDY if array.dtype.name == "bfloat16" else "convert it to numbers",
        )
    return DLPackBuffer(array, copy)
