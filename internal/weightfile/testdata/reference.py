"""Prints reference.json: what torchvision's and timm's networks make of weights and a picture made by a formula.

Run it with a Python that has torch, torchvision and timm:

    python internal/weightfile/testdata/reference.py > internal/weightfile/testdata/reference.json

It takes no weights from anywhere. The formula is `values` below; reference_test.go has the same one.
"""

import json

import numpy as np
import timm
import torch
import torchvision


def values(name, count):
    """The first values of the pseudo-random series of that name, from -0.5 to below 0.5."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    v = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    for _ in range(2):
        v ^= v >> np.uint64(16)
        v = (v * 0x45D9F3B) & 0xFFFFFFFF
    v ^= v >> np.uint64(16)
    return (v / 2**32 - 0.5).astype(np.float64)


def fill(name, shape):
    """The tensor of that name: batch norms near the identity, weights as He et al. start them."""
    v = values(name, int(np.prod(shape)))
    if name.endswith("running_var"):
        v = 1 + v
    elif name.endswith(".weight") and len(shape) == 1:
        v = 1 + 0.4 * v
    elif name.endswith(".weight"):
        v = v * np.sqrt(24 / np.prod(shape[1:]))
    else:
        v = 0.2 * v
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def torchvision_features(net, x):
    if isinstance(net, torchvision.models.ResNet):
        net.fc = torch.nn.Identity()
        return net(x)
    x = net.features(x).mean((2, 3))
    if isinstance(net, torchvision.models.MobileNetV3):
        x = net.classifier[1](net.classifier[0](x))
    return x


def timm_features(net, x):
    return net.forward_head(net.forward_features(x), pre_logits=True)


CASES = [  # network here, width, size, its maker, its name there, options
    ("mobilenetv2_torch", 1.0, 64, "torchvision", "mobilenet_v2", {}),
    ("mobilenetv2_torch", 0.35, 75, "torchvision", "mobilenet_v2", {"width_mult": 0.35}),
    ("mobilenetv2_torch", 1.4, 64, "timm", "mobilenetv2_140", {}),
    ("mobilenetv3_small", 1.0, 64, "torchvision", "mobilenet_v3_small", {}),
    ("mobilenetv3_small", 0.75, 75, "torchvision", "mobilenet_v3_small", {"width_mult": 0.75}),
    ("mobilenetv3_large", 1.0, 64, "torchvision", "mobilenet_v3_large", {}),
    ("mobilenetv3_small", 1.0, 64, "timm", "mobilenetv3_small_100", {}),
    ("mobilenetv3_large", 1.0, 64, "timm", "mobilenetv3_large_100", {}),
    ("resnet50", 1.0, 64, "torchvision", "resnet50", {}),
    ("resnet50_vd", 1.0, 75, "timm", "resnet50d", {}),
]


def main():
    torch.set_num_threads(2)
    out = []
    for network, width, size, maker, name, options in CASES:
        if maker == "timm":
            net = timm.create_model(name, pretrained=False, **options)
        else:
            net = getattr(torchvision.models, name)(weights=None, **options)
        state, tensors = {}, []
        for key, t in net.state_dict().items():
            shape = tuple(t.shape)
            if key.endswith("num_batches_tracked"):
                state[key] = t
                continue
            state[key] = fill(key, shape)
            norm = key.rsplit(".", 1)[0] + ".running_mean" in net.state_dict()
            if key.endswith(".weight") or (key.endswith(".bias") and not norm):
                tensors.append(key + " " + ",".join(map(str, shape)))
        net.load_state_dict(state)
        net.double().eval()  # so that what differs is ours
        x = 2 * values("picture", size * size * 3).reshape(1, size, size, 3)
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        x = torch.from_numpy(((x + 1) / 2 - mean) / deviation).permute(0, 3, 1, 2)
        with torch.no_grad():
            features = timm_features(net, x) if maker == "timm" else torchvision_features(net, x)
        y = features.flatten().numpy()
        out.append({
            "network": network, "width": width, "size": size, "maker": maker, "name": name,
            "count": len(y), "norm": float(np.linalg.norm(y)), "first": [round(float(v), 7) for v in y[:12]],
            "last": [round(float(v), 7) for v in y[-4:]], "tensors": " ".join(tensors).replace(",", "x"),
        })
    print(json.dumps(out, indent=1))


main()
