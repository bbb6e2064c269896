"""Writes vectors.json: losses and gradients of pytorch-metric-learning that the losses of this package must equal.

Needs a Python with torch and pytorch-metric-learning 2.9 (CPU is enough):

    python training/internal/xbm/testdata/vectors.py > training/internal/xbm/testdata/vectors.json

The numbers come from a fixed seed, so that a second run writes the same file. Each case holds a loss, its parameters,
and steps; a step holds a batch of embeddings, their labels, and the loss with its gradient towards the embeddings. The
references of a case are its own batch ("batch"), other embeddings that are given ("references"), or a CrossBatchMemory
of some size, of which each step enqueues its batch first ("memory").
"""

import json

import torch
from pytorch_metric_learning import distances, losses, miners, reducers

DIM = 4


def rows(n):
    return torch.round(torch.randn(n, DIM), decimals=3)


def classes(*labels):
    return torch.tensor(labels, dtype=torch.long)


def near(labels, spread):
    """Embeddings that lie around their class's centre."""
    centres = torch.randn(int(labels.max()) + 1, DIM)
    return torch.round(centres[labels] + spread * torch.randn(len(labels), DIM), decimals=3)


def build(kind, p):
    """Returns a loss of pytorch-metric-learning and its miner or None."""
    cosine = distances.CosineSimilarity()
    if kind == "contrastive":
        reducer = {"nonzero": reducers.AvgNonZeroReducer, "mean": reducers.MeanReducer}[p["reduction"]]()
        powered = distances.CosineSimilarity(power=p.get("power", 1))
        return losses.ContrastiveLoss(p["positive"], p["negative"], distance=powered, reducer=reducer), None
    if kind == "triplet":
        loss = losses.TripletMarginLoss(p["margin"], distance=cosine)
        if p["mining"] == "hard":
            return loss, miners.BatchHardMiner(distance=cosine)
        return loss, miners.TripletMarginMiner(p["margin"], type_of_triplets="semihard", distance=cosine)
    if kind == "multi_similarity":
        mined = miners.MultiSimilarityMiner(p["epsilon"]) if p["epsilon"] >= 0 else None
        return losses.MultiSimilarityLoss(p["alpha"], p["beta"], p["base"]), mined
    raise ValueError(kind)


def step(f, embeddings, labels):
    x = embeddings.clone().requires_grad_()
    loss = f(x, labels)
    if loss.requires_grad:
        loss.backward()
    gradient = torch.zeros_like(x) if x.grad is None else x.grad
    return {
        "embeddings": embeddings.tolist(),
        "labels": labels.tolist(),
        "loss": loss.item(),
        "gradient": gradient.tolist(),
    }


def against_batch(kind, p, embeddings, labels):
    loss, miner = build(kind, p)
    return {"steps": [step(lambda x, y: loss(x, y, miner(x, y) if miner else None), embeddings, labels)]}


def against_references(kind, p, embeddings, labels, references, reference_labels):
    loss, miner = build(kind, p)

    def f(x, y):
        mined = miner(x, y, references, reference_labels) if miner else None
        return loss(x, y, mined, references, reference_labels)

    return {
        "references": references.tolist(),
        "reference_labels": reference_labels.tolist(),
        "steps": [step(f, embeddings, labels)],
    }


def against_memory(kind, p, size, batches):
    loss, miner = build(kind, p)
    memory = losses.CrossBatchMemory(loss, DIM, memory_size=size, miner=miner)
    return {"memory": size, "steps": [step(memory, x, y) for x, y in batches]}


LOSSES = [
    ("contrastive", {"positive": 1, "negative": 0.1, "reduction": "nonzero"}),
    ("contrastive", {"positive": 0.8, "negative": -0.3, "reduction": "nonzero"}),
    ("contrastive", {"positive": 0.9, "negative": 0.2, "reduction": "mean"}),
    ("contrastive", {"positive": 0.9, "negative": 0.1, "reduction": "nonzero", "power": 2}),
    ("contrastive", {"positive": 0.9, "negative": -0.2, "reduction": "mean", "power": 3}),
    ("triplet", {"margin": 0.2, "mining": "hard"}),
    ("triplet", {"margin": 0.2, "mining": "semihard"}),
    ("triplet", {"margin": 0.7, "mining": "semihard"}),
    ("multi_similarity", {"alpha": 2, "beta": 50, "base": 0.5, "epsilon": 0.1}),
    ("multi_similarity", {"alpha": 2, "beta": 40, "base": 0.5, "epsilon": 0}),
    ("multi_similarity", {"alpha": 18, "beta": 75, "base": 0.77, "epsilon": -1}),
]


def pair_cases():
    def add(name, kind, p, case):
        cases.append({"name": name, "kind": kind, "parameters": p, **case})

    cases = []
    pairs = classes(0, 0, 1, 1, 2, 2, 3, 3)
    mixed = classes(0, 3, 0, 1, 1, 0, 7)
    for kind, p in LOSSES:
        for name, x, y in [
            ("random", rows(8), pairs),
            ("uneven", rows(7), mixed),
            ("clusters", near(pairs, 0.6), pairs),
            ("no positives", rows(5), classes(0, 1, 2, 3, 4)),
            ("no negatives", rows(5), classes(0, 0, 0, 0, 0)),
            ("nothing to learn", torch.eye(DIM)[pairs], pairs),
        ]:
            if name == "nothing to learn" and p.get("negative", 0) < 0:
                continue  # orthogonal classes are still too near there
            add(name, kind, p, against_batch(kind, p, x, y))

        x, refs = rows(6), rows(17)
        y, ref_y = classes(0, 0, 1, 1, 2, 5), torch.arange(17) % 5
        add("other references", kind, p, against_references(kind, p, x, y, refs, ref_y))
        both, both_y = torch.cat([x, refs[:7]]), torch.cat([y, ref_y[:7]])
        add("references that hold the batch", kind, p, against_references(kind, p, x, y, both, both_y))
        add("references without positives", kind, p, against_references(kind, p, x, y, refs, ref_y + 10))
        add("references without negatives", kind, p, against_references(kind, p, x, y * 0, refs, ref_y * 0))

        batches = [(rows(6), torch.randint(0, 3, (3,)).repeat_interleave(2)) for _ in range(5)]
        add("memory, wrapped inside a batch", kind, p, against_memory(kind, p, 14, batches))
        add("memory, never full", kind, p, against_memory(kind, p, 100, batches[:3]))
        if p.get("positive") == 1 and p["reduction"] == "nonzero":
            continue  # whether a copy's similarity is below 1, and counts, is for rounding to say
        repeated = batches[:1] * 3 + batches[1:3]  # the same photos again and again
        add("memory with copies of the batch", kind, p, against_memory(kind, p, 13, repeated))
    return cases


def proxy_cases():
    cases = []
    for name, x, y, count in [
        ("random", rows(8), classes(0, 0, 1, 1, 2, 2, 3, 3), 4),
        ("classes that the batch lacks", rows(5), classes(0, 5, 5, 0, 2), 7),
        ("one class", rows(4), classes(0, 0, 0, 0), 1),
    ]:
        for p in [{"margin": 0.1, "alpha": 32}, {"margin": 0.3, "alpha": 8}]:
            loss = losses.ProxyAnchorLoss(count, DIM, margin=p["margin"], alpha=p["alpha"])
            proxies = rows(count)
            loss.proxies.data = proxies.clone()
            done = step(loss, x, y)
            gradient = loss.proxies.grad.tolist()
            cases.append(
                {
                    "name": name,
                    "kind": "proxy_anchor",
                    "parameters": p,
                    "proxies": proxies.tolist(),
                    "proxy_gradient": gradient,
                    "steps": [done],
                }
            )
    return cases


def shorten(value):
    """Seven digits are all that float32 holds."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [shorten(v) for v in value]
    if isinstance(value, dict):
        return {k: shorten(v) for k, v in value.items()}
    return value


if __name__ == "__main__":
    torch.manual_seed(1)
    torch.set_num_threads(1)
    print("[")
    print(",\n".join(json.dumps(shorten(case), separators=(",", ":")) for case in pair_cases() + proxy_cases()))
    print("]")
