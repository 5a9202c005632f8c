#!/usr/bin/env python3
"""Expected values of the base distributions, from torch.distributions and scikit-learn.

    pip install -r tests/golden/requirements.txt
    python3 tests/golden/make_bases.py > tests/golden/bases.json

Parameters are f32, computed with in f64. `slope` is d(-log_prob)/dz by torch's autograd. The entropy of the
mixture of one feature is by scipy's quadrature. The mixture `scikit-learn` was fitted by GaussianMixture, and its
log_prob is GaussianMixture.score_samples.
"""

import json

import numpy as np
import torch
from scipy.integrate import quad
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, StudentT

torch.manual_seed(20240711)
torch.set_default_dtype(torch.float64)
READINGS = 40


def f32(x):
    return torch.as_tensor(x).to(torch.float32).to(torch.float64)


def numbers(x):
    return [float(np.float32(v)) for v in torch.as_tensor(x).reshape(-1)]


def case(name, base, distribution, z, entropy=None, log_prob=None):
    z = f32(z).clone().requires_grad_(True)
    found = distribution(z)
    (slope,) = torch.autograd.grad(-found.sum(), z)
    return {
        "name": name,
        "base": base,
        "features": z.shape[1],
        "z": numbers(z.detach()),
        "log_prob": [float(v) for v in (found.detach() if log_prob is None else log_prob)],
        "slope": [float(v) for v in slope.reshape(-1)],
        "entropy": entropy,
    }


def readings(sample, features):
    """As many normal ones as READINGS, and a few far away."""
    far = torch.randn(6, features) * torch.tensor([5.0, 10.0, 20.0, 50.0, 300.0, 20000.0])[:, None]
    return torch.cat([sample, far.clamp(-32000, 32000)])


def student(name, features, degrees):
    degrees, location = f32(degrees), f32(torch.randn(features) * 0.8)
    log_scale = f32(torch.randn(features) * 0.4)
    d = StudentT(degrees, location, log_scale.exp())
    base = {"kind": "student_t", "degrees": numbers(degrees), "location": numbers(location), "log_scale": numbers(log_scale)}
    z = readings(d.sample((READINGS,)), features)
    return case(name, base, lambda z: d.log_prob(z).sum(-1), z, float(d.entropy().sum()))


def mixture_of(weights, means, stds):
    return MixtureSameFamily(Categorical(weights), Independent(Normal(means, stds), 1))


def mixture(name, features, components, spread, least, most):
    log_weights = f32(torch.log_softmax(torch.randn(components), 0))
    means = f32(torch.randn(components, features) * spread)
    log_std = f32(torch.empty(components, features).uniform_(float(np.log(least)), float(np.log(most))))
    d = mixture_of(log_weights.exp(), means, log_std.exp())
    base = {"kind": "mixture", "log_weights": numbers(log_weights), "means": numbers(means), "log_std": numbers(log_std)}
    entropy = None
    if features == 1:
        p = lambda x: float(d.log_prob(torch.tensor([x])))
        low, high = float((means - 12 * log_std.exp()).min()), float((means + 12 * log_std.exp()).max())
        points = [float(m) for m in means.reshape(-1)]
        entropy = quad(lambda x: -np.exp(p(x)) * p(x), low, high, points=points, limit=2000, epsabs=1e-9)[0]
    return case(name, base, d.log_prob, readings(d.sample((READINGS,)), features), entropy)


def fitted(name, features, components):
    rows = np.random.default_rng(7).normal(size=(600, features)) ** 2
    gm = GaussianMixture(components, covariance_type="diag", reg_covar=1e-2, random_state=0, max_iter=300).fit(rows)
    log_weights, means = f32(np.log(gm.weights_)), f32(gm.means_)
    log_std = f32(np.log(np.sqrt(gm.covariances_)))
    gm.weights_, gm.means_ = log_weights.exp().numpy(), means.numpy()
    gm.precisions_cholesky_ = (-log_std).exp().numpy()
    z = readings(torch.as_tensor(rows[:READINGS]), features)
    base = {"kind": "mixture", "log_weights": numbers(log_weights), "means": numbers(means), "log_std": numbers(log_std)}
    # score_samples does not normalize its weights, torch does: they differ by the rounding of the f32 logarithms.
    shift = float(torch.logsumexp(log_weights, 0))
    log_prob = gm.score_samples(f32(z).numpy()) - shift
    d = mixture_of(log_weights.exp(), means, log_std.exp())
    return case(name, base, d.log_prob, z, None, log_prob)


def normal(name, features):
    mean, log_std = f32(torch.randn(features) * 0.7), f32(torch.randn(features) * 0.5)
    d = Independent(Normal(mean, log_std.exp()), 1)
    base = {"kind": "diagonal_normal", "mean": numbers(mean), "log_std": numbers(log_std)}
    return case(name, base, d.log_prob, readings(d.sample((READINGS,)), features), float(d.entropy()))


cases = [
    student("student 1", 1, [3.0]),
    student("student 9", 9, torch.tensor([1.0, 1.5, 2.0, 3.0, 4.5, 8.0, 20.0, 90.0, 500.0])),
    student("student 21", 21, torch.empty(21).uniform_(1.0, 30.0)),
    mixture("mixture 1 of 1", 1, 1, 1.0, 0.5, 2.0),
    mixture("mixture 4 of 1", 1, 4, 2.0, 0.1, 1.5),
    mixture("mixture 3 of 2", 2, 3, 1.5, 0.3, 1.5),
    mixture("mixture 32 of 9", 9, 32, 1.5, 0.1, 2.0),
    mixture("mixture 64 of 36", 36, 64, 1.0, 0.1, 1.5),
    fitted("scikit-learn", 7, 12),
    normal("normal 5", 5),
]
print(json.dumps(cases, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"'))
