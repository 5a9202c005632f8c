#!/usr/bin/env python3
"""Writes tests/golden/conditioners.json: outputs of conditioner nets from PyTorch and nflows, in float64.

    pip install -r tests/golden/requirements.txt && python3 tests/golden/make_conditioners.py

* mlp: torch.nn.Linear with torch.nn.functional's activations;
* residual: nflows.nn.nets.ResidualNet;
* conv1d: torch.nn.Conv1d, `padding="same"`, or zeros in front for causal ones.

`conditioner` is in the JSON form of `flowlet_tools::flow::Conditioner`; parameters and inputs are rounded to f32
first, so that both sides have the same numbers. `outputs` stand in the order that a coupling wants: parameter p of
transformed feature t mc + c at p m + t mc + c.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from nflows.nn.nets import ResidualNet

torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20260307)
HERE = pathlib.Path(__file__).parent
LIMIT = 2.0
ACTIVATIONS = {"relu": F.relu, "leaky_relu": F.leaky_relu, "tanh": torch.tanh, "silu": F.silu}


def f32(x):
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def fill(module):
    """Weights of the size that training gives, rounded to f32."""
    for name, p in module.named_parameters():
        fan_in = np.prod(p.shape[1:]) if p.dim() > 1 else 1
        size = 1.2 / np.sqrt(fan_in) if "weight" in name else 0.2
        p.data = torch.tensor(f32(rng.normal(0, size, tuple(p.shape))))
    return module


def dense(layer):
    return {
        "inputs": layer.in_features,
        "outputs": layer.out_features,
        "weights": layer.weight.detach().reshape(-1).tolist(),
        "bias": layer.bias.detach().tolist(),
    }


def mlp(activation, widths):
    layers = [fill(torch.nn.Linear(a, b)) for a, b in zip(widths, widths[1:])]

    def run(x):
        for layer in layers[:-1]:
            x = ACTIVATIONS[activation](layer(x))
        return layers[-1](x)

    return {"kind": "mlp", "activation": activation, "layers": [dense(l) for l in layers]}, run


def residual(activation, inputs, width, blocks, outputs):
    net = ResidualNet(
        in_features=inputs,
        out_features=outputs,
        hidden_features=width,
        num_blocks=blocks,
        activation=ACTIVATIONS[activation],
    )
    fill(net).eval()
    described = {
        "kind": "residual",
        "activation": activation,
        "initial": dense(net.initial_layer),
        "blocks": [
            {"first": dense(b.linear_layers[0]), "second": dense(b.linear_layers[1])} for b in net.blocks
        ],
        "last": dense(net.final_layer),
    }
    return described, net


def conv1d(activation, padding, length, channels, contexts, widths, kernels, parameters):
    """The last of `widths` is `parameters` times the transformed channels."""
    sizes = [channels + contexts, *widths]
    layers = [
        fill(torch.nn.Conv1d(a, b, k, padding="same" if padding == "same" else 0))
        for a, b, k in zip(sizes, sizes[1:], kernels)
    ]

    def run(x):
        given, context = x[:, : length * channels], x[:, length * channels :]
        x = given.reshape(-1, length, channels).transpose(1, 2)
        x = torch.cat([x, context[:, :, None].expand(-1, -1, length)], dim=1)
        for i, layer in enumerate(layers):
            if padding == "causal":
                x = F.pad(x, (layer.kernel_size[0] - 1, 0))
            x = layer(x)
            if i + 1 < len(layers):
                x = ACTIVATIONS[activation](x)
        # N, p mc + c, t to N, p, t, c
        n = x.shape[0]
        return x.reshape(n, parameters, -1, length).transpose(2, 3).reshape(n, -1)

    described = {
        "kind": "conv1d",
        "activation": activation,
        "length": length,
        "channels": channels,
        "padding": padding,
        "layers": [
            {
                "inputs": l.in_channels,
                "outputs": l.out_channels,
                "kernel": l.kernel_size[0],
                "weights": l.weight.detach().permute(0, 2, 1).reshape(-1).tolist(),
                "bias": l.bias.detach().tolist(),
            }
            for l in layers
        ],
    }
    return described, run


def case(name, source, given, contexts, parameters, net):
    described, run = net
    x = f32(rng.normal(0, 1.2, (24, given + contexts)))
    with torch.no_grad():
        y = run(torch.clamp(torch.tensor(x), -LIMIT, LIMIT))
    return {
        "name": name,
        "source": source,
        "given": given,
        "contexts": contexts,
        "parameters": parameters,
        "input_limit": LIMIT,
        "conditioner": described,
        "points": [{"x": a.tolist(), "outputs": b.tolist()} for a, b in zip(x, y)],
    }


def main():
    cases = []
    for a in ACTIVATIONS:
        cases.append(case(f"mlp_{a}", "torch.nn.Linear", 3, 0, 1, mlp(a, [3, 11, 6, 5])))
        cases.append(case(f"mlp_context_{a}", "torch.nn.Linear", 4, 2, 2, mlp(a, [6, 16, 6])))
        cases.append(case(f"residual_{a}", "nflows ResidualNet", 5, 1, 1, residual(a, 6, 13, 2, 3)))
        cases.append(case(f"residual_wide_{a}", "nflows ResidualNet", 2, 0, 2, residual(a, 2, 16, 3, 4)))
        same = conv1d(a, "same", 6, 1, 0, [5, 4, 1], [5, 3, 3], 1)
        cases.append(case(f"conv_same_{a}", "torch.nn.Conv1d", 6, 0, 1, same))
        causal = conv1d(a, "causal", 5, 3, 2, [7, 4], [2, 4], 2)
        cases.append(case(f"conv_causal_{a}", "torch.nn.Conv1d", 15, 2, 2, causal))
    lines = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "conditioners.json").write_text(f"[\n{lines}\n]\n")
    print([c["name"] for c in cases])


if __name__ == "__main__":
    main()
