"""Clauses of models about calls that are bound to their arrays."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np

from limen.compute import ComputeModel
from limen.testing.contracts._backend_suite import (
    TOLERANCE,
    WIDTH,
    BackendSuite,
    Floats,
    empty,
    make_items,
)
from limen.testing.contracts._errors import code_raised
from limen.testing.contracts._resources import SLACK_BYTES, bytes_kept

_CALLS = 200


class BoundCallClauses(BackendSuite):
    """Holds a backend's models to MODEL-19 … MODEL-25."""

    def test_model_19_a_bound_call_is_a_call(self) -> None:
        model = self._load()
        count = min(2, self._most())
        inp, out = make_items(count), empty(count)
        call = model.bind(inp, out)
        for turn in range(4):
            inp += turn
            out[...] = np.nan
            call()
            wanted = self._infer(model, inp)
            seen = out.copy()
            worst = float(np.abs(seen - wanted).max())
            assert worst <= TOLERANCE, (
                f"bound call {turn + 1} of the same arrays gave {seen[0]}, infer_batch {wanted[0]}"
            )

    def test_model_20_binding_leaves_the_arrays(self) -> None:
        model = self._load()
        inp, out = make_items(1), np.full((1, WIDTH), -7.5, np.float32)
        before = inp.copy()
        for _ in range(2):
            model.bind(inp, out)
            assert np.array_equal(inp, before), f"bind changed the input {before} into {inp}"
            changed = int((out != -7.5).sum())
            assert changed == 0, f"bind changed {changed} of {out.size} values of the output"

    def test_model_21_bound_calls_refuse_what_calls_refuse(self) -> None:
        model = self._load()
        wide, read_only = np.zeros((1, 2 * WIDTH), np.float32), empty(1)
        read_only.flags.writeable = False
        for what, inp, out in (
            ("an input of f64", np.zeros((1, WIDTH)), empty(1)),
            ("an output of s32", make_items(1), np.zeros((1, WIDTH), np.int32)),
            ("an input of another width", np.zeros((1, 9), np.float32), empty(1)),
            ("an input of every other value", wide[:, ::2], empty(1)),
            ("two items for an output of one", make_items(2), empty(1)),
            ("a read-only output", make_items(1), read_only),
        ):
            wanted = code_raised(model.infer_batch, inp, out)
            seen = code_raised(_bind_and_call, model, inp, out)
            assert seen is wanted or wanted is None, (
                f"{what}, bound and called: {seen}; infer_batch: {wanted}"
            )

    def test_model_22_a_bound_call_keeps_its_arrays(self) -> None:
        model = self._load()
        call, owners = _bound_to_a_part(model)
        gc.collect()
        lost = [what for what, owner in owners.items() if owner() is None]
        assert not lost, f"given up by everyone else, the {lost[0]} of a bound call is gone"
        seen = code_raised(call)
        assert seen is None, f"a bound call whose arrays nobody else has: {seen}"

    def test_model_23_calls_do_not_disturb_each_other(self) -> None:
        model = self._load()
        pairs = [(make_items(2)[n : n + 1], empty(1)) for n in range(2)]
        wanted = [self._infer(model, inp) for inp, _ in pairs]
        calls = [model.bind(inp, out) for inp, out in pairs]
        for which in (1, 0, None, 1, None, 0, 0, 1):
            if which is None:
                self._infer(model, make_items(1) + 5)
                continue
            for _, out in pairs:
                out[...] = np.nan
            calls[which]()
            seen, other = pairs[which][1], pairs[1 - which][1]
            right = np.array_equal(seen, wanted[which]) and bool(np.isnan(other).all())
            assert right, (
                f"of two bound calls number {which + 1} wrote {seen}, not {wanted[which]}; "
                f"the output of the other is {other}"
            )

    def test_model_24_nothing_is_kept_of_a_bound_call(self) -> None:
        model = self._load()
        bound = [model.bind(make_items(1), empty(1)) for _ in range(3)]

        def calls() -> None:
            for number in range(_CALLS):
                bound[number % 3]()

        kept = bytes_kept(calls)
        assert kept < SLACK_BYTES, f"{_CALLS} bound calls kept {kept} B"

    def test_model_25_a_bound_call_leaves_nothing_behind(self) -> None:
        model = self._load()

        def calls() -> None:
            for _ in range(_CALLS):
                model.bind(make_items(1), empty(1))()

        kept = bytes_kept(calls)
        assert kept < SLACK_BYTES, f"{_CALLS} calls that were bound and given up left {kept} B"


def _bind_and_call(model: ComputeModel, inp: Floats, out: Floats) -> None:
    model.bind(inp, out)()


def _bound_to_a_part(
    model: ComputeModel,
) -> tuple[Callable[[], None], dict[str, weakref.ref[Floats]]]:
    """Bind parts of two arrays; the call, and whether those arrays are still there."""
    takes, gives = make_items(2), empty(2)
    call = model.bind(takes[:1], gives[:1])
    return call, {"input": weakref.ref(takes), "output": weakref.ref(gives)}
