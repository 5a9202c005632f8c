"""Features of windows by numpy and scipy in f64, for tests/tests/stream/features.rs: writes features.json.

    python3 -m venv v && v/bin/pip install -r requirements.txt && v/bin/python make_features.py

Samples are counts (i16); a unit is SCALE of them, a power of two, so that the same samples are exact in f32.
"""

import json
from pathlib import Path

import numpy as np
from scipy import signal, stats

RATE = 1024.0
SCALE = 2.0**-9
FLOOR = 2.0**-12


def band_rms(x, low, high):
    """RMS within bins low..high-1 under a periodic Hann window."""
    n = len(x)
    spectrum = np.fft.rfft(x * signal.get_window("hann", n))
    return np.sqrt(2 * np.sum(np.abs(spectrum[low:high]) ** 2) / (n * n * 3 / 8))


def squared_envelope(d, low, high):
    """|analytic signal of the band|^2 at the full rate."""
    spectrum = np.fft.fft(d)
    kept = np.zeros_like(spectrum)
    kept[low:high] = 2 * spectrum[low:high]
    return np.abs(np.fft.ifft(kept)) ** 2


def features(x, other):
    n = len(x)
    d = x - x.mean()
    rms = np.sqrt(np.mean(d**2))
    flat = rms < FLOOR
    above = lambda v: max(float(v), FLOOR)
    found = {
        "mean": float(x.mean()),
        "rms": above(rms),
        "peak": above(np.max(np.abs(d))),
        "crest": 1.0 if flat else float(np.max(np.abs(d)) / rms),
        "kurtosis": 3.0 if flat else float(stats.kurtosis(x, fisher=False)),
        "skewness": 0.0 if flat else float(stats.skew(x)),
        "crossings": int(np.sum(np.diff(d < 0))),
        "jerk": above(np.sqrt(np.mean(np.diff(x) ** 2))) * RATE,
    }
    edges = [1, 2, n // 16, n // 8, n // 4, n // 2]
    found["bands"] = [above(band_rms(d, a, b)) for a, b in zip(edges, edges[1:])]
    power = np.abs(np.fft.rfft(d * signal.get_window("hann", n))[1 : n // 2]) ** 2
    silent = band_rms(d, 1, n // 2) <= FLOOR
    bins = np.arange(1, n // 2)
    found["centroid"] = (
        (1 + n // 2) / 2 if silent else float(np.sum(bins * power) / np.sum(power))
    ) * RATE / n
    low, high = n // 8, n // 4
    envelope = squared_envelope(d, low, high)
    marks = [1, 2, 4, n // 8]
    # The analytic signal of a sine of amplitude a has magnitude a.
    if np.sqrt(envelope.mean() / 2) <= FLOOR:
        found["envelope"] = [2.0**-10] * 3
    else:
        relative = envelope / envelope.mean() - 1
        found["envelope"] = [max(2.0**-10, float(band_rms(relative, a, b))) for a, b in zip(marks, marks[1:])]
    still = np.ptp(x) == 0 or np.ptp(other) == 0
    found["correlation"] = 0.0 if still else float(stats.pearsonr(x, other)[0])
    return found


def main():
    random = np.random.default_rng(3)
    cases = []

    def case(name, a, b):
        a, b = (np.clip(np.rint(c), -32768, 32767).astype(int) for c in (a, b))
        wide = [c * SCALE for c in (a, b)]
        cases.append(
            {
                "name": name,
                "counts": [a.tolist(), b.tolist()],
                "features": [features(*wide), features(*wide[::-1])],
            }
        )

    for n in (64, 256, 1024):
        t = np.arange(n)
        noise = random.normal(size=n)
        sine = np.sin(2 * np.pi * 0.171 * t)
        modulated = (1 + 0.8 * np.sin(2 * np.pi * 3 * t / n)) * np.sin(2 * np.pi * 0.19 * t)
        case(f"noise {n}", 900 * noise, 500 * noise + 700 * random.normal(size=n))
        case(f"sine and modulated {n}", 8000 * sine, 6000 * modulated + 20 * noise)
    n, t = 256, np.arange(256)
    impacts = np.where(t % 37 == 5, 9000, 0) + 60 * random.normal(size=n)
    case("impacts", impacts, -2 * impacts)
    case("full scale", np.where(t % 16 < 8, 32767, -32768), random.uniform(-32768, 32768, n))
    case("quiet", 8 * random.normal(size=n), 20000 + 12 * random.normal(size=n))
    case("offset and drift", 30000 + 5 * t, -30000 - 4 * t + 40 * random.normal(size=n))
    case("constant", np.full(n, 1234), np.full(n, -32768))
    case("zero, one count", np.zeros(n), np.where(t == 100, 1, 0))

    out = {"rate": RATE, "scale": SCALE, "floor": FLOOR, "cases": cases}
    Path(__file__).with_name("features.json").write_text(json.dumps(out) + "\n")


main()
