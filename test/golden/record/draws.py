# SPDX-License-Identifier: Apache-2.0
"""draws.py — the random numbers that Python's random and NumPy hand out, written down for test/data/replayed.h.

A draw is a letter and a number: u0.25 is uniform, n-1.5 normal, i9:4 one of 0 to 9, g1.0:0.7 of the gamma distribution
of that shape, b1.0:0.5 of the beta distribution of these two (equal) parameters.
"""
import contextlib
import random
from unittest import mock

import numpy as np


class Recorder:
    """Stands for functions of random and np.random; what they return is what they would have returned."""

    def __init__(self, seed):
        self.python, self.numpy, self.draws = random.Random(seed), np.random.RandomState(seed), []

    def uniform_of(self, source):
        value = source()
        self.draws.append(f"u{value!r}")
        return value

    def index(self, most, value):
        self.draws.append(f"i{most}:{int(value)}")
        return int(value)

    # --- random ---
    def random(self):
        return self.uniform_of(self.python.random)

    def uniform(self, lo, hi):
        return lo + (hi - lo) * self.random()

    def gauss(self, mean, deviation):
        value = self.python.gauss(0.0, 1.0)
        self.draws.append(f"n{value!r}")
        return mean + value * deviation

    def choice(self, items):
        return items[self.index(len(items) - 1, self.python.randrange(len(items)))]

    def randint(self, lo, hi):
        return lo + self.index(hi - lo, self.python.randint(lo, hi) - lo)

    # --- np.random ---
    def rand(self, *size):
        values = np.array([self.uniform_of(lambda: float(self.numpy.rand())) for _ in range(int(np.prod(size)))])
        return values.reshape(size) if size else float(values[0])

    def np_randint(self, lo, hi, size=None):
        assert size is None
        return np.int64(lo + self.index(hi - lo - 1, self.numpy.randint(lo, hi) - lo))

    def beta(self, a, b, size=None):
        assert a == b
        values = [float(self.numpy.beta(a, b)) for _ in range(size or 1)]
        self.draws += [f"b{float(a)!r}:{v!r}" for v in values]
        return np.array(values) if size else values[0]

    def dirichlet(self, alphas):
        state = self.numpy.get_state()
        wanted = self.numpy.dirichlet(alphas)
        self.numpy.set_state(state)
        values = [float(self.numpy.standard_gamma(a)) for a in alphas]
        self.draws += [f"g{float(a)!r}:{v!r}" for a, v in zip(alphas, values)]
        total = 0.0
        for v in values:
            total += v
        shares = np.array([v * (1 / total) for v in values])
        assert np.array_equal(shares, wanted)       # this is what NumPy does
        return shares

    def np_choice(self, items, size, replace=True, p=None):
        state = self.numpy.get_state()
        numbers = np.arange(len(items))
        wanted = self.numpy.choice(numbers, size, replace=replace, p=p)
        self.numpy.set_state(state)
        if replace:
            assert p is None
            found = [self.index(len(items) - 1, v) for v in self.numpy.randint(0, len(items), size=size)]
        else:
            found, weights = [], np.array(p)
            while len(found) < size:
                drawn = [self.uniform_of(lambda: float(self.numpy.rand())) for _ in range(size - len(found))]
                weights[found] = 0
                below = np.cumsum(weights)
                below /= below[-1]
                for at in below.searchsorted(drawn, side="right"):
                    if at not in found:
                        found.append(int(at))
        assert found == wanted.tolist()             # likewise
        return [items[i] for i in found]


@contextlib.contextmanager
def recording(seed):
    """Within, `random` and `np.random` draw from `seed`; yields the Recorder."""
    r = Recorder(seed)
    with contextlib.ExitStack() as stack:
        for module, names in ((random, {n: n for n in ("random", "uniform", "gauss", "choice", "randint")}),
                              (np.random, {"rand": "rand", "randint": "np_randint", "beta": "beta",
                                           "dirichlet": "dirichlet", "choice": "np_choice"})):
            for name, ours in names.items():
                stack.enter_context(mock.patch.object(module, name, getattr(r, ours)))
        yield r
