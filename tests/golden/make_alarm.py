"""Run lengths of alarms by other means than the host tool's: dense systems of equations over all states, in f64.

    python3 make_alarm.py > alarm.json

Needs numpy. The surprise S of a normal reading, in units of 2^-8 bits: P(S >= s) = 2^(-s/256) up to a ceiling.

Known from elsewhere, and in the test itself: runs of successes (Feller 1968, An Introduction to Probability Theory and
Its Applications, vol. 1, XIII.7), and the normal CUSUM with k = 0.5 (Brook and Evans 1972; Lucas and Crosier 1982).
"""

import json
import numpy as np


def reaches(s, ceiling, ratio):
    s = np.asarray(s)
    return np.where(s > ceiling, 0.0, ratio ** np.maximum(s, 0).astype(float))


NORMAL = 2.0 ** (-1 / 256)


def anomalous(mean_bits):
    mean = 256 * mean_bits
    return mean / (1 + mean)


def votes(needed, of, level):
    """All 2^(of - 1) histories, whether reachable or not."""
    p = NORMAL**level
    n = 1 << (of - 1)
    a = np.eye(n)
    for mask in range(n):
        a[mask, (mask << 1) % n] -= 1 - p
        if bin(mask).count("1") + 1 < needed:
            a[mask, (mask << 1 | 1) % n] -= p
    return float(np.linalg.solve(a, np.ones(n))[0])


def cusum(reference, limit, ceiling, ratio=NORMAL):
    """(I - Q) L = 1 with the whole transition matrix of the sum; its mean run length from zero."""
    i, j = np.meshgrid(np.arange(limit), np.arange(limit), indexing="ij")
    need = j - i + reference
    q = np.where(need >= 0, reaches(need, ceiling, ratio) - reaches(need + 1, ceiling, ratio), 0.0)
    # All that would end below zero ends there.
    q[:, 0] = 1 - reaches(reference - np.arange(limit) + 1, ceiling, ratio)
    return float(np.linalg.solve(np.eye(limit) - q, np.ones(limit))[0])


def ewma_cells(weight, level, ceiling, cells, ratio=NORMAL):
    """Brook and Evans with equal cells over [0, level), each at its middle; surprises on their own lattice."""
    width = level / cells
    middle = (np.arange(cells) + 0.5) * width
    edges = np.arange(cells + 1) * width
    need = np.ceil((edges[None, :] - (1 - weight) * middle[:, None]) / weight - 1e-9)
    tail = reaches(need, ceiling, ratio)
    q = tail[:, :-1] - tail[:, 1:]
    run = np.linalg.solve(np.eye(cells) - q, np.ones(cells))
    return float(np.interp(369.0, middle, run))


def ewma(weight, level, ceiling, ratio=NORMAL):
    return ewma_cells(weight, level, ceiling, 4000, ratio)


if __name__ == "__main__":
    print(json.dumps({
        "votes": [[k, n, level, votes(k, n, level)]
                  for k, n, level in [(1, 1, 2560), (2, 3, 1000), (3, 5, 1024), (5, 5, 300), (4, 10, 700), (7, 11, 256)]],
        "cusum": [[ref, limit, ceiling, bits, cusum(ref, limit, ceiling, NORMAL if bits is None else anomalous(bits))]
                  for ref, limit, ceiling, bits in [(512, 1500, 5120, None), (1024, 1800, 4096, None),
                                                    (700, 1600, 900, None), (512, 1500, 5120, 6.0)]],
        "ewma": [[weight, level, ceiling, ewma(weight / 65536, level, ceiling)]
                 for weight, level, ceiling in [(6554, 900, 5120), (13107, 1200, 5120), (3277, 640, 3000)]],
    }, indent=1))
