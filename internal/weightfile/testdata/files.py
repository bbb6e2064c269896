"""Writes the small files of weights beside itself, which files_test.go reads.

Run it with a Python that has torch and numpy. Every file holds the same three tensors, made by a formula: w [2, 3],
the numbers 0, 0.5, 1 …; b [3], the numbers -1, -1.5, -2; and n, which is an integer and no weight.
"""

import argparse
import collections
import pathlib
import pickle

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent


def tensors(dtype=torch.float32):
    w = torch.arange(6, dtype=dtype).reshape(2, 3) / 2
    b = -1 - torch.arange(3, dtype=dtype) / 2
    return collections.OrderedDict(w=w, b=b, n=torch.tensor(7))


def main():
    torch.save(tensors(), HERE / "plain.pth")
    torch.save({"epoch": 3, "state_dict": tensors(torch.float16), "lr": 0.1}, HERE / "checkpoint_half.pth")
    torch.save({"model": tensors(torch.bfloat16)}, HERE / "checkpoint_bfloat16.pth")
    torch.save(tensors(), HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    views = tensors()
    # A transposed view that begins in the middle of its storage, and a parameter.
    storage = torch.cat([torch.zeros(4), views["w"].t().reshape(-1)])
    views["w"] = storage[4:].reshape(3, 2).t()
    views["b"] = torch.nn.Parameter(views["b"])
    torch.save(views, HERE / "views.pth")
    torch.save({"model": tensors(), "args": argparse.Namespace(lr=0.1)}, HERE / "with_namespace.pth")
    arrays = {k: v.numpy() for k, v in tensors().items()}
    arrays["StructuredToParameterName@@"] = {"w": "conv2d_0.w_0"}
    for protocol in 2, 4:
        data = pickle.dumps(arrays, protocol=protocol)
        if protocol == 2:  # as numpy 1 names its module
            data = data.replace(b"numpy._core", b"numpy.core")
        (HERE / f"protocol{protocol}.pdparams").write_bytes(data)


main()
