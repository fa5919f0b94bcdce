import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { COMMAND, WITHOUT_PROMISES, open } from "./browser.mjs";

const run = promisify(execFile);
let [browser, folder] = [undefined, undefined];

before(async () => {
  browser = await open();
  folder = await mkdtemp(join(tmpdir(), "couplet-web-"));
});

after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

/** A fit in the page: what it reported, and the model's bytes with log-densities and a sample. */
function fitted(page, options, rows = 600) {
  return page.evaluate(
    async ([options, rows]) => {
      const { Table, fit } = await import("/couplet/index.js");
      const table = await Table.target("two-moons", { rows, seed: 3 });
      const progress = [];
      let models = 0;
      const result = await fit(table, {
        ...options,
        onProgress: (at) => progress.push(at),
        onModel: () => (models += 1),
      });
      const points = [0.5, 0.25, -1, 0.5, 1.5, 1];
      const { flow } = result;
      return {
        progress,
        models,
        messages: result.messages,
        verdict: result.report?.verdict,
        losses: result.report?.losses.map(([, loss]) => loss) ?? [],
        bytes: Array.from(flow.save()),
        logProb: Array.from(await flow.logProb(points)),
        inF64: Array.from(await flow.logProb(points, { inF64: true })),
        sample: Array.from(await flow.sample(5, { seed: 9 })),
        back: await flow.forward(points).then(({ z }) => flow.inverse(z)).then((all) => Array.from(all)),
        points,
      };
    },
    [options, rows],
  );
}

const SETTINGS = { train: { steps: 200, seed: 1 }, model: { mixture: false } };

test("a model of the page is the command's", async () => {
  const found = await fitted(browser.page, { device: "cpu", settings: SETTINGS });
  const [first, last] = [found.losses[0], found.losses.at(-1)];
  assert.ok(last < first - 0.2, `${first} to ${last}`);
  assert.ok(found.progress.at(-1).done === 200 && found.models > 0);
  const model = join(folder, "page.safetensors");
  await writeFile(model, Buffer.from(found.bytes));
  await writeFile(join(folder, "points.csv"), "x0,x1\n0.5,0.25\n-1,0.5\n1.5,1\n");
  const scores = join(folder, "scores.csv");
  await run(COMMAND, ["score", model, join(folder, "points.csv"), "--f64", "--out", scores]);
  const [, ...lines] = (await readFile(scores, "utf8")).trim().split("\n");
  lines.forEach((line, row) => {
    const expected = Number(line.split(",").at(-1));
    assert.ok(Math.abs(found.inF64[row] - expected) < 1e-6, `${found.inF64[row]}, not ${expected}`);
    assert.ok(Math.abs(found.logProb[row] - expected) < 1e-4, `${found.logProb[row]}, not ${expected}`);
  });
  found.back.forEach((x, index) => assert.ok(Math.abs(x - found.points[index]) < 1e-3, found.back));
  // The same rows as the command draws, in the precision of the table.
  const drawn = join(folder, "sample.csv");
  await run(COMMAND, ["sample", model, "--rows", "5", "--seed", "9", "--device", "cpu", "--out", drawn]);
  const rows = (await readFile(drawn, "utf8")).trim().split("\n").slice(1).join(",").split(",").map(Number);
  rows.forEach((x, index) => assert.ok(Math.abs(found.sample[index] - x) < 1e-4, `${found.sample} ${rows}`));
});

test("a browser that cannot wait for promises fits on its CPU", async () => {
  const without = await open({ prelude: WITHOUT_PROMISES });
  try {
    const found = await fitted(without.page, { settings: SETTINGS });
    const here = await fitted(browser.page, { device: "cpu", settings: SETTINGS });
    assert.deepEqual(found.bytes, here.bytes);
    assert.deepEqual(without.said, []);
    const modules = without.served.filter((path) => path.endsWith(".wasm"));
    assert.deepEqual([...new Set(modules)], ["/couplet/cpu/couplet_bg.wasm"]);
  } finally {
    await without.close();
  }
});

/** A flow that a software GPU compiles soon. */
const SMALL = { mixture: false, transform: "affine", layers: 2, hidden: [16], mixing: "none" };

test("WebGPU trains as the CPU does", async () => {
  const settings = { train: { steps: 30, seed: 1, extension: 0 }, model: SMALL };
  const found = await fitted(browser.page, { device: "gpu", settings });
  const expected = await fitted(browser.page, { device: "cpu", settings });
  const device = found.messages.find(({ kind }) => kind === "device").text;
  assert.match(device, /WebGpu/);
  assert.equal(found.losses.length, expected.losses.length);
  found.losses.forEach((loss, step) => {
    assert.ok(Math.abs(loss - expected.losses[step]) < 1e-4, `step ${step}: ${loss}, ${expected.losses[step]}`);
  });
});

/** Has each device lost with its third submission that computes. */
const FAILING = `
  const devices = new WeakMap();
  const [request, submit] = [GPUAdapter.prototype.requestDevice, GPUQueue.prototype.submit];
  GPUAdapter.prototype.requestDevice = async function (...given) {
    const device = await request.apply(this, given);
    devices.set(device.queue, { device, left: 3 });
    return device;
  };
  GPUQueue.prototype.submit = function (buffers) {
    const it = devices.get(this);
    it.left -= buffers.length ? 1 : 0;
    if (it.left === 0) it.device.destroy();
    return submit.call(this, buffers);
  };
`;

test("a fit whose device is lost continues on the CPU", async () => {
  const failing = await open({ prelude: FAILING });
  const settings = { train: { steps: 30, seed: 1, extension: 0 }, model: SMALL };
  try {
    const found = await fitted(failing.page, { device: "gpu", settings });
    const expected = await fitted(failing.page, { device: "cpu", settings });
    const warnings = found.messages.filter(({ kind }) => kind === "warning").map(({ text }) => text);
    assert.match(warnings.at(-1), /the CPU takes over/, warnings.join("\n"));
    assert.equal(found.losses.length, 30);
    found.losses.forEach((loss, step) => {
      assert.ok(Math.abs(loss - expected.losses[step]) < 1e-4, `step ${step}: ${loss}, ${expected.losses[step]}`);
    });
  } finally {
    await failing.close();
  }
});

test("a file that cannot be read is refused in the command's words", async () => {
  const text = "a,b\n1,2\n3,\n";
  const message = await browser.page.evaluate(async (text) => {
    const { Table } = await import("/couplet/index.js");
    const file = new File([text], "bad.csv");
    return Table.read(file).then(
      () => "",
      (error) => error.message,
    );
  }, text);
  await writeFile(join(folder, "bad.csv"), text);
  const refused = await run(COMMAND, ["train", join(folder, "bad.csv"), "--dry-run"]).catch((error) => error.stderr);
  assert.ok(message.startsWith("bad.csv: "), message);
  const [first] = message.split(";");
  assert.ok(refused.includes(first.slice("bad.csv".length)), `${message}\n${refused}`);
});

test("kinds of columns are said before a fit", async () => {
  const found = await browser.page.evaluate(async () => {
    const { Table } = await import("/couplet/index.js");
    const row = (i) => `${["cat", "dog", "eel"][i % 3]},${i % 7},${Math.sin(i * 12.9898) * 3}`;
    const text = ["pet,age,weight", ...Array.from({ length: 400 }, (_, i) => row(i))].join("\n");
    const table = await Table.read(new File([text], "pets.csv"));
    return { rows: table.rows, columns: table.columns, said: await table.inspect() };
  });
  assert.equal(found.rows, 400);
  assert.deepEqual(found.columns[0].levels, ["cat", "dog", "eel"]);
  assert.deepEqual(found.said.categories, ["pet"]);
  assert.deepEqual(found.said.numbers, ["age", "weight"]);
  assert.match(found.said.kinds[0], /^integer/);
});

test("a fit ends when it is asked to", async () => {
  const found = await browser.page.evaluate(async () => {
    const { Table, fit } = await import("/couplet/index.js");
    const table = await Table.target("two-moons", { rows: 1000 });
    const controller = new AbortController();
    let done = 0;
    const { flow, report } = await fit(table, {
      device: "cpu",
      settings: { train: { steps: 100000 } },
      signal: controller.signal,
      onProgress(at) {
        done = at.done;
        controller.abort();
      },
    });
    return { done, columns: flow.columns, text: report.text };
  });
  assert.ok(found.done > 0 && found.done < 10000, found.done);
  assert.equal(found.columns.length, 2);
});
