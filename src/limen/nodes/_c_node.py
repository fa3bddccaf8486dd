"""A function in C beside its Python twin."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from limen.errors import Code, ConfigurationError
from limen.node import CField, CForm, DirectCall, Node, NodeKind, NodePorts, StepResult, YieldUntil
from limen.node.contract import StepContext
from limen.nodes import _c
from limen.platform import PlatformClock
from limen.types import DataType, PayloadSpec, TensorSpec, Ticks, require_type

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_VALUE: Final = re.compile(r"(\w+?)(?:\[(\d+(?:,\s*\d+)*)\])?\Z")
_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_STATED: Final = (
    *("kind", "max_emit", "max_batch", "fixed_batch", "takes_windows", "activation"),
    *("first_needs", "then_needs", "one_to_one", "keeps", "writes_in_place", "accepts"),
    "clock_domain",
)


class CNode(Node):
    """A node that is a C function where its graph is printed as C, and its Python twin elsewhere.

    The function is given the inputs, the output, and its state, in that order::

        static bool smooth(const float *in, float *out, float *last);

    It returns whether there is a result; one that returns ``void`` always has one. Tensors are flat
    in C order; f16 and bf16 are their bits as ``uint16_t``, bool is ``uint8_t``. Of several inputs
    those that brought nothing are NULL. State is zero at the start, and at each restart.

    Its text becomes part of the graph's file, and is compiled with the warnings of that. That both
    twins do the same is promised by who writes them.

    Args:
        twin: A node with one output that is stepped message by message, as ``@limen.node`` makes.
        source: Path of a ``.c`` or ``.h`` file with the definition of the function; or its text.
        function: Its name.
        state: What it keeps: names, and types as ``"u32"`` or ``"f32[3]"``.
    """

    def __init__(
        self,
        twin: Node,
        source: str | os.PathLike[str],
        function: str,
        state: Mapping[str, str] | None = None,
    ) -> None:
        require_type("twin", twin, Node, "give a node, as @limen.node makes one")
        self.twin = twin
        if not isinstance(function, str) or not _NAME.match(function):
            raise ConfigurationError(
                f"function is {function!r}", remedy='give the name of a C function, as "smooth"'
            )
        self.function = function
        self.source = source
        self.state = {name: _state(name, text) for name, text in (state or {}).items()}
        self._text = ""
        self._always = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """The twin's."""
        return self.twin.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """The twin's."""
        return self.twin.output_names

    def prepare(self) -> None:
        """Prepare the twin, and find the function.

        Raises:
            ConfigurationError: The twin has no such function, or the source does not define it.
        """
        self.twin.prepare()
        for name in _STATED:
            setattr(self, name, getattr(self.twin, name))
        if self.kind not in (NodeKind.PROCESS, NodeKind.JOIN) or len(self.output_names) != 1:
            raise self._wrong("its twin is none with inputs and one output", "split it in several")
        if self.takes_windows or self.max_emit != 1:
            raise self._wrong(
                "its twin takes batches, or emits several messages a call",
                "let it take one message and emit at most one",
            )
        twice = {*self.input_names, "out"} & set(self.state)
        if twice:
            raise self._wrong(f"state {min(twice)!r} is the name of a port", "name it otherwise")
        self._text, place = self._read()
        self._always = self._returns(place) == "void"

    def resolve(self, inputs: Mapping[str, PayloadSpec]) -> NodePorts:
        """Ask the twin."""
        return self.twin.resolve(inputs)

    @property
    def state_bytes(self) -> int:
        """Bytes that the twin keeps."""
        return self.twin.state_bytes

    def initialize(self, clock: PlatformClock, ports: NodePorts) -> None:
        """Initialise the twin."""
        self.twin.initialize(clock, ports)

    def start(self, now: Ticks) -> None:
        """Start the twin."""
        self.twin.start(now)

    def step(self, ctx: StepContext) -> StepResult | YieldUntil:
        """Step the twin."""
        return self.twin.step(ctx)

    def direct_call(self) -> DirectCall | None:
        """Return what the twin's step hands over."""
        return self.twin.direct_call()

    def on_watchdog_timeout(self) -> None:
        """Tell the twin."""
        self.twin.on_watchdog_timeout()

    def stop(self) -> None:
        """Stop the twin."""
        self.twin.stop()

    def reset(self) -> None:
        """Reset the twin."""
        self.twin.reset()

    def select_input(self, ready: Sequence[str]) -> str:
        """Ask the twin."""
        return self.twin.select_input(ready)

    def c_form(self, ports: NodePorts, clock: PlatformClock) -> CForm:
        """Return a call of the function, with its whole text."""
        *_, leaving = _c.tensors(self.function, ports)
        inputs = self._inputs()
        kept = [
            f"self->{name}" if spec.shape else f"&self->{name}" for name, spec in self.state.items()
        ]
        state = [
            CField(spec.dtype.c_type, name, (_c.count_of(spec),) if spec.shape else ())
            for name, spec in self.state.items()
        ]
        if self._always:
            sent = _c.lines(
                _c.opened(0, leaving), f"{self.function}({', '.join([*inputs, 'out', *kept])});"
            )
        else:
            # What is emitted cannot be taken back, so a result lies here first.
            state.append(CField(leaving.dtype.c_type, "out", (_c.count_of(leaving),)))
            asked = f"!{self.function}({', '.join([*inputs, 'self->out', *kept])})"
            sent = _c.lines(_c.block(f"if ({asked})", _c.DONE), _c.sent(0, "self->out", leaving))
        zeroed = (
            f"memset({at}, 0, sizeof self->{name});"
            for at, name in zip(kept, self.state, strict=True)
        )
        return CForm(
            call=_c.lines(sent, _c.DONE),
            state=tuple(state),
            start=_c.lines(*zeroed),
            code=self._text,
            headers=("stdbool.h", "string.h"),
        )

    def _inputs(self) -> list[str]:
        names = self.input_names
        return ["in"] if len(names) == 1 else [f"in_{name}" for name in names]

    def _read(self) -> tuple[str, str]:
        """Return the text, and how errors name where it stands."""
        if isinstance(self.source, str) and "{" in self.source:
            return _ended(self.source), "source"
        path = Path(self.source)
        if path.suffix not in (".c", ".h"):
            raise self._wrong(
                f"source {str(path)!r} is neither a .c or .h file nor the text of a function",
                "give the path of such a file, or a text with the function's body",
            )
        try:
            return _ended(path.read_text(encoding="utf-8")), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"CNode {self.function}: {path} cannot be read: {error}",
                code=Code.UNREADABLE_FILE,
                remedy=f"give a path as seen from {Path.cwd()}, or an absolute one",
            ) from error

    def _returns(self, place: str) -> str:
        """Find the definition of the function; what it returns."""
        plain = _COMMENT.sub(" ", self._text)
        found = re.search(
            rf"\bstatic\s+(?:inline\s+)?(bool|void)\s+{self.function}\s*\(([^)]*)\)\s*\{{", plain
        )
        wanted = ", ".join((*self.input_names, "out", *self.state))
        if found is None:
            there = re.search(rf"\b{self.function}\s*\(", plain) is not None
            wrong = "is not a static function that returns bool or void"
            raise self._wrong(
                f"{place}: {self.function} {wrong if there else 'is not defined there'}",
                f"define static bool {self.function}(…), given {wanted}: "
                "it returns whether there is a result",
            )
        given, needed = found[2].count(",") + 1, len(self.input_names) + 1 + len(self.state)
        if given != needed:
            raise self._wrong(
                f"{place}: {self.function} has {given} parameters for {needed} things it is given",
                f"let it take pointers to {wanted}",
            )
        return found[1]

    def _wrong(self, what: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"CNode {self.function}: {what}", remedy=remedy)


def _ended(text: str) -> str:
    return text.strip("\n") + "\n"


def _state(name: object, text: object) -> TensorSpec:
    """Read a type as ``f32[3]``."""
    remedy = 'give names with types, as {"last": "f32[3]"}'
    if not isinstance(name, str) or not _NAME.match(name):
        raise ConfigurationError(f"state has {name!r} in it", remedy=remedy)
    found = _VALUE.match(text) if isinstance(text, str) else None
    if found is None:
        raise ConfigurationError(f"state {name!r} is {text!r}", remedy=remedy)
    shape = tuple(int(length) for length in found[2].split(",")) if found[2] else ()
    return TensorSpec(DataType.from_name(found[1]), shape)
