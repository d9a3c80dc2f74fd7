"""Half a million implied volatilities: Newton's method in the user's own compiled loop, kept in a bracket."""

import math
import time

import numpy as np
from numba import njit

import fastgraph as fg

ULP = np.finfo(float).eps
TINY = 5e-324
LARGEST = 40.0  # of vol * sqrt(years), where a call is worth its forward to the last bit


def log_price():
    """The logarithm of what an option out of the money is worth, in units of sqrt(forward * strike), minus a target.

    Far out it falls like -1 / vol², which Newton's method likes, while the price itself underflows. ``x`` is
    abs(log(forward / strike)). The formula, by scaled error functions, is Jäckel's in Let's Be Rational (2013).
    """
    graph = fg.Graph("log price")
    vol = graph.input("vol")
    x, years, target = graph.parameter("x"), graph.parameter("years"), graph.parameter("target")
    spread = vol * fg.sqrt(years)
    h, t = x / spread, 0.5 * spread
    tails = fg.erfcx((h - t) * math.sqrt(0.5)) - fg.erfcx((h + t) * math.sqrt(0.5))
    graph.output(fg.log(0.5 * tails) - 0.5 * (h * h + t * t) - target)
    return graph.compile()


def call_price():
    """The undiscounted price of a call on a forward, as in the textbook."""
    graph = fg.Graph("call")
    forward, strike, years, vol = graph.inputs("forward", "strike", "years", "vol")
    spread = vol * fg.sqrt(years)
    d = fg.log(forward / strike) / spread + 0.5 * spread
    graph.output(forward * fg.ndtr(d) - strike * fg.ndtr(d - spread))
    return graph.compile()


@njit(cache=True)
def solve(h, x, years, target, steps=100):
    """The vol at which the function of the handle is 0, and its slope there.

    It is concave, so Newton's method from below stays below and converges; the bracket is for what rounding does to it.
    """
    at, slope = np.empty(1), np.empty(1)
    h.set_parameters(np.array([x, years, target]))
    low, high = 0.0, LARGEST / math.sqrt(years)
    # The price is less than exp(-x²/2s²), and less than s / sqrt(2 pi), of the spread s = vol * sqrt(years).
    at[0] = max(x / math.sqrt(-2.0 * target), math.sqrt(2.0 * math.pi) * math.exp(target)) / math.sqrt(years)
    for _ in range(steps):
        vol = at[0]
        value = h.value_and_grad(at, slope)
        if value < 0.0:
            low = vol
        else:
            high = vol
        at[0] = vol - value / slope[0]
        if abs(at[0] - vol) <= 1e-8 * vol:  # it converges quadratically: what is left is rounding
            break
        if not low < at[0] < high:
            at[0] = 0.5 * (low + high)
    return at[0], slope[0]


@njit(cache=True)
def implied(h, forwards, strikes, years, quotes):
    """The vol of each call, and by what part of it one ulp of the quote moves it.

    NaN and inf where no vol has this price: at or below the intrinsic value, and from the forward on.
    """
    vols, doubts = np.full(len(quotes), np.nan), np.full(len(quotes), np.inf)
    for i in range(len(quotes)):
        # What is out of the money, the call or the put, is worth the time value of both.
        worth = quotes[i] - max(forwards[i] - strikes[i], 0.0)
        if worth > 0.0 and quotes[i] < forwards[i]:
            x = abs(math.log(forwards[i] / strikes[i]))
            target = math.log(worth) - 0.5 * math.log(forwards[i] * strikes[i])
            vols[i], slope = solve(h, x, years[i], target)
            doubts[i] = max(ULP * quotes[i], TINY) / (worth * slope * vols[i])
    return vols, doubts


def main():
    """Make quotes from known vols, and find these again as far as the quotes hold them."""
    n, rng = 500_000, np.random.default_rng(0)
    forwards, strikes = np.full(n, 100.0), 100.0 * np.exp(rng.uniform(-1.5, 1.5, n))
    years, vols = np.exp(rng.uniform(np.log(0.01), np.log(10.0), n)), np.exp(rng.uniform(np.log(0.02), np.log(2.0), n))
    f, x = log_price(), np.abs(np.log(forwards / strikes))
    quotes = np.exp(f(vols, x, years, -0.5 * np.log(forwards * strikes))) + np.maximum(forwards - strikes, 0.0)
    gap = np.abs(quotes - call_price()(forwards, strikes, years, vols)).max()
    print(f"quotes from {quotes[quotes > 0.0].min():.0e} to {quotes.max():.1f}, the textbook's to 1e-12: {gap < 1e-12}")

    handle = f.numba
    implied(handle, forwards[:2], strikes[:2], years[:2], quotes[:2])  # loads the compiled code
    begin = time.perf_counter()
    found, doubts = implied(handle, forwards, strikes, years, quotes)
    took = time.perf_counter() - begin
    none, vague = np.isnan(found), np.isfinite(doubts) & (doubts > 1e-3)
    print(f"{n:,} quotes in {took:.2f} s; {none.sum():,} are intrinsic values: vega is 0")
    print(f"{vague.sum():,} others hold less than three digits of their vol")
    errors = np.abs(found / vols - 1.0)
    sharp, right = doubts < 1e-14, errors < 5e-13 + doubts
    print(f"{sharp.sum():,} hold it to 1e-14, and it is found to 5e-13: {errors[sharp].max() < 5e-13}")
    print(f"the others are found as far as an ulp of the quote moves them: {right[~none & ~vague].all()}")


if __name__ == "__main__":
    main()
