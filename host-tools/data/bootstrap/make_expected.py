"""Writes expected.json: block lengths that the package `arch` chooses for the circular bootstrap, and what SciPy's
theory says of the sampling error of AUROC (DeLong et al. 1988, in the form of Sun and Xu 2014).

    python make_expected.py        (written with arch 8.0.0, NumPy 2.4.6, SciPy 1.17.1)
"""

import json
import pathlib

import numpy as np
from arch.bootstrap import optimal_block_length
from scipy.stats import rankdata

rng = np.random.default_rng(11)


def autoregressive(n, rho):
    x = np.zeros(n)
    for i in range(1, n):
        x[i] = rho * x[i - 1] + rng.normal()
    return x


series = {
    "independent": rng.normal(size=300),
    "autoregressive 0.6": autoregressive(400, 0.6),
    "autoregressive 0.95": autoregressive(500, 0.95),
    "alternating": autoregressive(300, -0.7),
    "random walk": np.cumsum(rng.normal(size=200)),
    "short": autoregressive(12, 0.5),
}
blocks = [
    {
        "name": name,
        "series": [round(float(v), 6) for v in x],
        "length": float(optimal_block_length(np.round(x, 6))["circular"].iloc[0]),
    }
    for name, x in series.items()
]


def delong(normal, anomalous):
    """AUROC and its standard error."""
    m, n = len(anomalous), len(normal)
    both = rankdata(np.concatenate([anomalous, normal]))
    of_anomalous = (both[:m] - rankdata(anomalous)) / n
    of_normal = 1 - (both[m:] - rankdata(normal)) / m
    variance = of_anomalous.var(ddof=1) / m + of_normal.var(ddof=1) / n
    return float(of_anomalous.mean()), float(np.sqrt(variance))


areas = []
for name, n, m, shift in [("clear", 400, 80, 2.0), ("weak", 300, 60, 0.5), ("ties", 300, 60, 1.0)]:
    normal, anomalous = rng.normal(size=n), rng.normal(size=m) + shift
    if name == "ties":
        normal, anomalous = np.round(normal), np.round(anomalous)
    normal, anomalous = np.round(normal, 6), np.round(anomalous, 6)
    auroc, error = delong(normal, anomalous)
    areas.append(
        {
            "name": name,
            "normal": normal.tolist(),
            "anomalous": anomalous.tolist(),
            "auroc": auroc,
            "standard_error": error,
        }
    )

path = pathlib.Path(__file__).with_name("expected.json")
path.write_text(json.dumps({"blocks": blocks, "areas": areas}, indent=None) + "\n")
