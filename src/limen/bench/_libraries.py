"""Other libraries that pass messages on; each is imported when it is measured."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final

from limen.bench._measure import now_ns

HOPS: Final = 8
CAPACITY: Final = 64
_TIMEOUT_S: Final = 60.0


def gstreamer(function: Callable[..., object], payload: object, count: int) -> float:
    """Pass empty buffers through ``identity`` elements, which are written in C.

    They call neither a function nor a queue: an element pushes into the next. From the state
    PLAYING on, so that the threads of a pipeline are part of it.
    """
    gi = importlib.import_module("gi")
    gi.require_version("Gst", "1.0")
    gst = importlib.import_module("gi.repository.Gst")
    gst.init(None)
    passing = " ! ".join(["identity silent=true signal-handoffs=false"] * HOPS)
    text = f"fakesrc num-buffers={count} sizetype=empty ! {passing} ! fakesink sync=false"
    pipeline = gst.parse_launch(text)
    try:
        begun = now_ns()
        pipeline.set_state(gst.State.PLAYING)
        wanted = gst.MessageType.EOS | gst.MessageType.ERROR
        message = pipeline.get_bus().timed_pop_filtered(int(_TIMEOUT_S * 1e9), wanted)
        took = now_ns() - begun
    finally:
        pipeline.set_state(gst.State.NULL)
    if message is None or message.type != gst.MessageType.EOS:
        raise RuntimeError("the pipeline did not reach its end")
    return took / (count * HOPS)


def lmflow(function: Callable[..., object], payload: object, count: int) -> float:
    """Pass whole numbers through kernels written in Python, in lm-flow's engine."""
    flow = importlib.import_module("lmflow")

    class Pass(flow.Kernel):  # type: ignore[misc,name-defined]  # known when it is installed
        def process(self, cc: object) -> None:
            cc.emit(0, function(cc.input(0).as_int()))  # type: ignore[attr-defined]  # as above

    # A name can be given once in a process.
    name = f"limen_bench_pass_{now_ns()}"
    flow.kernel(name)(Pass)
    nodes = "\n".join(
        f"  - {{ name: n{i}, kernel: {name}, input_ports: [p{i}], output_ports: [p{i + 1}] }}"
        for i in range(HOPS)
    )
    text = f"nodes:\n{nodes}\ninput_ports: [p0]\noutput_ports: [p{HOPS}]\n"
    graph = flow.Graph.from_yaml(text)
    results = graph.add_poller(f"p{HOPS}")
    graph.start()
    into = graph.input("p0")
    begun = now_ns()
    for number in range(count):
        into.send(payload, ts=number)
    graph.close_all_inputs()
    got = 0
    while got < count and results.next(timeout=_TIMEOUT_S) is not None:
        got += 1
    took = now_ns() - begun
    graph.wait_done(timeout=_TIMEOUT_S)
    if got != count:
        raise RuntimeError(f"{got} of {count} packets arrived")
    return took / (count * HOPS)


def pyzmq(function: Callable[..., object], payload: object, count: int) -> float:
    """Pass bytes through PUSH and PULL sockets within the process, all on one thread."""
    zmq = importlib.import_module("zmq")
    context = zmq.Context()
    pairs, made = [], []
    try:
        for number in range(HOPS + 1):
            pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
            made += [pull, push]
            for socket in (pull, push):
                socket.set_hwm(CAPACITY)
                socket.linger = 0
            pull.bind(f"inproc://hop{number}")
            push.connect(f"inproc://hop{number}")
            pairs.append((push, pull))
        data = str(payload).encode()
        begun = now_ns()
        for _ in range(count):
            pairs[0][0].send(data)
            for number in range(HOPS):
                pairs[number + 1][0].send(function(pairs[number][1].recv()))
            pairs[HOPS][1].recv()
        took = now_ns() - begun
    finally:
        for socket in made:
            socket.close()
        context.term()
    return took / (count * HOPS)


def bytewax(function: Callable[..., object], payload: object, count: int) -> float:
    """Pass objects through the ``map`` steps of a dataflow, one worker, in this process.

    From its start to its end: it can be run only whole.
    """
    testing = importlib.import_module("bytewax.testing")
    operators = importlib.import_module("bytewax.operators")
    flow = importlib.import_module("bytewax.dataflow").Dataflow("limen_bench")
    got: list[object] = []
    stream = operators.input("source", flow, testing.TestingSource([payload] * count))
    for number in range(HOPS):
        stream = operators.map(f"pass{number}", stream, function)
    operators.output("sink", stream, testing.TestingSink(got))
    begun = now_ns()
    testing.run_main(flow)
    took = now_ns() - begun
    if len(got) != count:
        raise RuntimeError(f"{len(got)} of {count} items arrived")
    return took / (count * HOPS)
