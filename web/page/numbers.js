// Numbers between tables, pictures and files.

/** Some rows of a table's columns, as arrays, from all over it. */
export function rowsOf(table, values, names, most) {
  const width = table.columns.length;
  const at = names.map((name) => table.columns.findIndex((column) => column.name === name));
  const number = Math.min(most, table.rows);
  return Array.from({ length: number }, (_, k) => {
    const row = Math.floor((k * table.rows) / number);
    return at.map((j) => values[row * width + j]);
  });
}

/** Rows of numbers that follow row after row. */
export function split(all, width) {
  return Array.from({ length: all.length / width }, (_, row) => all.subarray(row * width, (row + 1) * width));
}

/** A range around numbers, without the farthest thousandth at either end. */
export function ranges(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const end = Math.floor(0.001 * sorted.length);
  const [low, high] = [sorted[end] ?? 0, sorted[sorted.length - 1 - end] ?? 1];
  const room = 0.08 * (high - low) || 0.5;
  return [low - room, high + room];
}

/** The middles of cells, row after row: of one range, or of two, the first within the second; `inOrder` says which comes first in a row. */
export function gridOf(of, cells, inOrder = true) {
  const middle = ([low, high], k) => low + ((k + 0.5) / cells) * (high - low);
  if (of.length === 1) return Float64Array.from({ length: cells }, (_, k) => middle(of[0], k));
  const all = new Float64Array(2 * cells * cells);
  for (let row = 0; row < cells; row += 1) {
    for (let column = 0; column < cells; column += 1) {
      const index = 2 * (row * cells + column);
      all[index + (inOrder ? 0 : 1)] = middle(of[0], column);
      all[index + (inOrder ? 1 : 0)] = middle(of[1], row);
    }
  }
  return all;
}

/** The density of points in cells of one range or of two, a little smoothed. */
export function histogram(points, of, cells) {
  const size = of.length === 1 ? cells : cells * cells;
  const counts = new Float64Array(size);
  for (const point of points) {
    const at = of.map(([low, high], k) => Math.floor(((point[k] - low) / (high - low)) * cells));
    if (at.every((index) => index >= 0 && index < cells)) counts[at[0] + (at[1] ?? 0) * cells] += 1;
  }
  const area = of.reduce((product, [low, high]) => (product * (high - low)) / cells, 1);
  let density = counts.map((number) => number / (points.length * area));
  if (of.length === 2) {
    for (const step of [1, cells]) density = smoothed(density, cells, step);
  }
  return density;
}

/** Weights 1, 4, 6, 4, 1 along rows of cells or along columns. */
function smoothed(density, cells, step) {
  const weights = [1, 4, 6, 4, 1];
  return density.map((_, index) => {
    const at = step === 1 ? index % cells : Math.floor(index / cells);
    let [sum, all] = [0, 0];
    weights.forEach((weight, k) => {
      if (at + k - 2 >= 0 && at + k - 2 < cells) {
        sum += weight * density[index + (k - 2) * step];
        all += weight;
      }
    });
    return sum / all;
  });
}

/** A table of comma-separated values; of columns with levels, by their names. */
export function toCsv(names, levels, rows) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const field = (x, j) => (levels[j]?.length ? quoted(levels[j][x]) : String(x));
  const lines = rows.map((row) => Array.from(row, field).join(","));
  return [names.map(quoted).join(","), ...lines, ""].join("\n");
}
