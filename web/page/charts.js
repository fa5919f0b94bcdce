// Draws the density and the loss on canvases, in the colors of the page.

const MARGIN = { left: 48, right: 10, top: 10, bottom: 30 };

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Red, green and blue of #rrggbb. */
function parts(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** A canvas cleared at the resolution of the screen, in units of its own pixels. */
function begin(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

/** Round numbers within a range, some four of them. */
export function ticks([low, high]) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const all = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) all.push(k * step);
  return all.map((value) => [value, Number(value.toPrecision(6)).toString()]);
}

/** Axes around a plot; returns how numbers become pixels. */
function axes({ pen, width, height }, across, up, names) {
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top, height - MARGIN.bottom - 14];
  const x = (value) => left + ((value - across[0]) / (across[1] - across[0])) * (right - left);
  const y = (value) => bottom - ((value - up[0]) / (up[1] - up[0])) * (bottom - top);
  pen.strokeStyle = color("--line");
  pen.fillStyle = color("--soft");
  pen.strokeRect(left, top, right - left, bottom - top);
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const [value, text] of ticks(across)) pen.fillText(text, x(value), bottom + 4);
  pen.fillText(names[0], (left + right) / 2, bottom + 20);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const [value, text] of ticks(up)) pen.fillText(text, left - 5, y(value));
  if (names[1]) {
    pen.save();
    pen.translate(10, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(names[1], 0, 0);
    pen.restore();
  }
  return { x, y, left, right, top, bottom };
}

/** A density over two columns, `cells` to a side, rows of cells from below; and points over it. */
export function drawPlane(canvas, { density, cells, across, up, names, points }) {
  const begun = begin(canvas);
  const { pen } = begun;
  const at = axes(begun, across, up, names);
  const [from, to] = [parts(color("--panel")), parts(color("--accent"))];
  const highest = density.reduce((most, p) => Math.max(most, p), 0) || 1;
  const image = new ImageData(cells, cells);
  density.forEach((p, index) => {
    // A root shows what is thin.
    const part = Math.sqrt(p / highest);
    const [row, column] = [cells - 1 - Math.floor(index / cells), index % cells];
    const pixel = 4 * (row * cells + column);
    for (let k = 0; k < 3; k += 1) image.data[pixel + k] = from[k] + (to[k] - from[k]) * part;
    image.data[pixel + 3] = 255;
  });
  const small = new OffscreenCanvas(cells, cells);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, at.left, at.top, at.right - at.left, at.bottom - at.top);
  pen.fillStyle = color("--second");
  for (const [x, y] of points) {
    if (x >= across[0] && x <= across[1] && y >= up[0] && y <= up[1]) {
      pen.fillRect(at.x(x) - 1, at.y(y) - 1, 2, 2);
    }
  }
}

/** A density over one column as a curve, beside a histogram of the table's. */
export function drawLine(canvas, { density, across, name, numbers }) {
  const begun = begin(canvas);
  const { pen } = begun;
  const bins = Math.min(40, Math.max(8, Math.round(Math.sqrt(numbers.length))));
  const width = (across[1] - across[0]) / bins;
  const counts = new Array(bins).fill(0);
  for (const x of numbers) {
    const bin = Math.floor((x - across[0]) / width);
    if (bin >= 0 && bin < bins) counts[bin] += 1;
  }
  const heights = counts.map((count) => count / (numbers.length * width || 1));
  const highest = Math.max(...heights, ...density, Number.MIN_VALUE);
  const at = axes(begun, across, [0, 1.05 * highest], [name, "density"]);
  pen.fillStyle = color("--line");
  heights.forEach((height, bin) => {
    const left = at.x(across[0] + bin * width);
    pen.fillRect(left, at.y(height), at.x(across[0] + (bin + 1) * width) - left - 1, at.bottom - at.y(height));
  });
  path(pen, density.length, (k) => at.x(across[0] + ((k + 0.5) / density.length) * (across[1] - across[0])), (k) =>
    at.y(density[k]),
  );
  pen.strokeStyle = color("--accent");
  pen.lineWidth = 2;
  pen.stroke();
}

function path(pen, count, x, y) {
  pen.beginPath();
  for (let k = 0; k < count; k += 1) {
    if (k === 0) pen.moveTo(x(k), y(k));
    else pen.lineTo(x(k), y(k));
  }
}

/** Losses over steps: pairs of a step and a loss, of rows trained on and of rows held out. */
export function drawLoss(canvas, losses, heldOut) {
  const begun = begin(canvas);
  const curves = [losses, heldOut].map((points) => {
    const finite = points.map(([, loss]) => loss).filter(Number.isFinite);
    return finite.sort((a, b) => a - b);
  });
  const drawn = curves.filter((sorted) => sorted.length > 1);
  if (drawn.length === 0) return;
  // The first steps may lie above the picture, and no more of either curve.
  const low = Math.min(...drawn.map((sorted) => sorted[0]));
  const high = Math.max(...drawn.map((sorted) => sorted[Math.floor(0.97 * (sorted.length - 1))]));
  const room = 0.05 * (high - low) || 1;
  const last = Math.max(...[...losses, ...heldOut].map(([step]) => step), 1);
  const at = axes(begun, [0, last], [low - room, high + room], ["step", ""]);
  const { pen } = begun;
  pen.beginPath();
  pen.rect(at.left, at.top, at.right - at.left, at.bottom - at.top);
  pen.clip();
  for (const [points, name, width] of [
    [losses, "--accent", 1],
    [heldOut, "--second", 2.5],
  ]) {
    path(pen, points.length, (k) => at.x(points[k][0]), (k) => at.y(points[k][1]));
    pen.strokeStyle = color(name);
    pen.lineWidth = width;
    pen.stroke();
  }
}
