"""Converts a run's float network with TensorFlow's own converter, to compare xbm-convert with.

  python3 tensorflow.py RUN FRAMES.npy OUT.tflite

RUN holds network.json and model.safetensors (xbm-train fit); FRAMES.npy is uint8 [N, H, W, 3], the calibration pictures
at the network's input size, as xbm-convert quantize --frames writes them. Needs tensorflow (or tensorflow-cpu).
scripts/bench_convert.sh calls it.

The network is built in Keras from the very weights, so both converters begin with the same float graph. Prints JSON: the
seconds of conversion, without the import and the building of the graph, by the clock and of all processors; those of
everything; and the peak memory.
"""

import json
import os
import resource
import struct
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

began = time.perf_counter()
sys.path.pop(0)  # this folder, where tensorflow would be this very file

import numpy as np
import tensorflow as tf

L = tf.keras.layers


def read_safetensors(path):
    with open(path, "rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = f.read()
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        if t["dtype"] != "F32":
            raise SystemExit(f"{path}: {name} is {t['dtype']}, not F32")
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(data[a:b], np.float32).reshape(t["shape"])
    return out


ACTIVATIONS = {
    "": None,
    "linear": None,
    "relu": L.ReLU,
    "relu6": lambda: L.ReLU(max_value=6),
}


def pad(layer, x):
    """Pads symmetrically where the network asks for it; Keras' SAME is TensorFlow's."""
    kernel = layer.get("kernel", 1)
    if layer.get("padding", "same") in ("", "same") or kernel == 1:
        return x, "same"
    return L.ZeroPadding2D(kernel // 2)(x), "valid"


def build(net, weights):
    shape = net["input"]
    inputs = tf.keras.Input((shape["h"], shape["w"], shape["c"]), batch_size=1)
    values = []
    for layer in net["layers"]:
        xs = [inputs if i < 0 else values[i] for i in layer["inputs"]]
        kind, name = layer["kind"], layer["name"]
        if layer.get("batch_norm"):
            raise SystemExit(f"{name} has a batch norm: give a finished run, where they are folded")
        x = xs[0]
        if kind in ("conv", "depthwise", "dense"):
            w, b = weights[name + ".weight"], weights[name + ".bias"]
            if kind == "dense":  # on a map of one pixel, as xbm-convert writes it
                w = w[:, :, None, None]
            stride = layer.get("stride") or 1
            x, padding = pad(layer, x)
            if kind == "depthwise":
                op = L.DepthwiseConv2D(w.shape[2], stride, padding)
                w = w.transpose(2, 3, 0, 1)
            else:
                op = L.Conv2D(w.shape[0], w.shape[2], stride, padding)
                w = w.transpose(2, 3, 1, 0)
            x = op(x)
            op.set_weights([w, b])
        elif kind == "add":
            x = L.Add()(xs)
        elif kind == "globalavg":
            x = L.GlobalAveragePooling2D(keepdims=True)(x)
        elif kind == "maxpool":
            x, padding = pad(layer, x)
            x = L.MaxPooling2D(layer["kernel"], layer["stride"], padding)(x)
        elif kind == "avgpool":
            x = L.AveragePooling2D(layer["kernel"], layer["stride"], "same")(x)
        else:
            raise SystemExit(f"{name}: this script knows no {kind}")
        if layer["activation"] not in ACTIVATIONS:
            raise SystemExit(f"{name}: this script knows no {layer['activation']}")
        activation = ACTIVATIONS[layer["activation"]]
        values.append(activation()(x) if activation else x)
    return tf.keras.Model(inputs, values[-1])


def main(run, frames, out):
    with open(os.path.join(run, "network.json")) as f:
        net = json.load(f)
    model = build(net, read_safetensors(os.path.join(run, "model.safetensors")))
    pixels = np.load(frames)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != tuple(model.input_shape[1:]):
        raise SystemExit(f"{frames} is {pixels.dtype} {pixels.shape}, not uint8 [N, {model.input_shape[1:]}]")

    def samples():
        for p in pixels:
            yield [p[None].astype(np.float32) / 127.5 - 1]

    converting, worked = time.perf_counter(), time.process_time()
    c = tf.lite.TFLiteConverter.from_keras_model(model)
    c.optimizations = [tf.lite.Optimize.DEFAULT]
    c.representative_dataset = samples
    c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    c.inference_input_type = c.inference_output_type = tf.int8
    file = c.convert()
    ended, worked = time.perf_counter(), time.process_time() - worked
    with open(out, "wb") as f:
        f.write(file)
    print(
        json.dumps(
            {
                "tensorflow": tf.__version__,
                "samples": len(pixels),
                "bytes": len(file),
                "conversion_seconds": round(ended - converting, 2),
                "cpu_seconds": round(worked, 2),
                "total_seconds": round(ended - began, 2),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
