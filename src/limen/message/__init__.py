"""What travels: header, payload, flags, and read-only batches of them."""

from limen.message._batch import BatchView
from limen.message._header import MessageFlags, MessageHeader
from limen.message._message import Message, payload_size_bytes

__all__ = ["BatchView", "Message", "MessageFlags", "MessageHeader", "payload_size_bytes"]
