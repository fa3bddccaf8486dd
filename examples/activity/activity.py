"""The graph of activity.toml, written in Python."""

from __future__ import annotations

from pathlib import Path

import limen

HERE = Path(__file__).parent


def activity(data: Path = HERE / "test.csv", sink: limen.Sink | None = None) -> limen.Graph:
    """Build the graph: motion samples in, one activity a window out."""
    graph = limen.Graph("activity")
    graph.add(
        "imu", limen.io.CsvSource(data, columns=["ax", "ay", "az", "gx", "gy", "gz"], rate_hz=10)
    )
    graph.add("window", limen.nodes.Window(size=50, stride=25))
    graph.add(
        "classify",
        limen.Model(HERE / "activity.onnx"),
        policy=limen.NodePolicy(
            batching=limen.Batching.fixed_and_delta_t(4, "200ms"),
            deadline="250ms",
            sim_cost="2ms",
        ),
    )
    graph.add("print", limen.io.JsonLinesSink() if sink is None else sink)
    graph.chain("imu", "window", "classify", "print", policy=limen.EdgePolicy.drop_oldest(64))
    return graph


if __name__ == "__main__":
    print(limen.run(activity()))
