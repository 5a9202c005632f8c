"""Run lengths of the drift test by other means than the host tool's: the integral equation of the run length (Crowder 1987,
"A simple method for studying run-length distributions of exponentially weighted moving average charts"), by collocation at
Chebyshev nodes, in f64.

    python3 make_drift.py > drift.json

Needs numpy. Values are standard normal; averages with the weight w start at the training's moments, 0 and 1.

Known from elsewhere, and in the test itself: the EWMA charts of Lucas and Saccucci (1990, "Exponentially weighted moving
average control schemes: properties and enhancements", Technometrics 32, table 1).
"""

import json

import numpy as np

NODES = 120
QUADRATURE = np.polynomial.legendre.leggauss(400)


def phi(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def interpolation(nodes, at):
    """Weights of the values at Chebyshev nodes of the second kind, for each point (barycentric formula)."""
    weights = np.ones(len(nodes))
    weights[1::2] = -1
    weights[0] /= 2
    weights[-1] /= 2
    difference = at[:, None] - nodes[None, :]
    exact = np.abs(difference) < 1e-14
    difference[exact] = 1.0
    terms = weights / difference
    rows = terms / terms.sum(axis=1, keepdims=True)
    hit = exact.any(axis=1)
    rows[hit] = exact[hit]
    return rows


def run_length(w, low, high, start, of, pieces):
    """`of` maps z to what is averaged; `pieces(u)` gives the intervals of z in which the next average is inside, and
    whether it is beyond an end that it is put back to."""
    nodes = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    a = np.eye(NODES)
    x, weight = QUADRATURE
    for i, u in enumerate(nodes):
        for from_, to in pieces(u):
            if to <= from_:
                continue
            z = (to + from_) / 2 + (to - from_) / 2 * x
            p = (to - from_) / 2 * weight * phi(z)
            at = np.clip((1 - w) * u + w * of(z), low, high)
            a[i] -= p @ interpolation(nodes, at)
    arl = np.linalg.solve(a, np.ones(NODES))
    return float((interpolation(nodes, np.array([start])) @ arl)[0])


def mean(w, limit):
    def pieces(u):
        inside = [(-limit - (1 - w) * u) / w, (limit - (1 - w) * u) / w]
        # In pieces, so that the density is seen wherever it is.
        edges = np.clip(np.linspace(-9, 9, 7), *inside)
        return list(zip(edges[:-1], edges[1:]))

    return run_length(w, -limit, limit, 0.0, lambda z: z, pieces)


def root(x):
    return np.sqrt(max(x, 0.0))


def halves(from_, to):
    edges = np.clip(np.linspace(0, 9, 5), from_, to)
    pieces = list(zip(edges[:-1], edges[1:]))
    return pieces + [(-b, -a) for a, b in pieces]


def most(w, limit):
    return run_length(w, 0.0, limit, 1.0, np.square, lambda u: halves(0.0, root((limit - (1 - w) * u) / w)))


def least(w, limit):
    top = 1 + 12 * np.sqrt(w)

    def pieces(u):
        edge = root((top - (1 - w) * u) / w)
        return halves(root((limit - (1 - w) * u) / w), edge) + halves(edge, 9.0)

    return run_length(w, limit, top, 1.0, np.square, pieces)


def main():
    cases = {"mean": [], "least": [], "most": []}
    for shift in (4, 5, 6):
        w = 2.0**-shift
        deviation = np.sqrt(w / (2 - w))
        for c in (2.0, 3.0, 4.0):
            cases["mean"].append([shift, c * deviation, mean(w, c * deviation)])
        for c in (1.5, 2.0, 2.5):
            limit = 1 - c * np.sqrt(2) * deviation
            cases["least"].append([shift, limit, least(w, limit)])
        for c in (2.0, 3.0, 5.0):
            limit = 1 + c * np.sqrt(2) * deviation
            cases["most"].append([shift, limit, most(w, limit)])
    print(json.dumps(cases, indent=0))


if __name__ == "__main__":
    main()
