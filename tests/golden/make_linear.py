#!/usr/bin/env python3
"""Writes tests/golden/linear.json: additive and affine couplings, ActNorm, LU layers and whole NICE, RealNVP and
Glow-style flows, as nflows, normflows and zuko evaluate them in float64.

    pip install nflows normflows zuko && python3 tests/golden/make_linear.py

Parameters are rounded to f32 first. Where a library computes a parameter from another (the diagonal of an LU
layer), or holds the matrix in another factorization, what is written is rounded to f32 once more: 6e-8 relative.
normflows' layers are taken in their own forward direction.
"""

import json
import math
import pathlib

import nflows.distributions
import nflows.flows
import nflows.transforms as nt
import normflows as nf
import numpy as np
import torch
import zuko

torch.set_default_dtype(torch.float64)
torch.manual_seed(20260203)
rng = np.random.default_rng(20260203)
HERE = pathlib.Path(__file__).parent
LIMIT = 16.0


def f32(x):
    """Rounded to f32, as float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def listed(x):
    return f32(torch.as_tensor(x).detach().numpy()).reshape(-1).tolist()


def round_(*tensors):
    for t in tensors:
        t.data = t.data.float().double()


# --- nets and what they are in flowlet's JSON ------------------------------------------------------


class Net(torch.nn.Module):
    """An MLP with ReLU over saturated inputs; `order` permutes its outputs to what the library wants."""

    def __init__(self, inputs, hidden, outputs, order=None, size=0.7):
        super().__init__()
        widths = [inputs, *hidden, outputs]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        for layer in self.layers:
            torch.nn.init.normal_(layer.weight, std=size / math.sqrt(layer.in_features))
            torch.nn.init.normal_(layer.bias, std=0.2)
            round_(layer.weight, layer.bias)
        self.order = order

    def forward(self, x, context=None):
        x = torch.clamp(x, -LIMIT, LIMIT)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        x = self.layers[-1](x)
        return x if self.order is None else x[:, self.order]


def mlp(layers, outputs=None):
    """`outputs` says which of the library's outputs stands where in flowlet's."""
    layers = [
        {"inputs": l.in_features, "outputs": l.out_features, "w": l.weight.detach(), "b": l.bias.detach()}
        for l in layers
    ]
    if outputs is not None:
        layers[-1]["w"], layers[-1]["b"] = layers[-1]["w"][outputs], layers[-1]["b"][outputs]
    layers = [
        {"inputs": l["inputs"], "outputs": l["outputs"], "weights": listed(l["w"]), "bias": listed(l["b"])}
        for l in layers
    ]
    return {"kind": "mlp", "activation": "relu", "layers": layers}


def coupling(given, map_, net, limit=LIMIT):
    mask = [bool(g) for g in given]
    return {"kind": "coupling", "mask": mask, "map": map_, "input_limit": limit, "conditioner": net}


def affine(scale):
    return {"kind": "affine", "scale": scale}


def sigmoid(floor):
    return affine({"kind": "sigmoid", "offset": 2.0, "floor": float(f32(floor))})


def elementwise(log_scale, shift):
    return {"kind": "elementwise_affine", "log_scale": listed(log_scale), "shift": listed(shift)}


def linear(lower, upper, shift):
    return {"kind": "linear", "lower": listed(lower), "upper": listed(upper), "shift": listed(shift)}


def permuted_linear(matrix):
    """W = L U P by elimination with column pivots."""
    n = len(matrix)
    u, l, order = matrix.copy(), np.eye(n), np.arange(n)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(u[k, k:])))
        u[:, [k, pivot]] = u[:, [pivot, k]]
        order[[k, pivot]] = order[[pivot, k]]
        for i in range(k + 1, n):
            l[i, k] = u[i, k] / u[k, k]
            u[i] -= l[i, k] * u[k]
    assert np.allclose(l @ u, matrix[:, order])
    return [{"kind": "permutation", "order": order.tolist()}, linear(l, np.triu(u), np.zeros(n))]


def standardize(n):
    return {
        "kind": "standardize",
        "mean": f32(rng.normal(0, 20, n)).tolist(),
        "std": f32(np.exp(rng.normal(0, 1, n))).tolist(),
    }


# --- nflows ----------------------------------------------------------------------------------------


def nflows_lu(n):
    layer = nt.LULinear(n, identity_init=False)
    for p in layer.parameters():
        p.data = torch.randn_like(p) * 0.6
        round_(p)
    lower, upper = layer._create_lower_upper()
    return layer, [linear(lower, upper, layer.bias)]


def nflows_actnorm(n):
    layer = nt.ActNorm(n)
    layer.log_scale.data, layer.shift.data = 0.5 * torch.randn(n), torch.randn(n)
    round_(layer.log_scale, layer.shift)
    return layer.eval(), [elementwise(layer.log_scale, layer.shift)]


def nflows_coupling(n, even, hidden, additive, size=0.7):
    # nflows: 1 is transformed, -1 conditions.
    given = [(i % 2 == 0) == even for i in range(n)]
    kind = nt.AdditiveCouplingTransform if additive else nt.AffineCouplingTransform
    layer = kind(torch.tensor([-1.0 if g else 1.0 for g in given]), lambda a, b: Net(a, hidden, b, size=size))
    net = layer.transform_net
    map_ = {"kind": "additive"} if additive else sigmoid(1e-3)
    return layer, [coupling(given, map_, mlp(net.layers))]


def nflows_standardize(n):
    t = standardize(n)
    scale = 1 / torch.tensor(t["std"])
    return nt.PointwiseAffineTransform(-torch.tensor(t["mean"]) * scale, scale), [t]


def nflows_case(name, n, steps, rows=24, scale=1.5):
    layers, transforms = zip(*steps)
    transforms = [t for some in transforms for t in some]
    x = readings(transforms, n, rows, scale)
    flow = nflows.flows.Flow(nt.CompositeTransform(layers), nflows.distributions.StandardNormal([n]))
    with torch.no_grad():
        z, log_det = flow._transform(torch.tensor(x))
        log_prob = flow.log_prob(torch.tensor(x))
    return case(name, "nflows 0.14", n, transforms, x, z, log_det, log_prob)


# --- normflows -------------------------------------------------------------------------------------


def normflows_actnorm(n):
    layer = nf.flows.ActNorm((n,))
    layer.data_dep_init_done = torch.tensor(1.0)
    layer.s.data, layer.t.data = 0.4 * torch.randn(1, n), torch.randn(1, n)
    round_(layer.s, layer.t)
    return layer, [elementwise(layer.s, layer.t)]


class Backwards(torch.nn.Module):
    """A layer in its inverse direction."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer.inverse(x)


def normflows_lu(n):
    layer = nf.flows.mixing.LULinearPermute(n, identity_init=False)
    for p in layer.linear.parameters():
        p.data = torch.randn_like(p) * 0.3
        round_(p)
    lower, upper = layer.linear._create_lower_upper()
    order = {"kind": "permutation", "order": layer.permutation._permutation.tolist()}
    return Backwards(layer), [order, linear(lower, upper, layer.linear.bias)]


def normflows_invertible(n):
    layer = nf.flows.mixing.InvertibleAffine(n)
    layer.log_S.data += 0.3 * torch.randn(n)
    # z = x W: the matrix that acts on columns is the transpose.
    return Backwards(layer), permuted_linear(layer._assemble_W().detach().numpy().T)


class Halves(torch.nn.Module):
    """normflows' coupling between its Split and Merge."""

    def __init__(self, split, net):
        super().__init__()
        self.split, self.coupling = split, nf.flows.AffineCoupling(net, scale_map="sigmoid_inv")

    def forward(self, x):
        (kept, moved), log_det = self.coupling([x[:, : self.split], x[:, self.split :]])
        return torch.cat([kept, moved], dim=1), log_det


def normflows_coupling(n, split, hidden):
    m = n - split
    # Its outputs: shift, scale, shift, scale, ...; flowlet's: all shifts, then all scales.
    interleaved = [i // 2 + (i % 2) * m for i in range(2 * m)]
    net = Net(split, hidden, 2 * m, interleaved)
    given = [i < split for i in range(n)]
    return Halves(split, net), [coupling(given, sigmoid(0.0), mlp(net.layers))]


def normflows_standardize(n):
    t = standardize(n)
    layer = nf.flows.AffineConstFlow((n,))
    layer.s.data = -torch.log(torch.tensor(t["std"]))[None]
    layer.t.data = (-torch.tensor(t["mean"]) / torch.tensor(t["std"]))[None]
    return layer, [t]


def normflows_case(name, n, steps, rows=24, scale=1.5):
    layers, transforms = zip(*steps)
    transforms = [t for some in transforms for t in some]
    x = readings(transforms, n, rows, scale)
    z, log_det = torch.tensor(x), torch.zeros(rows)
    with torch.no_grad():
        for layer in layers:
            z, log = layer(z)
            log_det = log_det + log
        log_prob = nf.distributions.DiagGaussian(n, trainable=False).log_prob(z) + log_det
    return case(name, "normflows 1.7.3", n, transforms, x, z, log_det, log_prob)


# --- zuko ------------------------------------------------------------------------------------------


def zuko_case(name, n, couplings, hidden, rows=24):
    flow = zuko.flows.RealNVP(n, transforms=couplings, hidden_features=hidden)
    round_(*flow.parameters())
    transforms = []
    for t in flow.transform.transforms:
        given = t.mask.tolist()
        m = given.count(False)
        layers = [l for l in t.hyper if hasattr(l, "weight")]
        # Its outputs: shift and scale of each feature; flowlet's: all shifts, then all scales.
        outputs = [2 * i for i in range(m)] + [2 * i + 1 for i in range(m)]
        scale = {"kind": "soft_sign", "clamp": float(f32(-math.log(1e-3)))}
        transforms.append(coupling(given, affine(scale), mlp(layers, outputs), 64.0))
    x = readings(transforms, n, rows, 1.5)
    with torch.no_grad():
        d = flow()
        z, log_det = d.transform.call_and_ladj(torch.tensor(x))
        log_prob = d.log_prob(torch.tensor(x))
    return case(name, f"zuko {zuko.__version__}", n, transforms, x, z, log_det, log_prob)


# --- files -----------------------------------------------------------------------------------------


def readings(transforms, n, rows, scale):
    x = rng.normal(0, scale, (rows, n))
    if transforms[0]["kind"] == "standardize":
        x = x * np.array(transforms[0]["std"]) + np.array(transforms[0]["mean"])
    return f32(x)


def case(name, source, n, transforms, x, z, log_det, log_prob):
    points = [
        {"x": a.tolist(), "z": b.tolist(), "log_det": float(c), "log_prob": float(d)}
        for a, b, c, d in zip(x, z, log_det, log_prob)
    ]
    return {"name": name, "source": source, "flow": {"features": n, "transforms": transforms}, "points": points}


def main():
    cases = [
        nflows_case("nflows_lu_linear", 5, [nflows_lu(5)]),
        nflows_case("nflows_actnorm", 4, [nflows_actnorm(4)]),
        nflows_case("nflows_additive_coupling", 5, [nflows_coupling(5, True, [8], True)]),
        nflows_case("nflows_affine_coupling", 5, [nflows_coupling(5, False, [8], False)]),
        normflows_case("normflows_actnorm", 4, [normflows_actnorm(4)]),
        normflows_case("normflows_lu_permute", 6, [normflows_lu(6)]),
        normflows_case("normflows_invertible_affine", 5, [normflows_invertible(5)]),
        normflows_case("normflows_sigmoid_coupling", 5, [normflows_coupling(5, 2, [8])]),
        zuko_case("zuko_coupling", 5, 1, [8]),
        nflows_case(
            "nflows_nice",
            6,
            [nflows_standardize(6)]
            + [nflows_coupling(6, i % 2 == 0, [16], True) for i in range(4)]
            + [nflows_actnorm(6)],
        ),
        nflows_case(
            "nflows_realnvp",
            7,
            [nflows_standardize(7)] + [nflows_coupling(7, i % 2 == 1, [16, 16], False) for i in range(4)],
        ),
        nflows_case(
            "nflows_glow",
            5,
            [nflows_standardize(5)]
            + [
                step
                for i in range(3)
                for step in (nflows_actnorm(5), nflows_lu(5), nflows_coupling(5, i % 2 == 0, [12], False))
            ],
            scale=1.0,
        ),
        normflows_case(
            "normflows_glow",
            6,
            [normflows_standardize(6)]
            + [
                step
                for i in range(4)
                for step in (
                    normflows_actnorm(6),
                    normflows_invertible(6) if i % 2 else normflows_lu(6),
                    normflows_coupling(6, 3, [16]),
                )
            ],
            scale=1.0,
        ),
        zuko_case("zuko_realnvp", 6, 4, [16, 16]),
    ]
    lines = ",\n".join(json.dumps(c) for c in cases)
    (HERE / "linear.json").write_text(f"[\n{lines}\n]\n")
    print("linear.json", [c["name"] for c in cases])


if __name__ == "__main__":
    main()
