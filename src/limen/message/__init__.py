"""What travels: header, payload, flags, and read-only batches of them."""

from limen.message._batch import BatchView
from limen.message._combine import joined_header, window_header
from limen.message._header import MessageFlags, MessageHeader
from limen.message._message import Message, payload_size_bytes

__all__ = [
    "BatchView",
    "Message",
    "MessageFlags",
    "MessageHeader",
    "joined_header",
    "payload_size_bytes",
    "window_header",
]
