"""Makes what TestAgainstAccuracyCalculator and TestAgainstThePaper compare with.

Usage: accuracy.py FOLDER [EMBEDDINGS.npy LABELS.npy], with pytorch-metric-learning 2.9, faiss-cpu, numpy and torch.

Writes into FOLDER vectors with labels, and in expected.json what AccuracyCalculator makes of them: of all among
themselves, and of the first third looking in the rest. Vectors are left out until no right and wrong one are nearly
as far from a third, so that rounding decides nothing. EMBEDDINGS are those of the grocery photos in test/, by
MobileNetV2 (xbm-train predict --out), of which 16 random projections of 300 are kept; without them grocery is left as
it is in the folder, but not in expected.json.
"""
import json
import sys

import numpy as np
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

import rerank

MEASURES = ("mean_average_precision", "mean_average_precision_at_r", "r_precision", "precision_at_1")


def clear(vectors, labels, gap=2e-6):
    """Leaves out vectors until each one's right and wrong answers differ by more than gap in cosine."""
    while True:
        unit = vectors.astype(np.float64)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        scores = unit @ unit.T
        trouble = np.zeros(len(vectors), int)
        for i, row in enumerate(scores):
            order = np.argsort(-row)
            order = order[order != i]
            close = -np.diff(row[order]) < gap
            right = labels[order] == labels[i]
            close &= right[1:] != right[:-1]
            trouble[order[1:][close]] += 1
        if not trouble.any():
            return vectors, labels
        keep = np.arange(len(vectors)) != trouble.argmax()
        vectors, labels = vectors[keep], labels[keep]


def measure(vectors, labels):
    unit = (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
    third = len(unit) // 3
    result = {}
    for name, arguments in {
        "self": (unit, labels),
        "pair": (unit[:third], labels[:third], unit[third:], labels[third:]),
    }.items():
        result[name] = AccuracyCalculator(include=MEASURES).get_accuracy(*arguments)
        result[name]["per_class"] = AccuracyCalculator(include=MEASURES, return_per_class=True).get_accuracy(*arguments)
    return result


def random(rng, n=240, dim=16, classes=24):
    """Clusters of uneven sizes that overlap; the last two labels occur only once."""
    labels = rng.integers(0, classes, n)
    labels = np.append(labels, [classes + 5, classes + 9])
    vectors = rng.normal(size=(classes + 10, dim))[labels] + 1.1 * rng.normal(size=(len(labels), dim))
    order = rng.permutation(len(labels))
    return vectors[order].astype(np.float32), labels[order]


def grocery(path, labels_path, rng, n=300, dim=16):
    """A part of real embeddings, brought to few dimensions by a random projection and rounded."""
    vectors, labels = np.load(path), np.load(labels_path)
    chosen = rng.permutation(len(vectors))[:n]
    vectors = vectors[chosen] - vectors.mean(axis=0)
    vectors = vectors @ rng.normal(size=(vectors.shape[1], dim))
    vectors *= 2000 / np.abs(vectors).max()
    return np.round(vectors).astype(np.int16), labels[chosen].astype(np.uint8)


folder = sys.argv[1]
sets = {"random": random(np.random.default_rng(1))}
if len(sys.argv) > 3:
    sets["grocery"] = grocery(sys.argv[2], sys.argv[3], np.random.default_rng(2))
expected = {}
for name, (vectors, labels) in sets.items():
    vectors, labels = clear(vectors, labels)
    np.save(f"{folder}/{name}.npy", vectors)
    np.save(f"{folder}/{name}_labels.npy", labels)
    expected[name] = measure(vectors, labels)
    print(name, vectors.shape, {k: v for k, v in expected[name]["self"].items() if k != "per_class"})
with open(f"{folder}/expected.json", "w") as file:
    json.dump(expected, file, indent=1)
    file.write("\n")

vectors = np.load(f"{folder}/random.npy")[:150].astype(np.float64)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
for k1, k2, weight in [(20, 6, 0.3), (5, 1, 0), (7, 3, 0.85)]:
    pair = rerank.rerank(vectors[:50], vectors[50:], k1, k2, weight)
    np.save(f"{folder}/rerank_{k1}_{k2}_{weight}.npy", pair.astype(np.float32))
