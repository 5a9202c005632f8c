#!/usr/bin/env python3
"""Writes tests/golden/spline.json: spline couplings and whole flows of them by nflows and zuko, in float64.

    pip install -r tests/golden/requirements.txt && python3 tests/golden/make_spline.py

* nflows: PiecewiseRationalQuadraticCouplingTransform with tails="linear" and its MLP, in one case with the
  attribute `hidden_features`, by whose root nflows then divides widths and heights (here folded into the last
  layer), permutations, StandardNormal.
* zuko: GeneralCouplingTransform with MonotonicRQSTransform and its MLP (what zuko.flows.NSF has in its coupling
  form), DiagNormal.

Parameters and readings are rounded to f32 first, so that both sides have the same numbers.
"""

import json
import math
import pathlib

import nflows.distributions
import nflows.flows
import nflows.nn.nets
import nflows.transforms
import numpy as np
import torch
import zuko

torch.set_default_dtype(torch.float64)
torch.manual_seed(20260102)
rng = np.random.default_rng(20260102)
HERE = pathlib.Path(__file__).parent
MIN = float(np.float32(1e-3))


def f32(x):
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def fill(net, size):
    """Random f32 weights for every linear layer of a net; larger ones make steeper splines."""
    for module in net.modules():
        if isinstance(module, (torch.nn.Linear, zuko.nn.Linear)):
            a = module.in_features
            module.weight.data = torch.tensor(f32(rng.normal(0, size / np.sqrt(a), module.weight.shape)))
            module.bias.data = torch.tensor(f32(rng.normal(0, 0.3, module.bias.shape)))


def layers(net, scale=None):
    out = []
    for module in net.modules():
        if isinstance(module, (torch.nn.Linear, zuko.nn.Linear)):
            out.append([module.weight.detach().numpy().copy(), module.bias.detach().numpy().copy()])
    if scale is not None:
        out[-1] = [out[-1][0] * scale[:, None], out[-1][1] * scale]
    return [
        {"inputs": w.shape[1], "outputs": w.shape[0], "weights": w.reshape(-1).tolist(), "bias": b.tolist()}
        for w, b in out
    ]


class Net(nflows.nn.nets.MLP):
    def forward(self, inputs, context=None):  # couplings pass a context that this net does not take
        return super().forward(inputs)


def nflows_coupling(conditions, bins, bound, hidden, size, divided):
    """An nflows transform and the same as JSON."""
    nets = []

    def create(inputs, outputs):
        net = Net([inputs], [outputs], hidden)
        fill(net, size)
        if divided:
            net.hidden_features = hidden[-1]
        nets.append(net)
        return net

    transform = nflows.transforms.PiecewiseRationalQuadraticCouplingTransform(
        [-1 if c else 1 for c in conditions],
        create,
        num_bins=bins,
        tails="linear",
        tail_bound=bound,
        min_bin_width=MIN,
        min_bin_height=MIN,
        min_derivative=MIN,
    )
    moved = len(conditions) - sum(conditions)
    scale = np.ones((moved, 3 * bins - 1))
    if divided:
        scale[:, : 2 * bins] /= math.sqrt(hidden[-1])
    step = {
        "kind": "spline",
        "mask": conditions,
        "bins": bins,
        "bound": bound,
        "min_bin": MIN,
        "min_derivative": MIN,
        "parameters": "softplus",
        "layers": layers(nets[0], scale.reshape(-1)),
    }
    return transform, step


def zuko_coupling(conditions, bins, hidden, size):
    lazy = zuko.flows.GeneralCouplingTransform(
        features=len(conditions),
        mask=conditions,
        univariate=zuko.transforms.MonotonicRQSTransform,
        shapes=[(bins,), (bins,), (bins - 1,)],
        hidden_features=hidden,
    )
    fill(lazy, size)
    step = {
        "kind": "spline",
        "mask": conditions,
        "bins": bins,
        "bound": 5.0,
        "min_bin": 0.0,
        "min_derivative": 0.0,
        "parameters": "soft_clipped",
        "layers": layers(lazy),
    }
    return lazy, step


def readings(n, rows):
    """Normal ones; a fifth of the last quarter's values lie far out."""
    x = rng.normal(0, 1.5, (rows, n))
    far = rng.random((rows, n)) < 0.2
    far[: 3 * rows // 4] = False
    return f32(np.where(far, x * 4, x))


def case(name, source, steps, x, z, log_det, log_prob, back):
    # Where the map is nearly flat, z in f32 does not tell the reading.
    kept = log_det > -4.0
    assert kept.mean() > 0.5, name
    x, z, log_det, log_prob, back = (a[kept] for a in (x, z, log_det, log_prob, back))
    assert np.abs(back - x).max() < 1e-6, name
    points = [
        {"x": a.tolist(), "z": b.tolist(), "log_det": float(c), "log_prob": float(d)}
        for a, b, c, d in zip(x, z, log_det, log_prob)
    ]
    return {"name": name, "source": source, "features": x.shape[1], "steps": steps, "points": points}


def nflows_case(name, n, couplings, rows=50):
    """`couplings`: (mask, bins, bound, hidden, size, divided), a permutation between them."""
    transforms, steps = [], []
    for i, c in enumerate(couplings):
        if i > 0:
            order = rng.permutation(n).tolist()
            transforms.append(nflows.transforms.Permutation(torch.tensor(order)))
            steps.append({"kind": "permutation", "order": order})
        transform, step = nflows_coupling(*c)
        transforms.append(transform)
        steps.append(step)
    chain = nflows.transforms.CompositeTransform(transforms)
    flow = nflows.flows.Flow(chain, nflows.distributions.StandardNormal([n]))
    x = readings(n, rows)
    with torch.no_grad():
        z, log_det = chain.forward(torch.tensor(x))
        log_prob = flow.log_prob(torch.tensor(x))
        back, _ = chain.inverse(z)
    return case(name, "nflows", steps, x, z.numpy(), log_det.numpy(), log_prob.numpy(), back.numpy())


def zuko_case(name, n, couplings, rows=50):
    lazies, steps = zip(*[zuko_coupling(*c) for c in couplings])
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, loc=torch.zeros(n), scale=torch.ones(n), buffer=True
    )
    flow = zuko.lazy.Flow(list(lazies), base)()
    x = readings(n, rows)
    with torch.no_grad():
        z, log_det = flow.transform.call_and_ladj(torch.tensor(x))
        log_prob = flow.log_prob(torch.tensor(x))
        back = flow.transform.inv(z)
    return case(name, "zuko", list(steps), x, z.numpy(), log_det.numpy(), log_prob.numpy(), back.numpy())


def half(n, first):
    return [(i < n // 2) == first for i in range(n)]


def alternating(n, parity):
    return [i % 2 == parity for i in range(n)]


cases = [
    nflows_case("one coupling, 4 bins", 3, [([True, False, False], 4, 3.0, [7], 0.6, False)]),
    nflows_case("one coupling, 8 bins, steep", 4, [(half(4, True), 8, 5.0, [16], 0.7, False)]),
    nflows_case("one coupling, 16 bins, divided", 5, [(alternating(5, 0), 16, 4.0, [9, 6], 1.3, True)]),
    nflows_case(
        "flow of 4", 6, [(half(6, i % 2 == 0), 8, 5.0, [16, 16], 0.7, i % 2 == 1) for i in range(4)], rows=60
    ),
    zuko_case("one coupling, 8 bins", 4, [(alternating(4, 1), 8, [12], 1.0)]),
    zuko_case("one coupling, 5 bins, steep", 2, [([True, False], 5, [8], 1.5)]),
    zuko_case("flow of 4", 5, [(alternating(5, i % 2), 8, [16, 16], 0.5) for i in range(4)], rows=60),
]
(HERE / "spline.json").write_text(json.dumps({"cases": cases}) + "\n")
for c in cases:
    logs = [p["log_det"] for p in c["points"]]
    print(f"{c['source']}, {c['name']}: log_det from {min(logs):.2f} to {max(logs):.2f}")
