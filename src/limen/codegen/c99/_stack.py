"""The worst stack of a firmware: the deepest chain of calls, and what makes it unbounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limen.codegen.c99._elf import Elf
from limen.codegen.c99._thumb import Code, read_code
from limen.errors import ConfigurationError, LimenError


@dataclass(frozen=True, slots=True)
class Frame:
    """One function on the deepest chain, and the stack that it takes itself."""

    function: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stack:
    """The most stack that a call can take.

    Attributes:
        size_bytes: All of it.
        chain: From the function that is called down to the last.
    """

    size_bytes: int
    chain: tuple[Frame, ...]

    def __str__(self) -> str:
        chain = " > ".join(f"{frame.function} {frame.size_bytes}" for frame in self.chain)
        return f"{self.size_bytes} bytes: {chain}"


def worst_stack(
    elf: Elf, roots: Sequence[str], hooks: Callable[[str], bool] = lambda name: False
) -> Stack:
    """Return the deepest chain of calls below some functions of a linked firmware.

    Frames are read from the instructions, so that functions of the C library count as well.

    Args:
        elf: The firmware, for Thumb-2.
        roots: The functions that an application calls.
        hooks: Says of a function's name whether it is the application's: such are left out, as
            what stands in for them here says nothing of their stack.

    Raises:
        LimenError: No bound can be given: there is recursion, a call through a pointer, or a stack
            frame whose size depends on a value.
    """
    codes = read_code(elf)
    by_name = {code.name: at for at, code in codes.items()}
    missing = [name for name in roots if name not in by_name]
    if missing:
        raise ConfigurationError(f"the firmware has no function {', '.join(missing)}")
    search = _Search(codes, hooks)
    return max((search.below(by_name[name], ()) for name in roots), key=lambda s: s.size_bytes)


class _Search:
    def __init__(self, codes: dict[int, Code], hooks: Callable[[str], bool]) -> None:
        self._codes = codes
        self._hooks = hooks
        self._known: dict[int, Stack] = {}

    def below(self, at: int, above: tuple[int, ...]) -> Stack:
        """Return the deepest chain from a function; ``above`` are those that led to it."""
        known = self._known.get(at)
        if known is not None:
            return known
        code = self._codes[at]
        if at in above:
            circle = [self._codes[place].name for place in (*above[above.index(at) :], at)]
            raise _unbounded(f"recursion: {' > '.join(circle)}", "call no function from itself")
        if code.dynamic:
            raise _unbounded(
                f"{code.name} takes stack by a value", "use no array of variable length, no alloca"
            )
        if code.indirect:
            raise _unbounded(f"{code.name} calls through a pointer", "call functions by name")
        deepest = Stack(0, ())
        for target in code.calls:
            inner = self._function(target)
            if inner is None or self._hooks(self._codes[inner].name):
                continue
            stack = self.below(inner, (*above, at))
            deepest = max(deepest, stack, key=lambda s: s.size_bytes)
        found = Stack(
            code.frame + deepest.size_bytes, (Frame(code.name, code.frame), *deepest.chain)
        )
        self._known[at] = found
        return found

    def _function(self, target: int) -> int | None:
        """Return the function that an address lies in: assembler jumps into the middle of some."""
        if target in self._codes:
            return target
        return max((at for at in self._codes if at < target), default=None)


def dynamic_frames(usages: Iterable[Path]) -> tuple[str, ...]:
    """Return the functions whose stack is not fixed, as ``name (file)``, from ``.su`` files.

    Not every compiler writes them: what is missing says nothing, and ``worst_stack`` looks as well.
    """
    found = []
    for usage in usages:
        if not usage.exists():
            continue
        for line in usage.read_text(encoding="utf-8").splitlines():
            place, _, kind = line.split("\t")
            if "dynamic" in kind:
                name, file = place.rsplit(":", 1)[1], Path(place.split(":", 1)[0]).name
                found.append(f"{name} ({file})")
    return tuple(found)


def require_static(usages: Iterable[Path]) -> None:
    """Check that the compiler knows the stack of each function.

    Raises:
        LimenError: It does not, of some.
    """
    found = dynamic_frames(usages)
    if found:
        raise _unbounded(
            f"stack by a value in {', '.join(found)}", "use no array of variable length, no alloca"
        )


def _unbounded(why: str, remedy: str) -> LimenError:
    return LimenError(f"the stack has no bound: {why}", remedy=remedy)
