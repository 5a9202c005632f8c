"""Draws train.csv and test.csv of this folder from a one-class split of Statlog (Shuttle).

    python draw.py FOLDER

FOLDER holds `train.csv` (normal rows) and `test.csv` (normal and anomalous rows, last column `label`) of the
whole set: class 1 is normal, classes 2, 3, 5, 6 and 7 are anomalous, class 4 is left out, as in ODDS and ADBench;
the normal rows are parted at random (NumPy, seed 0) into a training half (at most 20,000 rows) and a test half.
From each part every k-th row is taken, so that no further random numbers are involved.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
NAMES = [f"a{i}" for i in range(1, 10)]


def every_kth(rows, count):
    return [rows[i * len(rows) // count] for i in range(count)]


def lines(path):
    return path.read_text().splitlines()[1:]


folder = pathlib.Path(sys.argv[1])
train = every_kth(lines(folder / "train.csv"), 4000)
test = lines(folder / "test.csv")
normal = every_kth([row for row in test if row.endswith(",0")], 3000)
anomalous = every_kth([row for row in test if row.endswith(",1")], 600)
(HERE / "train.csv").write_text("\n".join([",".join(NAMES)] + train) + "\n")
# One anomalous row after every five normal ones.
mixed = [row for i in range(600) for row in normal[5 * i : 5 * i + 5] + [anomalous[i]]]
(HERE / "test.csv").write_text("\n".join([",".join(NAMES + ["label"])] + mixed) + "\n")
