"""Loading models over and over leaves neither threads nor memory behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOADS, SETTLED = 1000, 200
BOUND_BYTES = 8 << 20

CODE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from limen.compute import find_backend
from models import make_model

backend, form, loads, settled = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
page = os.sysconf("SC_PAGE_SIZE")

def looked_at():
    with open("/proc/self/statm") as file:
        rss = int(file.read().split()[1]) * page
    return {"threads": len(os.listdir("/proc/self/task")), "rss": rss}

artifact = make_model("mlp", form)
inp, out = np.ones((1, 8), np.float32), np.zeros((1, 4), np.float32)
seen = {"before": looked_at()}
for turn in range(loads):
    if turn == settled:
        seen["settled"] = looked_at()
    out[:] = 0
    find_backend(backend).load_model(artifact).infer_batch(inp, out)
    assert out.any()
    if turn == 0:
        seen["first"] = looked_at()
seen["after"] = looked_at()
print(json.dumps(seen))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
@pytest.mark.parametrize(
    ("backend", "form"),
    [
        ("onnxruntime", "onnx"),
        ("litert", "tflite"),
        ("openvino", "onnx"),
        ("openvino", "ir"),
        ("c", "onnx"),
    ],
)
def test_a_thousand_loads_leave_no_thread_and_no_memory(backend: str, form: str) -> None:
    arguments = [str(Path(__file__).parent), backend, form, str(LOADS), str(SETTLED)]
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    grown = seen["after"]["rss"] - seen["settled"]["rss"]
    print(
        f"{backend} {form}: threads {seen['before']['threads']} -> {seen['after']['threads']}, "
        f"rss {seen['settled']['rss'] >> 10} -> {seen['after']['rss'] >> 10} KiB "
        f"from load {SETTLED} to {LOADS}"
    )
    assert grown < BOUND_BYTES
    # What the engine starts for itself with its first model may stay; nothing may come on top.
    assert seen["after"]["threads"] <= seen["first"]["threads"]


def test_a_model_is_gone_with_its_last_reference() -> None:
    """Not only when the garbage collector comes by: engines' threads would pile up until then."""
    code = (
        "import gc, sys, weakref; gc.disable(); sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np\n"
        "from limen.compute import find_backend\n"
        "from models import make_model\n"
        "for name, form in (('onnxruntime', 'onnx'), ('litert', 'tflite'), ('openvino', 'ir'),\n"
        "                   ('c', 'onnx')):\n"
        "    model = find_backend(name).load_model(make_model('mlp', form))\n"
        "    model.infer_batch(np.ones((1, 8), np.float32), np.zeros((1, 4), np.float32))\n"
        "    gone = weakref.ref(model)\n"
        "    del model\n"
        "    assert gone() is None, name\n"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
