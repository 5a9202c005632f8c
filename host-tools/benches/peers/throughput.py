"""Training throughput of flow libraries beside flowlet's, in one run on one core.

The same work for all: RealNVP with 6 affine couplings, or a spline flow (NSF) with 6 rational-quadratic ones of 8 bins
within +-5; conditioners of two hidden layers of 32 with ReLU, half of the features conditioning, standard normal base;
batches of 256 taken from shuffled rows; forward, backward
and Adam in f32 on one thread. Each figure is the best epoch of 8 batches (the machine may be shared, and a short
epoch has a chance to run undisturbed); the rounds of all programs alternate, so that a slow minute meets all.
All are timed in processor time, so that what others take never counts against them.

  nflows, normflows, zuko   PyTorch, eager; the splines of zuko's couplings are its MonotonicRQSTransform
  flowjax step              JAX, one jitted step per batch
  flowjax epoch             JAX, a whole epoch inside one `lax.scan`
  flowlet                   `cargo bench -p flowlet-tools --bench training`

Usage: taskset -c 0 python throughput.py [--rounds N] [--features 8,16,32] [--flows realnvp,nsf] [--program FILE]
       [--json FILE]
Needs: requirements.txt, cargo. Prints a table of samples per second and flowlet's ratio to each. One flow and one number
of features at a time, as in `--flows nsf --features 32 --rounds 2`, takes about a minute: ratios are within a run.
"""

import argparse
import json
import os
import subprocess
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import torch
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.flows import coupling_flow

LAYERS, HIDDEN, BATCH, BATCHES = 6, [32, 32], 256, 8
BINS, BOUND = 8, 5.0
torch.set_num_threads(1)


def half_mask(d, layer):
    """+1 where a coupling changes a feature, -1 where it reads one."""
    mask = torch.ones(d)
    mask[d // 2 :] = -1
    return mask * (-1) ** layer


def nflows_net(inputs, outputs):
    from nflows.nn.nets import MLP

    class Net(MLP):
        def forward(self, inputs, context=None):  # couplings pass a context that this net does not take
            return super().forward(inputs)

    return Net([inputs], [outputs], HIDDEN)


def nflows_model(d, spline):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms import (
        AffineCouplingTransform,
        CompositeTransform,
        PiecewiseRationalQuadraticCouplingTransform,
    )

    def layer(i):
        if not spline:
            return AffineCouplingTransform(half_mask(d, i), nflows_net)
        return PiecewiseRationalQuadraticCouplingTransform(
            half_mask(d, i), nflows_net, num_bins=BINS, tails="linear", tail_bound=BOUND
        )

    return Flow(CompositeTransform([layer(i) for i in range(LAYERS)]), StandardNormal([d]))


def normflows_model(d, spline):
    import normflows as nf
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling

    class SplineCoupling(nf.flows.Flow):
        def __init__(self, i):
            super().__init__()
            self.map = PiecewiseRationalQuadraticCoupling(
                half_mask(d, i), nflows_net, num_bins=BINS, tails="linear", tail_bound=BOUND
            )

        def inverse(self, z):
            z, log_det = self.map(z)
            return z, log_det.view(-1)

    layers = []
    for i in range(LAYERS):
        if spline:
            layers.append(SplineCoupling(i))
        else:
            net = nf.nets.MLP([d // 2, *HIDDEN, 2 * (d - d // 2)], init_zeros=True)
            layers += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(d, mode="swap")]
    return nf.NormalizingFlow(nf.distributions.base.DiagGaussian(d, trainable=False), layers)


def zuko_model(d, spline):
    import zuko

    splines = {"univariate": zuko.transforms.MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    flow = zuko.flows.RealNVP(d, transforms=LAYERS, hidden_features=HIDDEN, **(splines if spline else {}))

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.flow = flow

        def log_prob(self, x):
            return self.flow().log_prob(x)

    return Model()


def torch_round(model, d, spline):
    """A function that trains one epoch and returns its samples per second."""
    model = model(d, spline)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data = torch.randn(BATCH * BATCHES, d)

    def run():
        start = time.process_time()
        for rows in torch.randperm(len(data)).split(BATCH):
            loss = -model.log_prob(data[rows]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return len(data) / (time.process_time() - start)

    return run


def flowjax_round(d, spline, scanned):
    """Likewise for flowjax: batch by batch, or the epoch as one compiled loop."""
    flow = coupling_flow(
        jr.key(0),
        base_dist=Normal(jnp.zeros(d)),
        transformer=RationalQuadraticSpline(knots=BINS, interval=BOUND) if spline else None,
        flow_layers=LAYERS,
        nn_width=HIDDEN[0],
        nn_depth=len(HIDDEN),
    )
    parameters, static = eqx.partition(flow, eqx.is_inexact_array)
    optimizer = optax.adam(1e-3)
    data = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH * BATCHES, d)), jnp.float32)

    def loss(parameters, x):
        return -eqx.combine(parameters, static).log_prob(x).mean()

    def step(carry, x):
        parameters, state = carry
        value, gradient = jax.value_and_grad(loss)(parameters, x)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(parameters, updates), state), value

    def shuffled(key):
        return data[jr.permutation(key, len(data))].reshape(BATCHES, BATCH, d)

    epoch = jax.jit(lambda carry, key: jax.lax.scan(step, carry, shuffled(key)))
    single, shuffled = jax.jit(step), jax.jit(shuffled)
    state = {"carry": (parameters, optimizer.init(parameters)), "key": jr.key(1)}

    def run():
        start = time.process_time()
        state["key"], key = jr.split(state["key"])
        if scanned:
            state["carry"], _ = epoch(state["carry"], key)
        else:
            for x in shuffled(key):
                state["carry"], _ = single(state["carry"], x)
        jax.block_until_ready(state["carry"])
        return len(data) / (time.process_time() - start)

    return run


def flowlet_round(program, features, splines):
    """Samples per second by (name, d), and the vector instructions in use."""
    cargo = ["cargo", "bench", "--quiet", "-p", "flowlet-tools", "--bench", "training", "--"]
    names = "flowlet, NSF" if False not in splines else "flowlet"
    rows = []
    for d in features:
        command = ([program, "--bench"] if program else cargo) + ["200", names, str(d)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows += [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    rates = {(r["name"], r["d"]): r["samples_per_second"] for r in rows if ("NSF" in r["name"]) in splines}
    return rates, rows[0]["lanes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--features", default="8,16,32")
    parser.add_argument("--flows", default="realnvp,nsf")
    parser.add_argument("--program", help="built `training` benchmark to run instead of `cargo bench`")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    features = [int(d) for d in arguments.features.split(",")]
    kinds = {"realnvp": (False, ""), "nsf": (True, ", NSF")}
    flows = [kinds[flow] for flow in arguments.flows.split(",")]

    programs = {}
    for d in features:
        for spline, kind in flows:
            programs["nflows" + kind, d] = torch_round(nflows_model, d, spline)
            programs["normflows" + kind, d] = torch_round(normflows_model, d, spline)
            programs["zuko" + kind, d] = torch_round(zuko_model, d, spline)
            programs["flowjax step" + kind, d] = flowjax_round(d, spline, scanned=False)
            programs["flowjax epoch" + kind, d] = flowjax_round(d, spline, scanned=True)
    best = {}
    for run in programs.values():
        run()  # compile and warm up
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for key, run in programs.items():
            best[key] = max(best.get(key, 0), *(run() for _ in range(8 if "NSF" in key[0] else 20)))
        figures, lanes = flowlet_round(arguments.program, features, [spline for spline, _ in flows])
        for key, value in figures.items():
            best[key] = max(best.get(key, 0), value)

    names = sorted(dict.fromkeys(name for name, _ in best), key=lambda name: "NSF" in name)
    flowlet = lambda name, d: best["flowlet, NSF" if "NSF" in name else "flowlet", d]
    print(f"samples per second, one thread; flowlet uses {lanes}; in brackets: flowlet divided by it")
    print("".join([f"{'':28}"] + [f"{f'd = {d}':>22}" for d in features]))
    for name in names:
        cells = [f"{best[name, d]:,.0f} ({flowlet(name, d) / best[name, d]:.2f})" for d in features]
        print("".join([f"{name:28}"] + [f"{cell:>22}" for cell in cells]))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump([{"name": n, "d": d, "samples_per_second": v} for (n, d), v in best.items()], file, indent=1)


if __name__ == "__main__":
    main()
