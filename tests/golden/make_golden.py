#!/usr/bin/env python3
"""Writes tests/golden/{transforms,flows}.json: expected values from sources that are not flowlet.

    pip install -r tests/golden/requirements.txt && python3 tests/golden/make_golden.py

transforms.json  each transform alone, in mpmath with 40 digits from its definition.
flows.json       whole flows in float64:
                 * `jacobian`: a torch module in the form of the RealNVP paper, its log-determinant by
                   autograd from the full Jacobian (slogdet), so that no formula for it is used;
                 * `nflows` and `normflows`: the coupling layers, permutations and base distributions of
                   those libraries, with the scale map z = x exp(c tanh(s / c)) + t.

Parameters and readings are rounded to f32 first, so that both sides have the same numbers. The z, log_det
and log_prob are the exact ones of those numbers, as f64.
"""

import json
import pathlib

import mpmath
import nflows.distributions
import nflows.flows
import nflows.transforms
import normflows
import numpy as np
import torch
from mpmath import mpf

mpmath.mp.dps = 40
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20260101)
HERE = pathlib.Path(__file__).parent


def f32(x):
    """Rounded to f32, as float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


# --- parameters -----------------------------------------------------------------------------------


def standardize(n):
    return {
        "kind": "standardize",
        "mean": f32(rng.normal(0, 100, n)).tolist(),
        "std": f32(np.exp(rng.normal(0, 2, n))).tolist(),
    }


def coupling(n, split, on_first, hidden, clamp=2.0):
    inputs = split if on_first else n - split
    widths = [inputs, *hidden, 2 * (n - inputs)]
    layers = [
        {
            "inputs": a,
            "outputs": b,
            "weights": f32(rng.normal(0, 1 / np.sqrt(a), (b, a))).reshape(-1).tolist(),
            "bias": f32(rng.normal(0, 0.1, b)).tolist(),
        }
        for a, b in zip(widths, widths[1:])
    ]
    return {
        "kind": "affine_coupling",
        "split": split,
        "condition_on_first": on_first,
        "clamp": clamp,
        "input_limit": 8.0,
        "layers": layers,
    }


def permutation(n):
    return {"kind": "permutation", "order": rng.permutation(n).tolist()}


def chain(n, hidden, couplings, soft_tail=True):
    transforms = [standardize(n)]
    if soft_tail:
        transforms.append({"kind": "soft_tail", "knee": 4.0})
    for i in range(couplings):
        transforms.append(coupling(n, max(1, n // 2), i % 2 == 0, hidden))
        if i % 2 == 1:
            transforms.append(permutation(n))
    return transforms


def readings(transforms, n, rows):
    """Normal ones, and a quarter of them far out in some features."""
    x = rng.normal(0, 1, (rows, n))
    far = rng.random((rows, n)) < 0.2
    far[: 3 * rows // 4] = False
    x = np.where(far, x * 50, x)
    if transforms[0]["kind"] == "standardize":
        x = x * np.array(transforms[0]["std"]) + np.array(transforms[0]["mean"])
    return f32(x)


# --- mpmath: from the definitions -----------------------------------------------------------------


def mp_apply(t, x):
    """z and log_det of one transform."""
    if t["kind"] == "standardize":
        limit = mpf(32767)
        z = [(v - mpf(m)) / mpf(s) for v, m, s in zip(x, t["mean"], t["std"])]
        return [max(-limit, min(limit, v)) for v in z], -sum(mpmath.log(mpf(s)) for s in t["std"])
    if t["kind"] == "soft_tail":
        knee = mpf(t["knee"])
        z, log_det = [], mpf(0)
        for v in x:
            beyond = abs(v) - knee
            if beyond > 0:
                z.append(mpmath.sign(v) * (knee + mpmath.log(1 + beyond)))
                # The derivative is 1 / (1 + |x| - knee).
                log_det += mpmath.log(1 / (1 + beyond))
            else:
                z.append(v)
        return z, log_det
    if t["kind"] == "permutation":
        return [x[i] for i in t["order"]], mpf(0)
    k = t["split"]
    first, second = x[:k], x[k:]
    c, moved = (first, second) if t["condition_on_first"] else (second, first)
    limit = mpf(t["input_limit"])
    h = [max(-limit, min(limit, v)) for v in c]
    for i, layer in enumerate(t["layers"]):
        w, a = layer["weights"], layer["inputs"]
        h = [sum(mpf(w[r * a + j]) * h[j] for j in range(a)) + mpf(b) for r, b in enumerate(layer["bias"])]
        if i + 1 < len(t["layers"]):
            h = [max(mpf(0), v) for v in h]
    m = len(moved)
    clamp = mpf(t["clamp"])
    log_scale = [clamp * mpmath.tanh(s / clamp) for s in h[m:]]
    z = [v * mpmath.exp(s) + shift for v, s, shift in zip(moved, log_scale, h[:m])]
    return (c + z if t["condition_on_first"] else z + c), sum(log_scale)


def mp_case(name, transforms, x):
    points = []
    for row in x:
        z, log_det = [mpf(float(v)) for v in row], mpf(0)
        for t in transforms:
            z, log = mp_apply(t, z)
            log_det += log
        log_prob = log_det - sum(v * v for v in z) / 2 - mpf(len(z)) * mpmath.log(2 * mpmath.pi) / 2
        points.append(point(row, z, log_det, log_prob))
    return case(name, "mpmath", transforms, x.shape[1], points)


def point(x, z, log_det, log_prob):
    return {
        "x": [float(v) for v in x],
        "z": [float(v) for v in z],
        "log_det": float(log_det),
        "log_prob": float(log_prob),
    }


def case(name, source, transforms, n, points):
    return {"name": name, "source": source, "features": n, "transforms": transforms, "points": points}


# --- torch ----------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    """An MLP with ReLU over saturated inputs."""

    def __init__(self, t):
        super().__init__()
        self.limit = t["input_limit"]
        self.layers = torch.nn.ModuleList()
        for p in t["layers"]:
            layer = torch.nn.Linear(p["inputs"], p["outputs"])
            layer.weight.data = torch.tensor(p["weights"]).reshape(p["outputs"], p["inputs"])
            layer.bias.data = torch.tensor(p["bias"])
            self.layers.append(layer)

    def forward(self, x, context=None):
        x = torch.clamp(x, -self.limit, self.limit)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def torch_map(transforms):
    """x to z of one row, with nothing said about determinants."""

    def run(x):
        for t in transforms:
            if t["kind"] == "standardize":
                x = (x - torch.tensor(t["mean"])) / torch.tensor(t["std"])
            elif t["kind"] == "soft_tail":
                size = x.abs()
                beyond = torch.clamp(size - t["knee"], min=0.0)
                x = torch.sign(x) * (torch.minimum(size, torch.tensor(t["knee"])) + torch.log1p(beyond))
            elif t["kind"] == "permutation":
                x = x[torch.tensor(t["order"])]
            else:
                first, second = x[: t["split"]], x[t["split"] :]
                c, moved = (first, second) if t["condition_on_first"] else (second, first)
                shift, s = Net(t)(c).chunk(2)
                moved = moved * torch.exp(t["clamp"] * torch.tanh(s / t["clamp"])) + shift
                x = torch.cat([c, moved] if t["condition_on_first"] else [moved, c])
        return x

    return run


def jacobian_case(name, transforms, x):
    run = torch_map(transforms)
    points = []
    for row in x:
        row = torch.tensor(row)
        jacobian = torch.autograd.functional.jacobian(run, row)
        _, log_det = torch.linalg.slogdet(jacobian)
        z = run(row).detach()
        log_prob = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum() + log_det
        points.append(point(row.tolist(), z, log_det, log_prob))
    return case(name, "torch autograd and slogdet", transforms, x.shape[1], points)


class SoftClamped(nflows.transforms.AffineCouplingTransform):
    """nflows' coupling with the soft-clamped exponential for its scale."""

    clamp = 2.0

    def _scale_and_shift(self, parameters):
        m = self.num_transform_features
        return torch.exp(self.clamp * torch.tanh(parameters[:, m:] / self.clamp)), parameters[:, :m]


def nflows_case(name, transforms, x):
    n = x.shape[1]
    steps = []
    for t in transforms:
        if t["kind"] == "standardize":
            scale = 1 / torch.tensor(t["std"])
            steps.append(nflows.transforms.PointwiseAffineTransform(-torch.tensor(t["mean"]) * scale, scale))
        elif t["kind"] == "permutation":
            steps.append(nflows.transforms.Permutation(torch.tensor(t["order"])))
        else:
            # 1 is transformed, 0 conditions.
            mask = torch.ones(n)
            mask[: t["split"]] = 0
            if not t["condition_on_first"]:
                mask = 1 - mask
            steps.append(SoftClamped(mask, lambda inputs, outputs, t=t: Net(t)))
    base = nflows.distributions.StandardNormal([n])
    flow = nflows.flows.Flow(nflows.transforms.CompositeTransform(steps), base)
    with torch.no_grad():
        z, log_det = flow._transform(torch.tensor(x))
        log_prob = flow.log_prob(torch.tensor(x))
    return case(name, "nflows 0.14", transforms, n, [point(*p) for p in zip(x, z, log_det, log_prob)])


class Interleaved(torch.nn.Module):
    """The net with its outputs as normflows wants them: shift, scale, shift, scale, ..."""

    def __init__(self, t):
        super().__init__()
        self.net, self.clamp = Net(t), t["clamp"]

    def forward(self, x):
        shift, s = self.net(x).chunk(2, dim=1)
        return torch.stack([shift, self.clamp * torch.tanh(s / self.clamp)], dim=2).flatten(1)


def normflows_case(name, transforms, x):
    n = x.shape[1]
    z, log_det = torch.tensor(x), torch.zeros(len(x))
    for t in transforms:
        if t["kind"] == "standardize":
            s = normflows.flows.AffineConstFlow((n,))
            s.s.data = -torch.log(torch.tensor(t["std"]))[None]
            s.t.data = (-torch.tensor(t["mean"]) / torch.tensor(t["std"]))[None]
            z, log = s(z)
        elif t["kind"] == "permutation":
            p = normflows.flows.Permute(n)
            p.perm = torch.tensor(t["order"])
            z, log = p(z)
        else:
            c = normflows.flows.AffineCoupling(Interleaved(t))
            first, second = z[:, : t["split"]], z[:, t["split"] :]
            parts = [first, second] if t["condition_on_first"] else [second, first]
            (kept, moved), log = c(parts)
            z = torch.cat([kept, moved] if t["condition_on_first"] else [moved, kept], dim=1)
        log_det = log_det + log
    base = normflows.distributions.DiagGaussian(n, trainable=False)
    log_prob = (base.log_prob(z) + log_det).detach()
    points = [point(*p) for p in zip(x, z.detach(), log_det.detach(), log_prob)]
    return case(name, "normflows 1.7.3", transforms, n, points)


def write(name, cases):
    lines = ",\n".join(json.dumps(c) for c in cases)
    (HERE / name).write_text(f"[\n{lines}\n]\n")
    print(name, [c["name"] for c in cases])


def main():
    wide = f32(np.concatenate([np.linspace(-9, 9, 37), [4.0, np.nextafter(np.float32(4), np.float32(5)), 1e3, -3e4]]))
    tail = [{"kind": "soft_tail", "knee": 4.0}]
    door, order = [standardize(3)], [permutation(5)]
    first, second = [coupling(4, 1, True, [8])], [coupling(5, 2, False, [6, 7], clamp=1.5)]
    write(
        "transforms.json",
        [
            mp_case("standardize", door, readings(door, 3, 20)),
            mp_case("soft_tail", tail, np.stack([wide, wide[::-1]], axis=1)),
            mp_case("permutation", order, f32(rng.normal(0, 2, (5, 5)))),
            mp_case("coupling_first", first, f32(rng.normal(0, 3, (20, 4)))),
            mp_case("coupling_second", second, f32(rng.normal(0, 3, (20, 5)))),
        ],
    )
    cases = []
    for name, make, n, hidden, couplings, soft_tail in [
        ("mpmath_3", mp_case, 3, [8, 8], 4, True),
        ("jacobian_2", jacobian_case, 2, [16], 4, True),
        ("jacobian_7", jacobian_case, 7, [16, 16], 6, True),
        ("nflows_4", nflows_case, 4, [16, 16], 4, False),
        ("nflows_9", nflows_case, 9, [24], 4, False),
        ("normflows_6", normflows_case, 6, [16, 16], 4, False),
    ]:
        transforms = chain(n, hidden, couplings, soft_tail)
        cases.append(make(name, transforms, readings(transforms, n, 40)))
    write("flows.json", cases)


if __name__ == "__main__":
    main()
