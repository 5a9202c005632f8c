#!/usr/bin/env python3
"""Writes tests/golden/multiscale.json: marginal maps, the logit, squeeze and split, from other sources.

    pip install -r tests/golden/requirements.txt && python3 tests/golden/make_multiscale.py

marginal_*    each map from its definition in mpmath with 40 digits: the bin's line, or equations 4 and 5 of Durkan et
              al. 2019 ("Neural Spline Flows"); straight tails.
spline        the same map by nflows' rational_quadratic_spline, within its box.
logit         within the margins by nflows' Logit, beyond them by its definition in mpmath.
multiscale    nflows' MultiscaleCompositeTransform and SqueezeTransform around couplings with checkerboard and channel
              masks in torch, on images of 1 x 4 x 6 and 2 x 4 x 4.

Parameters and readings are rounded to f32 first, so that both sides have the same numbers. Flows are in the JSON form
of flowlet_tools::flow::Flow, images row-major with channels last.
"""

import json
import pathlib

import mpmath
import nflows.transforms
import numpy as np
import torch
from mpmath import mpf
from nflows.transforms.splines.rational_quadratic import rational_quadratic_spline

mpmath.mp.dps = 40
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20260202)
HERE = pathlib.Path(__file__).parent


def f32(x):
    """Rounded to f32, as float64."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def normal(z):
    return float(-0.5 * np.sum(np.square(z)) - 0.5 * len(z) * np.log(2 * np.pi))


def case(name, source, features, transforms, points):
    """Points are (x, z, log_det)."""
    return {
        "name": name,
        "source": source,
        "flow": {"features": features, "transforms": transforms},
        "points": [
            {"x": list(map(float, x)), "z": list(map(float, z)), "log_det": float(d), "log_prob": float(d) + normal(z)}
            for x, z, d in points
        ],
    }


# --- marginal maps ----------------------------------------------------------------------------------


def knots(count, steep):
    """Knots with slopes of bins between 2^-steep and 2^steep, steep bins narrow."""
    slopes = np.exp2(rng.uniform(-steep, steep, count - 1))
    size = rng.uniform(0.05, 0.6, count - 1)
    x = rng.uniform(-4, -2) + np.concatenate([[0], np.cumsum(size / np.maximum(slopes, 1))])
    y = rng.uniform(-3, -1) + np.concatenate([[0], np.cumsum(size * np.minimum(slopes, 1))])
    return f32(x), f32(y)


def mp_map(form, m, at):
    x, y, s = ([mpf(float(v)) for v in m[key]] for key in ("x", "y", "slopes"))
    at = mpf(float(at))
    if at < x[0]:
        return y[0] + s[0] * (at - x[0]), s[0]
    if at >= x[-1]:
        return y[-1] + s[-1] * (at - x[-1]), s[-1]
    k = max(i for i in range(len(x)) if x[i] <= at)
    w, h = x[k + 1] - x[k], y[k + 1] - y[k]
    u, mean = (at - x[k]) / w, h / w
    if form == "linear":
        return y[k] + h * u, mean
    below = mean + (s[k + 1] + s[k] - 2 * mean) * u * (1 - u)
    z = y[k] + h * (mean * u**2 + s[k] * u * (1 - u)) / below
    rise = s[k + 1] * u**2 + 2 * mean * u * (1 - u) + s[k] * (1 - u) ** 2
    return z, mean**2 * rise / below**2


def marginal(form, count, features, shared):
    maps = []
    y = None
    for _ in range(features):
        x, own = knots(count, 4)
        y = own if y is None or not shared else y
        if shared:
            # The slopes follow from the common y.
            x = f32(np.concatenate([[0], np.cumsum(rng.uniform(0.05, 1, count - 1))]) - 3)
        slopes = f32(np.exp2(rng.uniform(-2, 1.5, 2 if form == "linear" else count)))
        maps.append({"x": x.tolist(), "y": y.tolist(), "slopes": slopes.tolist()})
    points = []
    for i in range(40):
        at = [rng.uniform(m["x"][0] - 0.5, m["x"][-1] + 0.5) for m in maps]
        if i % 8 == 7:
            at = [a * 10 ** rng.uniform(0.5, 3.5) for a in at]
        # At a knot of lines the slope is that of either side, by how the reading is rounded.
        if i % 8 == 6 and form != "linear":
            at = [m["x"][rng.integers(count)] for m in maps]
        at = f32(at)
        images = [mp_map(form, m, a) for m, a in zip(maps, at)]
        points.append((at, [z for z, _ in images], sum(mpmath.log(s) for _, s in images)))
    transform = {"kind": "marginal", "form": form, "features": maps}
    return case(f"marginal_{form}_{count}", "mpmath", features, [transform], points)


def nflows_spline(bins, features):
    """nflows makes knots of raw parameters; those knots, rounded to f32, are the map's."""
    raw = [torch.tensor(rng.normal(0, 1, (features, n))) for n in (bins, bins, bins + 1)]
    box = dict(left=-3.0, right=3.0, bottom=-2.5, top=2.5)
    limits = dict(min_bin_width=1e-2, min_bin_height=1e-2, min_derivative=1e-2)

    def edges(values, low, high):
        share = 1e-2 + (1 - 1e-2 * bins) * torch.softmax(values, -1)
        return low + (high - low) * torch.nn.functional.pad(torch.cumsum(share, -1), (1, 0))

    x = edges(raw[0], -3.0, 3.0).numpy()
    y = edges(raw[1], -2.5, 2.5).numpy()
    slopes = (1e-2 + torch.nn.functional.softplus(raw[2])).numpy()
    maps = [
        {"x": f32(x[i]).tolist(), "y": f32(y[i]).tolist(), "slopes": f32(slopes[i]).tolist()} for i in range(features)
    ]
    points = []
    for _ in range(30):
        at = f32(rng.uniform(-2.99, 2.99, features))
        z, d = rational_quadratic_spline(torch.tensor(at), *raw, **box, **limits)
        points.append((at, z.numpy(), d.sum().item()))
    transform = {"kind": "marginal", "form": "rational_quadratic", "features": maps}
    return case("spline", "nflows", features, [transform], points)


# --- logit ------------------------------------------------------------------------------------------


def logit(most, margin, features):
    """Integers 0..most, standardized to the margins."""
    margin = float(f32(margin))
    std = float(f32((most + 1) / (1 - 2 * margin)))
    mean = float(f32(-0.5 - margin * std))
    transforms = [
        {"kind": "standardize", "mean": [mean] * features, "std": [std] * features},
        {"kind": "logit", "margin": margin},
    ]
    points = []
    for i in range(40):
        v = f32(rng.integers(0, most + 1, features))
        if i % 4 == 3:
            v = f32(rng.uniform(-most, 2 * most, features))
        p = [(mpf(float(a)) - mpf(mean)) / mpf(std) for a in v]
        zs, log = [], -features * mpmath.log(mpf(std))
        for q in p:
            edge = mpf(margin)
            if q < edge or q > 1 - edge:
                end = edge if q < edge else 1 - edge
                slope = 1 / (edge * (1 - edge))
                zs.append(mpmath.log(end / (1 - end)) + slope * (q - end))
                log += mpmath.log(slope)
            else:
                ours = nflows.transforms.Logit(eps=margin)(torch.tensor([[float(q)]]))
                zs.append(mpf(ours[0].item()))
                log += mpf(ours[1].item())
        points.append((v, zs, log))
    return case(f"logit_{most}", "nflows and mpmath", features, transforms, points)


# --- squeeze and split ------------------------------------------------------------------------------


class Masked(nflows.transforms.Transform):
    """z = m x + (1 - m) (x exp(c tanh(s / c)) + t), s and t of the masked part (Dinh et al. 2017, equation 9)."""

    def __init__(self, mask, hidden=7, clamp=1.5):
        super().__init__()
        self.mask, self.clamp = torch.tensor(mask), clamp
        # Channels last, as flowlet has them.
        self.order = torch.arange(mask.size).reshape(mask.shape).permute(1, 2, 0).reshape(-1)
        flat = self.mask.reshape(-1)[self.order]
        self.given, self.moved = self.order[flat], self.order[~flat]
        n, m = len(self.given), len(self.moved)
        sizes = [(hidden, n), (2 * m, hidden)]
        self.weights = [f32(rng.normal(0, 1 / np.sqrt(s[1]), s)) for s in sizes]
        self.bias = [f32(rng.normal(0, 0.2, s[0])) for s in sizes]

    def forward(self, inputs, context=None):
        flat = inputs.reshape(len(inputs), -1)
        h = flat[:, self.given].clamp(-3, 3)
        h = torch.relu(h @ torch.tensor(self.weights[0]).T + torch.tensor(self.bias[0]))
        h = h @ torch.tensor(self.weights[1]).T + torch.tensor(self.bias[1])
        shift, raw = h.chunk(2, 1)
        scale = self.clamp * torch.tanh(raw / self.clamp)
        out = flat.clone()
        out[:, self.moved] = flat[:, self.moved] * torch.exp(scale) + shift
        return out.reshape(inputs.shape), scale.sum(1)

    def export(self):
        """Order, coupling, order back."""
        place = {int(i): k for k, i in enumerate(self.order)}
        order = [place[int(i)] for i in torch.cat([self.given, self.moved])]
        layers = [
            {"inputs": w.shape[1], "outputs": w.shape[0], "weights": w.reshape(-1).tolist(), "bias": b.tolist()}
            for w, b in zip(self.weights, self.bias)
        ]
        coupling = {
            "kind": "coupling",
            "mask": [k < len(self.given) for k in range(len(order))],
            "map": {"kind": "affine", "scale": {"kind": "tanh", "clamp": self.clamp}},
            "input_limit": 3.0,
            "conditioner": {"kind": "mlp", "activation": "relu", "layers": layers},
        }
        return [permutation(order), coupling, permutation(np.argsort(order))]


def permutation(order):
    return {"kind": "permutation", "order": [int(i) for i in order]}


def checkerboard(c, h, w, even):
    y, x = np.mgrid[0:h, 0:w]
    return np.broadcast_to((y + x) % 2 == (0 if even else 1), (c, h, w)).copy()


def channels(c, h, w, first):
    return np.broadcast_to((np.arange(c) < c // 2)[:, None, None] == first, (c, h, w)).copy()


def last(array):
    """A channels-first array as a channels-last vector."""
    return np.asarray(array).transpose(1, 2, 0).reshape(-1)


def multiscale(c, h, w):
    whole = nflows.transforms.MultiscaleCompositeTransform(num_transforms=2, split_dim=1)
    board = [Masked(checkerboard(c, h, w, even)) for even in (True, False)]
    deep = [Masked(channels(4 * c, h // 2, w // 2, first)) for first in (True, False)]
    squeeze = nflows.transforms.SqueezeTransform()
    rest = whole.add_transform(nflows.transforms.CompositeTransform([*board, squeeze, *deep]), (4 * c, h // 2, w // 2))
    end = [Masked(checkerboard(2 * c, h // 2, w // 2, even)) for even in (True, False)]
    assert tuple(rest) == (2 * c, h // 2, w // 2)
    whole.add_transform(nflows.transforms.CompositeTransform(end), rest)

    # Where each of our features stands, read off nflows' own squeeze.
    n = c * h * w
    numbers = torch.arange(n, dtype=torch.float64).reshape(1, c, h, w)
    place = {int(v): k for k, v in enumerate(last(numbers[0].numpy()))}
    squeezed = squeeze(numbers)[0][0].numpy()
    order = [place[int(v)] for v in last(squeezed)]
    # nflows lets the second half of the channels go on; ours is the first `keep`.
    where = last(np.arange(n).reshape(squeezed.shape))
    goes_on = [i for i, v in enumerate(where) if v >= n // 2]
    leaves = [i for i, v in enumerate(where) if v < n // 2]
    std = f32(rng.uniform(0.5, 2, n))
    mean = f32(rng.normal(0, 1, n))
    transforms = [{"kind": "standardize", "mean": mean.tolist(), "std": std.tolist()}]
    for t in board:
        transforms += t.export()
    transforms.append(permutation(order))
    for t in deep:
        transforms += t.export()
    transforms += [permutation(goes_on + leaves), {"kind": "split", "keep": n // 2}]
    for t in end:
        transforms += t.export()

    points = []
    for i in range(24):
        # Our reading, channels last; then as nflows wants it.
        reading = f32(mean + std * rng.normal(0, 1 if i % 6 else 6, n))
        image = ((reading - mean) / std).reshape(h, w, c).transpose(2, 0, 1)
        z, log = whole(torch.tensor(image.copy())[None])
        z = z[0].detach().numpy()
        # Factored out: the first half, a (2c, h/2, w/2) block; then the last scale.
        out = last(z[: n // 2].reshape(2 * c, h // 2, w // 2))
        kept = last(z[n // 2 :].reshape(2 * c, h // 2, w // 2))
        points.append((reading, np.concatenate([kept, out]), log.item() - np.log(std).sum()))
    return case(f"multiscale_{c}x{h}x{w}", "nflows", n, transforms, points)


cases = [
    marginal("linear", 17, 3, False),
    marginal("linear", 17, 4, True),
    marginal("linear", 2, 2, False),
    marginal("rational_quadratic", 17, 3, False),
    marginal("rational_quadratic", 33, 2, True),
    nflows_spline(8, 4),
    logit(255, 0.05, 3),
    logit(16383, 0.01, 2),
    multiscale(1, 4, 6),
    multiscale(2, 4, 4),
]
with open(HERE / "multiscale.json", "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
