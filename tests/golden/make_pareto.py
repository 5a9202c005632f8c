"""Generalized Pareto: survival, quantiles and fits by scipy, for tests/tests/data/false_alarms.rs.

    pip install -r requirements.txt
    python make_pareto.py > pareto.json

Fits maximize the sum of scipy.stats.genpareto.logpdf, plus logsf for the censored largest excesses, minus a normal penalty of
the shape, by Nelder and Mead from several starts: another route than the bisections that are tested.
"""

import json

import numpy as np
from scipy import optimize, stats


def fit(excesses, censored, mean, std):
    known, bound = excesses[: len(excesses) - censored], excesses[len(excesses) - censored - 1]

    def loss(parameters):
        shape, scale = parameters[0], np.exp(parameters[1])
        if not -0.5 <= shape <= 1:
            return np.inf
        if 1 + shape * bound / scale <= 0:
            return np.inf
        value = stats.genpareto.logpdf(known, shape, scale=scale).sum()
        value += censored * stats.genpareto.logsf(bound, shape, scale=scale)
        if np.isfinite(std):
            value -= 0.5 * ((shape - mean) / std) ** 2
        return -value if np.isfinite(value) else np.inf

    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000}
    starts = [(shape, np.log(known.mean())) for shape in (0.01, 0.2, 0.5)]
    found = [optimize.minimize(loss, start, method="Nelder-Mead", options=options) for start in starts]
    best = min(found, key=lambda result: result.fun)
    return float(best.x[0]), float(np.exp(best.x[1]))


def main():
    random = np.random.default_rng(20260)
    points = []
    for shape in (-0.4, -0.1, 0.0, 0.25, 0.9):
        for scale in (0.3, 2.0):
            for excess in (0.0, 0.1, 0.7, 4.0, 60.0):
                points.append([shape, scale, excess, stats.genpareto.sf(excess, shape, scale=scale)])
    quantiles = []
    for shape in (-0.4, 0.0, 0.25, 0.9):
        for p in (1.0, 0.5, 0.01, 1e-6):
            quantiles.append([shape, 1.7, p, stats.genpareto.isf(p, shape, scale=1.7)])
    samples = {
        "exponential": random.exponential(2.0, 60),
        "heavy": stats.genpareto.rvs(0.4, scale=1.5, size=200, random_state=random),
        "few": stats.genpareto.rvs(0.2, scale=1.0, size=20, random_state=random),
        "bounded": random.uniform(0, 3, 50) ** 1.3,
        "wild": np.append(random.exponential(1.0, 19), 900.0),
    }
    fits = []
    for name, sample in samples.items():
        sample = np.round(np.sort(sample), 6)
        for censored, mean, std in ((0, 0.0, np.inf), (0, 0.1, 0.2), (1, 0.2, 0.2)):
            shape, scale = fit(sample, censored, mean, std)
            fits.append(
                {
                    "name": name,
                    "excesses": sample.tolist(),
                    "censored": censored,
                    "mean": mean,
                    "std": std if np.isfinite(std) else None,
                    "shape": shape,
                    "scale": scale,
                }
            )
    betas = []
    for a, b in ((1.0, 83.0), (2.5, 240.5), (12.41, 1228.59), (400.0, 3.0)):
        for p in (0.025, 0.5, 0.975):
            betas.append([a, b, p, stats.beta.ppf(p, a, b)])
    print(json.dumps({"survival": points, "quantiles": quantiles, "fits": fits, "betas": betas}))


main()
