// The page: a table is read, a flow is fitted and looked at while it trains, and what came of it is saved.

import { Flow, Table, fit, ready } from "./couplet/index.js";
import { drawLine, drawLoss, drawPlane } from "./charts.js";
import { gridOf, histogram, ranges, rowsOf, split, toCsv } from "./numbers.js";

const part = (id) => document.getElementById(id);

/** Cells to a side of the density's picture, and points of a curve. */
const CELLS = 72;
const POINTS = 200;
/** Rows that are drawn where the density of two of several columns is shown. */
const DRAWN = 20000;
/** Rows of the table that are shown. */
const SHOWN = 2000;

const KINDS = [
  ["", "automatic"],
  ["real", "real number"],
  ["positive", "positive number"],
  ["bounded", "bounded by its range"],
  ["integer", "whole number"],
  ["circular(360)", "angle in degrees"],
  ["circular(6.283185307179586)", "angle in radians"],
  ["circular(24)", "hour of the day"],
  ["categorical", "category"],
  ["given", "given (context)"],
  ["exclude", "left out"],
];

/** What the page holds. */
const state = {
  /** Makes the table again, without some columns. */
  read: undefined,
  table: undefined,
  values: undefined,
  /** What was fitted: a table, and the columns that were given. */
  fitted: undefined,
  flow: undefined,
  report: undefined,
  controller: undefined,
  losses: [],
  heldOut: [],
  /** Whether a picture is being made, and whether another is wanted. */
  isDrawing: false,
  isStale: false,
};

function say(id, text, failed = false) {
  part(id).textContent = text;
  part(id).classList.toggle("failed", failed);
}

function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

function note(kind, text) {
  const item = document.createElement("li");
  item.textContent = text;
  item.className = kind;
  part("notes").append(item);
}

// Data

async function take(read) {
  part("notes").replaceChildren();
  say("about", "Reading ...");
  part("columns-section").hidden = true;
  try {
    const table = await read([]);
    const values = await table.values();
    Object.assign(state, { read, table, values });
    say("about", `${count(table.rows, "row")} of ${count(table.columns.length, "column")}`);
    if (table.dropped > 0) note("note", `${count(table.dropped, "row")} without some value left out`);
    table.notes.forEach((text) => note("note", text));
    showColumns();
    part("columns-section").hidden = false;
    await inspect();
  } catch (error) {
    say("about", error.message, true);
  }
}

function takeFile(file) {
  const options = { dropMissing: part("drop-missing").checked };
  return take((exclude) => Table.read(file, { ...options, exclude }));
}

async function takeExample(name) {
  if (!name.includes("/")) {
    return take(() => Table.target(name, { rows: 4000, seed: 1 }));
  }
  const answer = await fetch(name);
  return takeFile(new File([await answer.blob()], name.split("/").at(-1)));
}

function showColumns() {
  const shown = (value) => Number(value.toPrecision(6)).toString();
  part("columns").replaceChildren(
    ...state.table.columns.map((column) => {
      const row = document.createElement("tr");
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = column.name;
      const range = document.createElement("td");
      range.className = "range";
      const { levels } = column;
      range.textContent = levels.length
        ? levels.slice(0, 5).join(", ") + (levels.length > 5 ? ` and ${levels.length - 5} more` : "")
        : `${shown(column.min)} to ${shown(column.max)}`;
      const kind = document.createElement("select");
      kind.dataset.column = column.name;
      kind.setAttribute("aria-label", `What ${column.name} is taken as`);
      const of = levels.length ? KINDS.filter(([value]) => ["", "given", "exclude"].includes(value)) : KINDS;
      kind.append(...of.map(([value, text]) => new Option(text, value)));
      kind.addEventListener("change", inspect);
      const cell = document.createElement("td");
      cell.append(kind);
      row.append(name, range, cell);
      return row;
    }),
  );
}

/** What the form says of the columns. */
function roles() {
  const said = { given: [], exclude: [], kinds: {} };
  for (const select of part("columns").querySelectorAll("select")) {
    const name = select.dataset.column;
    const column = state.table.columns.find((it) => it.name === name);
    if (select.value === "given" || select.value === "exclude") said[select.value].push(name);
    else if (select.value === "bounded") said.kinds[name] = `bounded(${column.min},${column.max})`;
    else if (select.value) said.kinds[name] = select.value;
  }
  return said;
}

/** Says how the columns would be taken, and what speaks against it. */
async function inspect() {
  part("notes").querySelectorAll(".inspected").forEach((item) => item.remove());
  const { given, exclude, kinds } = roles();
  const { seed, effort } = numbers();
  try {
    const table = exclude.length ? await state.read(exclude) : state.table;
    const found = await table.inspect({ given, kinds, settings: { train: { seed, effort } } });
    found.notes.forEach((text) => note("note inspected", text));
    found.warnings.forEach((text) => note("warning inspected", text));
    part("train").disabled = state.controller !== undefined;
  } catch (error) {
    note("warning inspected", error.message);
    part("train").disabled = true;
  }
}

// Training

function numbers() {
  return { seed: Math.max(0, Math.floor(Number(part("seed").value) || 0)), effort: Number(part("effort").value) || 1 };
}

async function train() {
  const { given, exclude, kinds } = roles();
  const controller = new AbortController();
  Object.assign(state, { controller, losses: [], heldOut: [], report: undefined });
  part("train").disabled = true;
  part("stop").disabled = false;
  part("result").hidden = true;
  part("progress").hidden = false;
  part("progress").value = 0;
  say("training", "Preparing ...");
  let device = "";
  try {
    const table = exclude.length ? await state.read(exclude) : state.table;
    const values = exclude.length ? await table.values() : state.values;
    state.fitted = { table, values };
    const { flow, report, error, messages } = await fit(table, {
      given,
      kinds,
      device: part("device").value,
      settings: { train: numbers() },
      signal: controller.signal,
      onProgress({ done, steps, loss, heldOut }) {
        part("progress").max = steps;
        part("progress").value = done;
        state.losses.push([done, loss]);
        if (heldOut !== null) state.heldOut.push([done, heldOut]);
        say("training", `Step ${done.toLocaleString("en")} of ${steps.toLocaleString("en")}, loss ${loss.toFixed(3)} nats, on ${device}`);
        showLoss();
      },
      onMessage(kind, text) {
        if (kind === "device") device = text;
      },
      async onModel(bytes) {
        // One at a time: a page that falls behind shows fewer.
        if (!state.isDrawing) await Flow.load(bytes).then(show, () => {});
      },
    });
    messages.filter(({ kind }) => kind === "warning").forEach(({ text }) => warnOnce(text));
    Object.assign(state, { report, losses: report?.losses ?? state.losses, heldOut: report?.validation ?? state.heldOut });
    say("training", error ?? (report ? `Trained on ${device}` : "Ended early: the model is the latest, without a report"), Boolean(error));
    await finish(flow, report);
  } catch (error) {
    say("training", error.message, true);
  } finally {
    state.controller = undefined;
    part("train").disabled = false;
    part("stop").disabled = true;
    part("progress").hidden = true;
  }
}

function warnOnce(text) {
  const known = [...part("notes").children].some((item) => item.textContent === text);
  if (!known) note("warning", text);
}

function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

async function finish(flow, report) {
  part("verdict").textContent = sentence(report?.verdict);
  part("advice").textContent = sentence(report?.advice);
  part("report").textContent = report?.text ?? flow.text;
  part("save-report").disabled = report === undefined;
  part("save-scores").disabled = state.fitted === undefined;
  part("result").hidden = false;
  await show(flow);
  showLoss();
}

// Pictures

/** Shows a flow, and takes it for the one that is there. */
async function show(flow) {
  const isNew = state.flow?.columns.join("\n") !== flow.columns.join("\n");
  state.flow = flow;
  part("pictures").hidden = false;
  if (isNew) {
    const names = numeric(flow);
    for (const [id, chosen] of [["across", 0], ["up", Math.min(1, names.length - 1)]]) {
      part(id).replaceChildren(...names.map((name) => new Option(name, name)));
      part(id).selectedIndex = chosen;
    }
  }
  await picture();
}

/** Mixtures have no steps. */
function showLoss() {
  part("loss-figure").hidden = state.losses.length < 2;
  if (state.losses.length >= 2) drawLoss(part("loss"), state.losses, state.heldOut);
}

/** The columns of numbers among the modelled ones. */
function numeric(flow) {
  return flow.columns.filter((_, j) => flow.levels[j].length === 0);
}

async function picture() {
  if (state.isDrawing) {
    state.isStale = true;
    return;
  }
  state.isDrawing = true;
  try {
    do {
      state.isStale = false;
      await draw();
    } while (state.isStale);
  } catch (error) {
    say("density-caption", error.message, true);
  } finally {
    state.isDrawing = false;
  }
}

async function draw() {
  const { flow, fitted } = state;
  const names = [part("across").value, part("up").value];
  const canvas = part("density");
  const ofTable = (name) => (fitted ? rowsOf(fitted.table, fitted.values, [name], SHOWN).map(([x]) => x) : []);
  const isExact = flow.isSmooth && numeric(flow).length === new Set(names).size;
  const at = (name) => flow.columns.indexOf(name);
  const sample = isExact && fitted ? undefined : await drawn(flow);
  const sampled = (name) => (sample ? sample.map((row) => row[at(name)]) : []);
  const [across, up] = names.map((name) => ranges(fitted ? ofTable(name) : sampled(name)));
  if (names[0] === names[1]) {
    const density = isExact
      ? (await flow.logProb(gridOf([across], POINTS))).map(Math.exp)
      : histogram(sample.map((row) => [row[at(names[0])]]), [across], POINTS / 4);
    drawLine(canvas, { density: Array.from(density), across, name: names[0], numbers: ofTable(names[0]) });
  } else {
    const inOrder = at(names[0]) < at(names[1]);
    const density = isExact
      ? (await flow.logProb(gridOf([across, up], CELLS, inOrder))).map(Math.exp)
      : histogram(sample.map((row) => names.map((name) => row[at(name)])), [across, up], CELLS);
    const points =
      part("show-data").checked && fitted ? rowsOf(fitted.table, fitted.values, names, SHOWN) : [];
    drawPlane(canvas, { density: Array.from(density), cells: CELLS, across, up, names, points });
  }
  const how = isExact ? "The model's density" : `The model's density, from ${DRAWN.toLocaleString("en")} rows drawn from it`;
  const where = names[0] === names[1] ? `of ${names[0]}` : `of ${names[0]} and ${names[1]}`;
  say("density-caption", `${how}, ${where}; darker or brighter by its root. Points are rows of the table.`);
  canvas.setAttribute("aria-label", `${how} ${where}`);
}

/** Rows drawn from a flow; where it is given columns, given those of rows of the table. */
async function drawn(flow, number = DRAWN, seed = 1) {
  let given;
  if (flow.given.length > 0) {
    if (!state.fitted) throw new Error("This model is a density given other columns: fit it here to see a picture.");
    const { table, values } = state.fitted;
    const rows = rowsOf(table, values, flow.given, table.rows);
    given = Array.from({ length: number }, (_, k) => rows[k % rows.length]);
  }
  const all = await flow.sample(number, { seed, given: given ?? [] });
  return split(all, flow.columns.length);
}

// Files to save

function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function saveSample() {
  const number = Math.min(1000000, Math.max(1, Math.floor(Number(part("count").value) || 1)));
  const rows = await drawn(state.flow, number, numbers().seed);
  save("sample.csv", toCsv(state.flow.columns, state.flow.levels, rows), "text/csv");
}

async function saveScores() {
  const { table, values } = state.fitted;
  const rows = rowsOf(table, values, columnsOf(state.flow), table.rows);
  saveScored(rows, await state.flow.logProb(rows));
}

/** The columns of a flow's rows. */
function columnsOf(flow) {
  return [...flow.columns, ...flow.given];
}

function saveScored(rows, logProb) {
  const scored = rows.map((row, index) => [...row, logProb[index]]);
  save("scores.csv", toCsv([...columnsOf(state.flow), "log_prob"], [...state.flow.levels, []], scored), "text/csv");
}

// Models from files

async function openModel(file) {
  try {
    const flow = await Flow.load(file);
    Object.assign(state, { fitted: undefined, losses: [], heldOut: [], report: undefined });
    part("score-label").hidden = false;
    say("model-status", `${file.name}: a density of ${flow.columns.join(", ")}${flow.given.length ? ` given ${flow.given.join(", ")}` : ""}`);
    await finish(flow, undefined);
  } catch (error) {
    say("model-status", error.message, true);
  }
}

async function scoreFile(file) {
  try {
    const { values, logProb } = await state.flow.score(file);
    const mean = logProb.reduce((sum, score) => sum + score, 0) / logProb.length;
    say("model-status", `${count(logProb.length, "row")}, mean log_prob ${mean.toFixed(4)} nats`);
    saveScored(split(values, columnsOf(state.flow).length), logProb);
  } catch (error) {
    say("model-status", error.message, true);
  }
}

// What a visitor does

function onFile(id, use) {
  part(id).addEventListener("change", ({ target }) => {
    const [file] = target.files;
    // The same file may be chosen again, changed.
    target.value = "";
    if (file) use(file);
  });
}

onFile("file", takeFile);
onFile("model", openModel);
onFile("score", scoreFile);
for (const name of ["dragover", "dragleave", "drop"]) {
  part("drop").addEventListener(name, (event) => {
    event.preventDefault();
    part("drop").classList.toggle("over", name === "dragover");
    const [file] = name === "drop" ? event.dataTransfer.files : [];
    if (file) takeFile(file);
  });
}
part("example").addEventListener("change", ({ target }) => target.value && takeExample(target.value));
part("train").addEventListener("click", train);
part("stop").addEventListener("click", () => {
  say("training", "Ending ...");
  state.controller?.abort();
});
for (const id of ["across", "up", "show-data"]) part(id).addEventListener("change", picture);
part("save-model").addEventListener("click", () => save("model.safetensors", state.flow.save(), "application/octet-stream"));
part("save-report").addEventListener("click", () => save("report.txt", state.report.text, "text/plain"));
part("save-sample").addEventListener("click", saveSample);
part("save-scores").addEventListener("click", saveScores);
const redraw = () => {
  if (state.flow) picture();
  showLoss();
};
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// What cannot be loaded is said where it is needed.
ready().catch(() => {});
// Without a network the page is there again.
if ("serviceWorker" in navigator) navigator.serviceWorker.register("offline.js", { type: "module" }).catch(() => {});
