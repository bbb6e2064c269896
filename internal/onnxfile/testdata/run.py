"""Checks an ONNX model and runs it on ONNX Runtime; prints what it declares and what it gives as JSON.

Usage: run.py MODEL INPUT, where INPUT holds float32 values, as many samples of the model's only input as there are.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime

model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(entry,), (result,) = session.get_inputs(), session.get_outputs()
x = np.fromfile(sys.argv[2], dtype=np.float32).reshape(-1, *entry.shape[1:])
(y,) = session.run(None, {entry.name: x})
print(json.dumps({
    "input": [entry.name, entry.type, *map(str, entry.shape)],
    "output": [result.name, result.type, *map(str, result.shape)],
    "metadata": {p.key: p.value for p in model.metadata_props},
    "values": y.astype(float).reshape(len(x), -1).tolist(),
}))
