"""Train the activity classifier of this example and export it as ONNX.

For whoever maintains the example; running it needs only the exported file.
Requires torch, numpy, onnx and onnxruntime.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

HERE = Path(__file__).parent
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
LABELS = ("badminton", "running", "standing", "walking")
WINDOW = 50
STRIDE = 25

SEED = 7
EPOCHS = 150
BATCH = 24
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-3

OPSET = 17
IR_VERSION = 8
MAX_BYTES = 32 * 1024
TOLERANCE = 1e-5


class Net(nn.Module):
    """The classifier as trained; `export` writes the same graph as ONNX."""

    mean: Tensor
    inv_std: Tensor

    def __init__(self, mean: Floats, inv_std: Floats) -> None:
        """Keep the normalisation in the model, so callers feed raw samples."""
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("inv_std", torch.from_numpy(inv_std))
        self.conv1 = nn.Conv1d(len(CHANNELS), 16, kernel_size=5, padding=2)
        self.conv2 = nn.Conv1d(16, 32, kernel_size=5, padding=2)
        self.dense = nn.Linear(32, len(LABELS))

    def forward(self, window: Tensor) -> Tensor:
        """Return logits for the training loss; softmax is applied on export."""
        x = ((window - self.mean) * self.inv_std).transpose(1, 2)
        x = nn.functional.max_pool1d(torch.relu(self.conv1(x)), 2)
        x = torch.relu(self.conv2(x)).mean(dim=2)
        logits: Tensor = self.dense(x)
        return logits


def load_windows(path: Path) -> tuple[Floats, Ints]:
    """Cut a CSV file into labelled windows, none of which spans two series."""
    series: dict[str, list[list[float]]] = {}
    labels: dict[str, str] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["series"]
            if labels.setdefault(key, row["label"]) != row["label"]:
                raise ValueError(f"{path}: series {key} has more than one label")
            series.setdefault(key, []).append([float(row[name]) for name in CHANNELS])
    windows: list[list[list[float]]] = []
    targets: list[int] = []
    for key, samples in series.items():
        for start in range(0, len(samples) - WINDOW + 1, STRIDE):
            windows.append(samples[start : start + WINDOW])
            targets.append(LABELS.index(labels[key]))
    if not windows:
        raise ValueError(f"{path}: no series of at least {WINDOW} samples")
    return np.asarray(windows, dtype=np.float32), np.asarray(targets, dtype=np.int64)


def train(windows: Floats, targets: Ints) -> Net:
    """Fit the network with a fixed seed, so that a rerun gives the same weights."""
    torch.manual_seed(SEED)
    samples = windows.reshape(-1, len(CHANNELS)).astype(np.float64)
    std = samples.std(axis=0)
    net = Net(samples.mean(axis=0).astype(np.float32), (1.0 / std).astype(np.float32))
    spread = torch.from_numpy(std.astype(np.float32))
    x, y = torch.from_numpy(windows), torch.from_numpy(targets)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for _ in range(EPOCHS):
        for index in torch.split(torch.randperm(len(x)), BATCH):
            scale = 1.0 + 0.1 * torch.randn(len(index), 1, 1)
            noise = 0.03 * spread * torch.randn(len(index), WINDOW, len(CHANNELS))
            optimizer.zero_grad()
            loss_of(net(x[index] * scale + noise), y[index]).backward()
            optimizer.step()
        schedule.step()
    return net.eval()


def export(net: Net) -> onnx.ModelProto:
    """Build the ONNX graph from the trained weights, in plain operators only."""
    tensors = {name: value.numpy(force=True) for name, value in net.state_dict().items()}
    nodes = [
        helper.make_node("Sub", ["window", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "inv_std"], ["normalised"]),
        helper.make_node("Transpose", ["normalised"], ["channels_first"], perm=[0, 2, 1]),
        helper.make_node(
            "Conv",
            ["channels_first", "conv1.weight", "conv1.bias"],
            ["conv1"],
            kernel_shape=[5],
            pads=[2, 2],
        ),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("MaxPool", ["relu1"], ["pool1"], kernel_shape=[2], strides=[2]),
        helper.make_node(
            "Conv",
            ["pool1", "conv2.weight", "conv2.bias"],
            ["conv2"],
            kernel_shape=[5],
            pads=[2, 2],
        ),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("GlobalAveragePool", ["relu2"], ["pool2"]),
        helper.make_node("Flatten", ["pool2"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "dense.weight", "dense.bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    for node in nodes:
        node.name = node.output[0]
    graph = helper.make_graph(
        nodes,
        "activity",
        [
            helper.make_tensor_value_info(
                "window", TensorProto.FLOAT, ["batch", WINDOW, len(CHANNELS)]
            )
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="limen",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, {"labels": json.dumps(LABELS)})
    return model


def check(model: onnx.ModelProto, net: Net, windows: Floats) -> tuple[bytes, Floats]:
    """Serialise the model and return it with its outputs, once it matches torch."""
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    if len(data) > MAX_BYTES:
        raise RuntimeError(f"the model takes {len(data)} bytes, more than {MAX_BYTES}")
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = torch.softmax(net(torch.from_numpy(windows)), dim=1).numpy()
    together = np.asarray(session.run(None, {"window": windows})[0], dtype=np.float32)
    singly = np.concatenate([session.run(None, {"window": one[None]})[0] for one in windows])
    for actual in (together, singly):
        difference = float(np.abs(actual - expected).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"ONNX Runtime and torch differ by {difference}")
    return data, together


def main() -> None:
    """Run from the command line: train, export, check, and print the accuracy."""
    parser = argparse.ArgumentParser(description="Train and export the activity classifier.")
    parser.add_argument("--train", type=Path, required=True, help="training CSV file")
    parser.add_argument("--test", type=Path, default=HERE / "test.csv", help="evaluation CSV file")
    parser.add_argument("--out", type=Path, default=HERE / "activity.onnx", help="file to write")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    train_windows, train_targets = load_windows(args.train)
    test_windows, test_targets = load_windows(args.test)

    net = train(train_windows, train_targets)
    data, probabilities = check(export(net), net, test_windows)
    args.out.write_bytes(data)

    hits = int((probabilities.argmax(axis=1) == test_targets).sum())
    print(f"parameters {sum(value.numel() for value in net.parameters())}")
    print(f"size {len(data)} bytes")
    print(f"windows {hits} of {len(test_targets)} correct")
    print(f"accuracy {100 * hits / len(test_targets):.4g} %")


if __name__ == "__main__":
    main()
