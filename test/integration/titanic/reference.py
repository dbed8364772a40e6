"""The Titanic training by numpy, written apart from the TypeScript: its own reading, random numbers, mathematics.

Reads {"folder", "clients", "seed", "rounds", "client", "server"} as JSON from standard input and writes the rounds' accuracies and losses.
"""

import json
import math
import sys

import numpy as np

EMBEDDING = 4


def uniforms(seed):
    """FNV-1a of the seed's bytes, then xorshift32 (13, 17, 5), the first 16 numbers thrown away."""
    state = 2166136261
    for byte in seed.encode():
        state = ((state ^ byte) * 16777619) % 2**32
    state = state or 1
    drawn = 0
    while True:
        state ^= (state << 13) % 2**32
        state ^= state >> 17
        state ^= (state << 5) % 2**32
        drawn += 1
        if drawn > 16:
            yield state / 2**32


def layer(inputs, outputs, seed):
    draw = uniforms(seed)
    bound = 1 / math.sqrt(inputs)
    weights = np.array([[(2 * next(draw) - 1) * bound for _ in range(outputs)] for _ in range(inputs)])
    bias = np.array([(2 * next(draw) - 1) * bound for _ in range(outputs)])
    return weights, bias


def table(folder, party):
    return np.loadtxt(f"{folder}/{party}/titanic.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1:]


def main():
    ask = json.load(sys.stdin)
    seed, names = ask["seed"], ask["clients"]
    inputs = [table(ask["folder"], name) for name in names]
    truth = table(ask["folder"], "server")[:, 0]
    people = len(truth)
    clients = [layer(x.shape[1], EMBEDDING, f"{seed}/{name}") for x, name in zip(inputs, names)]
    w, b = layer(EMBEDDING * len(names), 1, f"{seed}/server")
    report = []
    for _ in range(ask["rounds"]):
        joined = np.hstack([x @ cw + cb for x, (cw, cb) in zip(inputs, clients)])
        score = (joined @ w + b)[:, 0]
        chance = 1 / (1 + np.exp(-score))
        report.append(
            {
                "accuracy": float(np.mean((chance > 0.5) == (truth == 1))),
                "loss": float(-np.mean(truth * np.log(chance) + (1 - truth) * np.log(1 - chance))),
            }
        )
        error = (chance - truth)[:, None] / people
        back = error @ w.T
        w, b = w - ask["server"] * joined.T @ error, b - ask["server"] * error.sum(axis=0)
        for k, x in enumerate(inputs):
            own = back[:, k * EMBEDDING : (k + 1) * EMBEDDING]
            cw, cb = clients[k]
            clients[k] = cw - ask["client"] * x.T @ own, cb - ask["client"] * own.sum(axis=0)
    json.dump(report, sys.stdout)


main()
