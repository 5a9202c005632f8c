#!/usr/bin/env python3
"""Compares `flowlet train` by default with scikit-learn's detectors on a folder of one-class tables.

    pip install numpy pandas scikit-learn
    python3 host-tools/scripts/one_class_tables.py FOLDER target/release/flowlet

FOLDER holds one folder per table: train.csv (normal rows) and test.csv (the same columns and `label`, 1 for anomalies).
Prints AUROC per table, means, in how many tables flowlet wins, ties within 0.0005 and loses, and for flowlet the
mean NLL of normal test rows (standardized, nats) and the seconds of the whole command.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

TIE = 5e-4


def mixture(train):
    """A full-covariance mixture, as many components as BIC asks for."""
    counts = [k for k in (1, 2, 3, 5, 8, 10) if 5 * k <= len(train)]
    fits = [GaussianMixture(k, reg_covar=1e-3, random_state=0).fit(train) for k in counts]
    return min(fits, key=lambda fit: fit.bic(train))


def tails(train, rows):
    """ECOD (Li et al. 2022): how far out each value is by itself, in the tail that the column's skewness points to."""
    count, width = train.shape
    left, right = np.empty(rows.shape), np.empty(rows.shape)
    for column in range(width):
        values = np.sort(train[:, column])
        left[:, column] = np.searchsorted(values, rows[:, column], "right")
        right[:, column] = count - np.searchsorted(values, rows[:, column], "left")
    left, right = (-np.log((side + 1) / (count + 1)) for side in (left, right))
    spread = np.maximum(train.std(0), 1e-12)
    skewed = (((train - train.mean(0)) / spread) ** 3).mean(0) < 0
    return np.max([side.sum(1) for side in (left, right, np.where(skewed, left, right))], axis=0)


PEERS = {
    "5-NN": lambda a, b: NearestNeighbors(n_neighbors=5).fit(a).kneighbors(b)[0][:, -1],
    "LOF": lambda a, b: -LocalOutlierFactor(novelty=True).fit(a).score_samples(b),
    "mixture": lambda a, b: -mixture(a).score_samples(b),
    "forest": lambda a, b: -IsolationForest(random_state=0).fit(a).score_samples(b),
    "OC-SVM": lambda a, b: -OneClassSVM(nu=0.1).fit(a[:5000]).score_samples(b),
    "Mahalanobis": lambda a, b: LedoitWolf().fit(a).mahalanobis(b),
    "ECOD": tails,
}


def flowlet(command, table):
    """AUROC, mean NLL and seconds of training."""
    with tempfile.TemporaryDirectory() as folder:
        image = str(Path(folder) / "x.flow")
        started = time.monotonic()
        train = [command, "train", str(table / "train.csv"), "-o", image, "--no-history", "--json"]
        subprocess.run(train, check=True, capture_output=True)
        seconds = time.monotonic() - started
        test = [command, "eval", image, str(table / "test.csv"), "--label", "label", "--json"]
        found = json.loads(subprocess.run(test, check=True, capture_output=True).stdout)
    return found["auroc"], found["nll_normal_standardized"], seconds


def main():
    warnings.filterwarnings("ignore")
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tables = sorted(path.parent for path in Path(sys.argv[1]).glob("*/train.csv"))
    if not tables:
        sys.exit(f"{sys.argv[1]}: no folder with a train.csv in it")
    names = ["flowlet", *PEERS]
    print("| table | rows | features |", " | ".join(names), "| NLL | s |")
    print("|---" * (len(names) + 5) + "|")
    aurocs = []
    for table in tables:
        train = pd.read_csv(table / "train.csv").to_numpy(float)
        test = pd.read_csv(table / "test.csv")
        labels = test.pop("label").to_numpy()
        scaler = StandardScaler().fit(train)
        a, b = scaler.transform(train), scaler.transform(test.to_numpy(float))
        own, nll, seconds = flowlet(sys.argv[2], table)
        row = [own] + [roc_auc_score(labels, peer(a, b)) for peer in PEERS.values()]
        aurocs.append(row)
        cells = " | ".join(f"{value:.4f}" for value in row)
        print(f"| {table.name} | {len(a)} | {a.shape[1]} | {cells} | {nll:.2f} | {seconds:.1f} |", flush=True)
    aurocs = np.array(aurocs)
    print("| mean | | |", " | ".join(f"{value:.4f}" for value in aurocs.mean(0)), "| | |\n")
    for name, column in zip(names[1:], aurocs.T[1:]):
        more = aurocs[:, 0] - column
        wins, losses = (more > TIE).sum(), (more < -TIE).sum()
        print(f"against {name}: {wins} wins, {len(more) - wins - losses} ties, {losses} losses")


if __name__ == "__main__":
    main()
