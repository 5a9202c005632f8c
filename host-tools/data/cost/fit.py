"""Measures instructions per score on the emulated Cortex-M4F and fits the model in src/cli/cost.rs.

    python fit.py FLOWLET        (needs NumPy and what `flowlet simulate` needs; some ten minutes)

FLOWLET is the binary. What a flow is made of is what `flowlet inspect --json` counts in `cost_terms`. Prints, for each
kind of numbers, the coefficients in the order of `TERMS`, the largest relative error on the flows of the fit, and that on
flows kept out of it, each with the flow. Run again after a change to the runtime's kernels.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

FLOWLET = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(__file__).parents[2] / "src/cli/cost.rs"
TERMS = re.findall(r'"(\w+)"', SOURCE.read_text().split("const TERMS", 1)[1].split("];", 1)[0])
rng = np.random.default_rng(0)

PLAIN = [(1, "8"), (2, "8,8"), (4, "16,16"), (6, "32,32"), (3, "64,32"), (8, "24"), (4, "12,20,28")]
FLOWS = [(d, f"--flow realnvp --layers {n} --hidden {h}") for d in [2, 3, 5, 8, 9, 16, 24, 32] for n, h in PLAIN]
for d in [4, 7, 12, 21, 36]:
    FLOWS += [(d, f"--flow nsf --bins {k} --layers {n} --hidden 16") for k, n in [(4, 2), (8, 4), (16, 2), (6, 1)]]
    FLOWS += [(d, f"--flow {f} --layers {n} --hidden 16") for f in ["glow", "nice"] for n in [2, 4, 6]]
    FLOWS += [
        (d, f"--flow realnvp --layers 2 --hidden {h} {more}")
        for h in [12, 32]
        for more in [
            "--base student",
            "--base mixture --components 4",
            "--base mixture --components 16",
            "--base mixture --components 32",
            "--base mixture --components 64",
            "--marginal linear",
            "--marginal rq",
            "--whiten",
            "--activation tanh",
            "--activation silu",
            "--activation leaky-relu",
            "--conditioner residual",
        ]
    ]
    FLOWS += [(d, f"--flow realnvp --layers 2 --hidden 24,24 --conditioner residual --activation {a}") for a in ["relu", "silu"]]
    FLOWS += [(d, "--flow nsf --layers 4 --hidden 32 --marginal linear --base mixture --components 32")]
    FLOWS += [(d, "--flow glow --layers 4 --hidden 32 --marginal linear --base mixture --components 32")]
FLOWS += [
    (d, f"--flow realnvp --layers 2 --hidden 8 --conditioner conv1d --channels {c} --kernel {k}")
    for d, c in [(16, 1), (32, 2), (36, 3)]
    for k in [3, 5]
]


def run(folder, *arguments):
    out = subprocess.run([FLOWLET, *arguments, "--json", "--quiet"], cwd=folder, check=True, capture_output=True)
    return json.loads(out.stdout)


def write(path, rows):
    names = ",".join(f"x{i}" for i in range(rows.shape[1]))
    np.savetxt(path, rows, delimiter=",", header=names, comments="", fmt="%.4f")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for features in sorted({d for d, _ in FLOWS}):
        rows = rng.normal(size=(600, features))
        write(folder / f"train{features}.csv", rows)
        write(folder / f"rows{features}.csv", rows[:40])
    for numeric in ["f32", "i16", "i8"]:
        inputs, counts = [], []
        for features, options in FLOWS:
            data = f"train{features}.csv"
            more = ["-o", "m.flow", "--epochs", "2", "--numeric", numeric, *options.split()]
            run(folder, "train", data, *more)
            terms = run(folder, "inspect", "m.flow")["cost_terms"]
            inputs.append([terms.get(term, 0) for term in TERMS])
            counts.append(run(folder, "simulate", "m.flow", f"rows{features}.csv")["instructions_per_score"])
        inputs, counts = np.array(inputs, float), np.array(counts)
        # Least squares of the relative error, on four flows of five; the fifth judges.
        judge = np.arange(len(counts)) % 5 == 4
        weighted = inputs / counts[:, None]
        # A term that no flow has keeps a coefficient of zero.
        used = inputs[~judge].any(axis=0)
        coefficients = np.zeros(len(TERMS))
        coefficients[used] = np.linalg.lstsq(weighted[~judge][:, used], np.ones((~judge).sum()), rcond=None)[0]
        error = np.abs(weighted @ coefficients - 1)
        print(numeric, ", ".join(f"{c:.2f}" for c in coefficients), flush=True)
        for what, mask in [("of the fit", ~judge), ("kept out", judge)]:
            worst = np.argmax(np.where(mask, error, -1))
            print(f"  {mask.sum()} flows {what}: median error {np.median(error[mask]):.1%}, "
                  f"largest {error[worst]:.1%} ({FLOWS[worst][0]} features, {FLOWS[worst][1]})", flush=True)
