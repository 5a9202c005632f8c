"""Writes expected.json: what scikit-learn says of small label and score vectors.

    python make_expected.py        (written with scikit-learn 1.9.1 and NumPy 2.4.6)
"""

import json
import pathlib

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

rng = np.random.default_rng(7)
cases = {
    "separated": ([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.7, 0.9]),
    "reversed": ([1, 1, 0, 0, 0], [0.1, 0.2, 0.3, 0.7, 0.9]),
    "documentation": ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]),
    "all tied": ([0, 1, 0, 1, 1, 0], [2.0] * 6),
    "one anomaly among ties": ([0, 0, 1, 0], [1.0, 3.0, 3.0, 3.0]),
    "one normal": ([1, 1, 0, 1], [-1.0, 5.0, 2.0, 2.0]),
}
labels = (rng.random(300) < 0.1).astype(int)
cases["rare, overlapping"] = (labels, rng.normal(size=300) + 1.5 * labels)
cases["rare, coarse"] = (labels, np.round(rng.normal(size=300) + 1.5 * labels))
cases["heavy tail"] = (labels, np.exp(4 * rng.normal(size=300)))


def without_top(scores, fraction):
    scores = np.sort(np.asarray(scores, dtype=float))
    return float(np.mean(scores[: len(scores) - int(np.floor(len(scores) * fraction))]))


out = [
    {
        "name": name,
        "labels": [int(v) for v in y],
        "scores": [float(v) for v in s],
        "auroc": float(roc_auc_score(y, s)),
        "average_precision": float(average_precision_score(y, s)),
        "mean_without_top_1_percent": without_top(s, 0.01),
        "mean_without_top_25_percent": without_top(s, 0.25),
    }
    for name, (y, s) in cases.items()
]
path = pathlib.Path(__file__).with_name("expected.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")
