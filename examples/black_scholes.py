"""Black-Scholes: price and greeks of a million European calls, from the price alone."""

import numpy as np

import fastgraph as fg


def call_price():
    """The price of a call as a function of spot, strike, rate, vol and years."""
    graph = fg.Graph("call")
    spot, strike, rate, vol, years = graph.inputs("spot", "strike", "rate", "vol", "years")
    spread = vol * fg.sqrt(years)
    d1 = (fg.log(spot / strike) + (rate + 0.5 * vol * vol) * years) / spread
    graph.output(spot * fg.ndtr(d1) - strike * fg.exp(-rate * years) * fg.ndtr(d1 - spread), name="price")
    return graph.compile()


def main():
    """Print the greeks of one option, then check a batch by the theta of the Black-Scholes equation."""
    price = call_price()

    value, greeks = price.value_and_grad(100.0, 100.0, 0.05, 0.2, 1.0)
    print(f"price {value:.6f}")
    print(f"delta {greeks.spot:.6f}, vega {greeks.vol:.6f}, rho {greeks.rate:.6f}, theta {-greeks.years:.6f}")

    spot = np.linspace(50.0, 150.0, 1_000_000)
    values, greeks = price.value_and_grad(spot, 100.0, 0.05, 0.2, 1.0, wrt=("spot", "rate"))
    # A call is worth what replicates it: delta shares and a loan, whose value is minus rho / years.
    replica = greeks.spot * spot - greeks.rate / 1.0  # rho over years
    print(f"{len(spot):,} options, worth {values.mean():.6f} on average")
    print(f"largest gap to the replicating portfolio: {np.abs(values - replica).max():.1e}")


if __name__ == "__main__":
    main()
