"""Opens a .tflite file with LiteRT and prints its tensors, operators and outputs as JSON.

Usage: litert.py MODEL INPUT, where INPUT holds the raw bytes of the only input.
"""
import json
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

interpreter = Interpreter(
    model_path=sys.argv[1],
    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
)
interpreter.allocate_tensors()
(entry,) = interpreter.get_input_details()
raw = np.fromfile(sys.argv[2], dtype=entry["dtype"]).reshape(entry["shape"])
interpreter.set_tensor(entry["index"], raw)
interpreter.invoke()


def quantisation(details):
    q = details["quantization_parameters"]
    return {"scale": q["scales"].tolist(), "zero": q["zero_points"].tolist(), "axis": int(q["quantized_dimension"])}


print(json.dumps({
    "tensors": [
        {"name": t["name"], "type": np.dtype(t["dtype"]).name, "shape": t["shape"].tolist(), **quantisation(t)}
        for t in interpreter.get_tensor_details()
    ],
    "operators": [o["op_name"] for o in interpreter._get_ops_details()],
    "outputs": [interpreter.get_tensor(o["index"]).astype(float).ravel().tolist() for o in interpreter.get_output_details()],
}))
