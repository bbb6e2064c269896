"""What somebody would write in Python in the place of xbm-agent: OpenCV reads the camera, LiteRT embeds, numpy finds the
nearest of the enrolled, paho publishes each frame's answer at QoS 1.

    peer.py URL MODEL SECONDS BROKER_PORT ENROLLED    prints one JSON object

Needs opencv-python-headless, ai-edge-litert, numpy and paho-mqtt.
"""

import json
import os
import sys
import time

import cv2
import numpy as np
import paho.mqtt.client as mqtt
from ai_edge_litert.interpreter import Interpreter

url, path, seconds, port, enrolled = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])

cv2.setNumThreads(1)
model = Interpreter(path, num_threads=1)
model.allocate_tensors()
source, target = model.get_input_details()[0], model.get_output_details()[0]
_, height, width, _ = source["shape"]
gallery = np.random.default_rng(1).standard_normal((enrolled, int(np.prod(target["shape"])))).astype(np.float32)
gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", port)
client.loop_start()
camera = cv2.VideoCapture(url)

took, in_model, frames = [], [], 0
begin = time.monotonic()
while time.monotonic() - begin < seconds:
    there, frame = camera.read()
    if not there:
        break
    started = time.monotonic()
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    square = cv2.resize(frame[top : top + side, left : left + side], (width, height), interpolation=cv2.INTER_LINEAR)
    picture = cv2.cvtColor(square, cv2.COLOR_BGR2RGB)
    if source["dtype"] == np.int8:
        picture = (picture.astype(np.int16) - 128).astype(np.int8)
    elif source["dtype"] == np.float32:
        picture = picture.astype(np.float32) / 127.5 - 1
    model.set_tensor(source["index"], picture[None])
    before = time.monotonic()
    model.invoke()
    in_model.append(time.monotonic() - before)
    found = model.get_tensor(target["index"]).reshape(-1).astype(np.float32)
    scale, zero = target["quantization"]
    if scale:
        found = (found - zero) * scale
    found /= np.linalg.norm(found) + 1e-9
    scores = gallery @ found
    best = int(scores.argmax())
    client.publish("bench/match", json.dumps({"id": best, "score": float(scores[best])}), qos=1)
    took.append(time.monotonic() - started)
    frames += 1
elapsed = time.monotonic() - begin

memory = {}
with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
    for line in lines:
        if line.endswith("kB\n"):
            name, kilobytes = line.split()[:2]
            memory[name.rstrip(":")] = 1.024 * int(kilobytes) / 1000  # of a million bytes
print(json.dumps({
    "frames": frames, "fps": round(frames / elapsed, 1), "rss_mb": round(memory["Rss"], 1), "pss_mb": round(memory["Pss"], 1),
    "model_p50_ms": round(1e3 * sorted(in_model)[frames // 2], 2), "frame_p50_ms": round(1e3 * sorted(took)[frames // 2], 2),
    "cpu_seconds": round(sum(os.times()[:2]), 1),
}), flush=True)
os._exit(0)  # OpenCV's threads may wait for the camera
