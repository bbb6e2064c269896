#!/usr/bin/env python3
"""Writes vectors.json: what PyTorch's optimisers make of three steps. Run it with a Python that has torch."""
import json
import pathlib

import torch

CASES = {
    "sgd": (torch.optim.SGD, dict(momentum=0.9, weight_decay=0.01), 0),
    "sgd plain": (torch.optim.SGD, dict(momentum=0.0, weight_decay=0.0), 0),
    "adam": (torch.optim.Adam, dict(weight_decay=0.01), 0),
    "adamw": (torch.optim.AdamW, dict(weight_decay=0.01), 0),
    "adamw clipped": (torch.optim.AdamW, dict(weight_decay=0.0), 0.5),
}


def run(make, options, clip):
    weight = torch.tensor([0.5, -1.0, 2.0, 0.1], requires_grad=True)
    bias = torch.tensor([0.3, -0.2], requires_grad=True)
    groups = [{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": 0.05, "weight_decay": 0.0}]
    optimizer = make(groups, **{k: v for k, v in options.items() if k != "weight_decay"}, lr=0.1, weight_decay=options["weight_decay"])
    norms = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (weight**3).sum() + (weight[:2] * bias).sum() + (bias**2).sum()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([weight, bias], clip or 1e9)))
        optimizer.step()
    return {"weight": weight.tolist(), "bias": bias.tolist(), "norms": norms}


out = {name: run(*case) for name, case in CASES.items()}
pathlib.Path(__file__).with_name("vectors.json").write_text(json.dumps(out, indent=1) + "\n")
