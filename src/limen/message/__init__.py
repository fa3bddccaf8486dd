"""What travels: header, payload, flags, batches of them; views and sizes of payloads."""

from typing import TYPE_CHECKING

from limen._lazy import lazily
from limen.message._batch import Batch, BatchView
from limen.message._header import MessageFlags, MessageHeader
from limen.message._message import Message
from limen.message._sizes import (
    BufferDescriptor,
    Payload,
    buffer_descriptor,
    counts_data,
    payload_size_bytes,
)

if TYPE_CHECKING:
    from limen.message._combine import joined_header, window_header
    from limen.message._dlpack import DLPackBuffer, from_dlpack, to_dlpack
    from limen.message._layouts import (
        Layout,
        TensorView,
        hwc,
        matrix,
        nchw,
        nhwc,
        scalar,
        sequence,
        vector,
    )
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "limen.message._combine": ("joined_header", "window_header"),
            "limen.message._dlpack": ("DLPackBuffer", "from_dlpack", "to_dlpack"),
            "limen.message._layouts": (
                "Layout",
                "TensorView",
                "hwc",
                "matrix",
                "nchw",
                "nhwc",
                "scalar",
                "sequence",
                "vector",
            ),
        },
    )

__all__ = [
    "Batch",
    "BatchView",
    "BufferDescriptor",
    "DLPackBuffer",
    "Layout",
    "Message",
    "MessageFlags",
    "MessageHeader",
    "Payload",
    "TensorView",
    "buffer_descriptor",
    "counts_data",
    "from_dlpack",
    "hwc",
    "joined_header",
    "matrix",
    "nchw",
    "nhwc",
    "payload_size_bytes",
    "scalar",
    "sequence",
    "to_dlpack",
    "vector",
    "window_header",
]
