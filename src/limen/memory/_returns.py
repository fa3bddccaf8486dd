"""Slots that several consumers share, and the rings on which they hand them back."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from limen.errors import Code, ManagerError
from limen.memory.contract import MemoryManager
from limen.types import INVALID_TOKEN, MessageToken


class ReturnRing:
    """Tokens on their way back from one consumer to the producer; one writer, one reader.

    Args:
        slots: Slots of the manager; no more tokens can be under way.
        describe: Names a token in an error.
    """

    def __init__(
        self, slots: int, describe: Callable[[MessageToken], str] = "token {}".format
    ) -> None:
        self._describe = describe
        self._tokens = [INVALID_TOKEN] * slots
        self._written = 0
        self._read = 0

    def __len__(self) -> int:
        return self._written - self._read

    def give_back(self, token: MessageToken) -> None:
        """Hand a token back; called by the consumer.

        Raises:
            ManagerError: More tokens came back than there are slots: one came back twice.
        """
        if len(self) == len(self._tokens):
            text = f"{self._describe(token)} was handed back twice"
            raise ManagerError(text, code=Code.NOT_ALLOCATED)
        self._tokens[self._written % len(self._tokens)] = token
        self._written += 1

    def try_take(self) -> MessageToken:
        """Take the oldest token that came back, INVALID_TOKEN if none; called by the producer."""
        if self._read == self._written:
            return INVALID_TOKEN
        token = self._tokens[self._read % len(self._tokens)]
        self._read += 1
        return token


class SharedSlots:
    """Counts for each slot how many edges still hold it; the producer is the only writer.

    An edge gives its share up in one of two ways: the producer drops it (refused, evicted), or the
    consumer hands the token back on its return ring. The slot is free once nobody holds a share.

    Args:
        manager: Whose slots.
        consumers: Edges that share them.
    """

    def __init__(self, manager: MemoryManager, consumers: int) -> None:
        self.manager = manager
        self.returns = tuple(
            ReturnRing(manager.capacity, manager.describe) for _ in range(consumers)
        )
        self._shares = manager.share_counts()

    def lend(self, token: MessageToken, shares: int) -> None:
        """Say how many edges a stored message is about to be offered to."""
        self._shares[token] = shares

    @property
    def shares(self) -> MutableMapping[MessageToken, int] | list[int]:
        """How many edges hold each slot; for another executor that counts them for a while."""
        return self._shares

    def drop(self, token: MessageToken) -> None:
        """Give up one share from the producer's side.

        Raises:
            ManagerError: Nobody holds a share of that slot.
        """
        if self._shares[token] < 1:
            text = f"{self.manager.describe(token)} is shared by no edge"
            raise ManagerError(text, code=Code.NOT_ALLOCATED)
        self._shares[token] -= 1
        if self._shares[token] == 0:
            self.manager.free(token)

    def reclaim(self) -> None:
        """Take in what consumers have handed back; called before a slot is claimed."""
        for ring in self.returns:
            while ring:
                self.drop(ring.try_take())
