"""What a node is in C99: its state, its constants and the body of its call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CField:
    """A member of a node's state in C.

    Attributes:
        type: Its C type.
        name: Its name; the body writes ``self->name``.
        shape: Of an array, its extents; none for a single value.
    """

    type: str
    name: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CTable:
    """Constants of a node, which lie in read-only memory.

    Attributes:
        type: C type of an element.
        name: The body writes ``name[i]``, flat.
        values: In C order.
    """

    type: str
    name: str
    values: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class CForm:
    """The C form of a node, for given ports and a given clock.

    ``call`` is the body of a C99 function that handles what one call of the Python form does, in
    the same order of evaluation, so that results are equal bit for bit. It sees:

    - ``call``: a ``limen_call *``: ``call->now`` (the instant ahead of the call, in ticks),
      ``call->header`` (of the result; a body that states another origin writes
      ``call->header.origin``), ``call->headers[i]`` (of what input ``i`` brought), ``call->items``
      (how many messages lie side by side, where the node takes windows);
    - ``in``, or ``in_<port>`` for each of several inputs: ``const T *``, the elements flat in C
      order; NULL where a join had nothing on that input;
    - ``self``: its state, where it has any; and its tables by name.

    It emits with ``T *out = limen_emit(call, PORT, &call->header);``, which returns where the
    payload of the next message of output ``PORT`` lies, flat, and sends it once the call has
    returned well; at most ``max_emit`` times a port. It returns LIMEN_DONE, LIMEN_SKIP (its input
    counts as dropped), LIMEN_FAIL, LIMEN_TERMINAL, or ``limen_yield(call, tick)``.

    A source writes to ``out`` instead, and returns LIMEN_MESSAGE, LIMEN_NOTHING, LIMEN_END or
    LIMEN_READ_FAILED; it sees ``now``, and ``stated``, a ``limen_stated *`` for what it says of the
    message. What infers batches (a node of kind MODEL) reads ``call->ins[i]`` and writes
    ``call->outs[i]``, for ``call->items`` items. On simulated time, ``*cost`` (of a source) and
    ``call->cost`` are what a call takes beyond its declared cost.

    Attributes:
        call: The body, without braces.
        state: Zeroed when the graph is initialised.
        start: Statements on ``self`` that bring it to where it begins, also after a restart;
            ``return false;`` where it cannot start.
        due: Of a source with a schedule, the body of what returns its next instant, on ``self``.
        states: What a source states of messages: ``deadline``, ``max_age``.
        tables: Its constants.
        code: Definitions at file scope that the body calls; names begin with the C name of what
            they are, as all graphs that use it may share a file.
        headers: Of the C library, as ``math.h``.
    """

    call: str
    state: tuple[CField, ...] = ()
    start: str = ""
    due: str = ""
    states: tuple[str, ...] = ()
    tables: tuple[CTable, ...] = ()
    code: str = ""
    headers: tuple[str, ...] = ()
