"""Measures instructions per score on the emulated Cortex-M4F and fits the model in src/cli/cost.rs.

    python fit.py FLOWLET        (needs NumPy and what `flowlet simulate` needs)

FLOWLET is the binary. Prints one line per kind of numbers: the coefficients in the order of `Shape::terms`, the
largest relative error on the flows of the fit, and that on flows kept out of it. Run again after a change to the runtime's kernels.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

FLOWLET = pathlib.Path(sys.argv[1]).resolve()
FEATURES = [2, 3, 5, 8, 9, 16, 24, 32]
SHAPES = [(1, "8"), (2, "8,8"), (4, "16,16"), (6, "32,32"), (3, "64,32"), (8, "24"), (4, "12,20,28")]
rng = np.random.default_rng(0)


def run(folder, *arguments):
    out = subprocess.run([FLOWLET, *arguments, "--json", "--quiet"], cwd=folder, check=True, capture_output=True)
    return json.loads(out.stdout)


def up4(n):
    return -(-n // 4) * 4


def padded_macs(coupling, fixed):
    widths = [coupling["conditions"], *coupling["hidden"], 2 * coupling["transformed"]]
    return sum((up4(k) if fixed else k) * up4(n) for k, n in zip(widths, widths[1:]))


def terms(inspected):
    fixed = inspected["numeric"] != "f32"
    couplings = [t for t in inspected["transforms"] if t["kind"] == "affine_coupling"]
    return [
        1,
        len(inspected["features"]),
        len(couplings),
        sum(len(c["hidden"]) + 1 for c in couplings),
        sum(sum(c["hidden"]) for c in couplings),
        sum(c["transformed"] for c in couplings),
        sum(padded_macs(c, fixed) for c in couplings),
    ]


def write(path, rows):
    names = ",".join(f"x{i}" for i in range(rows.shape[1]))
    np.savetxt(path, rows, delimiter=",", header=names, comments="", fmt="%.4f")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for numeric in ["f32", "i16", "i8"]:
        inputs, counts = [], []
        for features in FEATURES:
            rows = rng.normal(size=(300, features))
            write(folder / "train.csv", rows)
            write(folder / "rows.csv", rows[:40])
            for layers, hidden in SHAPES:
                shape = ["--layers", str(layers), "--hidden", hidden, "--numeric", numeric]
                run(folder, "train", "train.csv", "-o", "m.flow", "--epochs", "2", *shape)
                inputs.append(terms(run(folder, "inspect", "m.flow")))
                counts.append(run(folder, "simulate", "m.flow", "rows.csv")["instructions_per_score"])
        inputs, counts = np.array(inputs, float), np.array(counts)
        # Least squares of the relative error, on four flows of five; the fifth judges.
        judge = np.arange(len(counts)) % 5 == 4
        weighted = inputs / counts[:, None]
        coefficients = np.linalg.lstsq(weighted[~judge], np.ones((~judge).sum()), rcond=None)[0]
        error = np.abs(weighted @ coefficients - 1)
        print(
            numeric,
            [round(float(c), 2) for c in coefficients],
            f"largest error {error[~judge].max():.1%} on {(~judge).sum()} flows of the fit,",
            f"{error[judge].max():.1%} on {judge.sum()} others",
        )
