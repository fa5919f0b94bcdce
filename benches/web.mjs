// Times the package in Chromium against the command with one thread, on the flow that a table of 2,000 rows gets, and says how much a
// browser loads.
//
//     scripts/web build && cargo build --release && node benches/web.mjs
//
// It takes playwright-core from where `scripts/web test` puts it. COUPLET_INSTRUCTIONS=avx2 holds the command to these vectors.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";

process.env.COUPLET ??= fileURLToPath(new URL("../target/release/couplet", import.meta.url));
const { COMMAND, WITHOUT_PROMISES, open } = await import("../web/tests/browser.mjs");

const ROUNDS = 5;
const STEPS = 500;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

/** Milliseconds a step in a browser, and from the opening of the page to the first loss. */
async function browser(prelude) {
  const opened = await open({ prelude });
  const measured = await opened.page.evaluate(async (steps) => {
    const { Table, fit } = await import("/couplet/index.js");
    const table = await Table.target("two-moons", { rows: 2000 });
    const times = [];
    await fit(table, {
      device: "cpu",
      settings: { model: { mixture: false }, train: { ensemble: 1, extension: 0, steps } },
      onProgress: ({ done }) => times.push([performance.now(), done]),
    });
    const [[begin, first], [end, last]] = [times[0], times.at(-1)];
    return { step: (end - begin) / (last - first), first: begin };
  }, STEPS);
  await opened.close();
  return measured;
}

/** Milliseconds a step of the command. */
function command(folder) {
  const table = ["--target", "two-moons", "--rows", "2000"];
  const settings = ["--mixture", "false", "--ensemble", "1", "--extension", "0", "--steps", `${STEPS}`];
  const manner = ["--device", "cpu", "--json", "--quiet", "--out", join(folder, "model.safetensors")];
  const env = { ...process.env, RAYON_NUM_THREADS: "1" };
  return JSON.parse(execFileSync(COMMAND, ["train", ...table, ...settings, ...manner], { env })).ms_per_step;
}

const folder = mkdtempSync(join(tmpdir(), "couplet-web-"));
const [page, native, first] = [[], [], []];
for (let round = 0; round < ROUNDS; round += 1) {
  const measured = await browser(round % 2 ? WITHOUT_PROMISES : undefined);
  page.push(measured.step);
  first.push(measured.first);
  native.push(command(folder));
}
rmSync(folder, { recursive: true });
const ms = (numbers) => median(numbers).toFixed(2);
console.log(`ms a step: in Chromium ${ms(page)}, by the command with one thread ${ms(native)}: ${(median(page) / median(native)).toFixed(2)} times`);
console.log(`from the opening of the page to the first loss: ${ms(first)} ms`);
for (const kind of ["cpu", "gpu"]) {
  const bytes = readFileSync(fileURLToPath(new URL(`../target/web-page/couplet/${kind}/couplet_bg.wasm`, import.meta.url)));
  console.log(`the ${kind} module: ${bytes.length} bytes, ${brotliCompressSync(bytes).length} by brotli`);
}
