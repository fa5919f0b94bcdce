import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { COMMAND, open } from "./browser.mjs";

const run = promisify(execFile);
let [browser, folder] = [undefined, undefined];

before(async () => {
  browser = await open({ path: "/" });
  folder = await mkdtemp(join(tmpdir(), "couplet-page-"));
});

after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

/** A normal sample in a bent strip, the same each time. */
function strip(rows) {
  let state = 7;
  const uniform = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return Array.from({ length: rows }, () => {
    const x = normal();
    return [x, x * x + 0.3 * normal()];
  });
}

async function saved(page, id) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(id)]);
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

test("a table that is chosen is fitted, and its model is the command's", async () => {
  const { page, said } = browser;
  const table = join(folder, "strip.csv");
  await writeFile(table, `a,b\n${strip(800).map((row) => row.join(",")).join("\n")}\n`);
  await page.setInputFiles("#file", table);
  await page.waitForSelector("#columns-section:not([hidden])");
  assert.equal(await page.textContent("#about"), "800 rows of 2 columns");
  await page.fill("#effort", "0.2");
  await page.selectOption("#device", "cpu");
  await page.click("#train");
  // While it trains, its density is seen.
  await page.waitForSelector("#pictures:not([hidden])", { timeout: 60000 });
  await page.waitForSelector("#result:not([hidden])", { timeout: 240000 });
  assert.match(await page.textContent("#training"), /^Trained on CPU/);
  assert.match(await page.textContent("#verdict"), /better/);
  const model = await saved(page, "#save-model");
  const scores = await saved(page, "#save-scores");
  const expected = join(folder, "expected.csv");
  await run(COMMAND, ["score", model, table, "--device", "cpu", "--out", expected]);
  const last = async (path) => (await readFile(path, "utf8")).trim().split("\n").slice(1).map((line) => Number(line.split(",").at(-1)));
  const [ours, theirs] = [await last(scores), await last(expected)];
  assert.equal(ours.length, 800);
  ours.forEach((score, row) => assert.ok(Math.abs(score - theirs[row]) < 1e-4, `${row}: ${score}, ${theirs[row]}`));
  await page.fill("#count", "50");
  const sample = (await readFile(await saved(page, "#save-sample"), "utf8")).trim().split("\n");
  assert.equal(sample[0], "a,b");
  assert.equal(sample.length, 51);
  // And the page reads the model again, and scores the table with it.
  await page.setInputFiles("#model", model);
  await page.waitForSelector("#score-label:not([hidden])");
  await page.setInputFiles("#score", table);
  await page.waitForFunction(() => document.getElementById("model-status").textContent.startsWith("800 rows"));
  assert.deepEqual(said, []);
});

test("a table that is dropped is read", async () => {
  const { page } = browser;
  const dropped = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["u,v\n" + Array.from({ length: 60 }, (_, i) => `${i / 7},${(i * i) % 11}`).join("\n")], "small.csv"));
    return transfer;
  });
  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await page.waitForFunction(() => document.getElementById("about").textContent.startsWith("60 rows of 2 columns"));
});

test("a tab that is killed while it trains leaves nothing broken", async () => {
  const another = await browser.page.context().newPage();
  const trains = async (page) => {
    await page.goto(browser.page.url());
    await page.selectOption("#example", "two-moons");
    await page.selectOption("#device", "cpu");
    await page.waitForSelector("#columns-section:not([hidden])");
    await page.click("#train");
    await page.waitForFunction(() => document.getElementById("training").textContent.startsWith("Step"), undefined, { timeout: 60000 });
  };
  await trains(another);
  // The renderer ends at once, as by the system.
  const session = await another.context().newCDPSession(another);
  const crashed = another.waitForEvent("crash");
  session.send("Page.crash").catch(() => {});
  await crashed;
  await another.close();
  const again = await browser.page.context().newPage();
  await trains(again);
  await again.close();
});

test("a file that is no table is refused where it was chosen", async () => {
  const { page } = browser;
  const file = join(folder, "picture.csv");
  await writeFile(file, Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]));
  await page.setInputFiles("#file", file);
  await page.waitForFunction(() => document.getElementById("about").textContent.includes("HDF5"));
  assert.equal(await page.isVisible("#columns-section"), false);
});

test("kinds that are chosen are the model's, and a fit can be ended", async () => {
  const { page } = browser;
  await page.selectOption("#example", "data/penguins.csv");
  await page.waitForSelector('select[data-column="body_mass_g"]');
  await page.waitForFunction(() => document.querySelectorAll("#notes .inspected").length > 0);
  await page.selectOption('select[data-column="body_mass_g"]', "positive");
  await page.selectOption('select[data-column="species"]', "given");
  await page.selectOption('select[data-column="year"]', "exclude");
  await page.waitForTimeout(300);
  await page.click("#train");
  await page.waitForFunction(() => document.getElementById("training").textContent.startsWith("Step"), undefined, { timeout: 60000 });
  await page.click("#stop");
  await page.waitForSelector("#result:not([hidden])", { timeout: 60000 });
  const info = await run(COMMAND, ["info", await saved(page, "#save-model")]);
  assert.match(info.stdout, /body_mass_g.*positive/);
  assert.match(info.stdout, /given.*species/);
  assert.doesNotMatch(info.stdout, /year/);
  // Of categories the names are written.
  await page.fill("#count", "20");
  const sample = (await readFile(await saved(page, "#save-sample"), "utf8")).trim().split("\n");
  assert.match(sample[0], /island,sex/);
  sample.slice(1).forEach((row) => assert.match(row, /(Biscoe|Dream|Torgersen),(female|male)$/));
  assert.deepEqual(browser.said, []);
});

test("a long table leaves the page responsive", async () => {
  const { page } = browser;
  const table = join(folder, "long.csv");
  await writeFile(table, `a,b\n${strip(100000).map((row) => row.join(",")).join("\n")}\n`);
  await page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask" });
  });
  await page.setInputFiles("#file", table);
  await page.waitForFunction(() => document.getElementById("about").textContent.startsWith("100,000"), undefined, { timeout: 60000 });
  await page.fill("#effort", "0.1");
  await page.selectOption("#device", "cpu");
  await page.click("#train");
  await page.waitForFunction(() => /^Step [0-9,]{3}/.test(document.getElementById("training").textContent), undefined, {
    timeout: 120000,
  });
  await page.click("#stop");
  await page.waitForSelector("#result:not([hidden])", { timeout: 120000 });
  const longest = await page.evaluate(() => window.longest);
  assert.ok(longest <= 100, `${longest} ms`);
});

test("nothing but the page's own files is asked for, and it opens without a network", async () => {
  const { page } = browser;
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(async () => (await caches.match("couplet/cpu/couplet_bg.wasm")) !== undefined);
  await page.context().setOffline(true);
  await page.reload();
  await page.selectOption("#example", "two-moons");
  await page.waitForFunction(() => document.getElementById("about").textContent.startsWith("4,000"));
  await page.context().setOffline(false);
  const others = browser.asked.filter((url) => !url.startsWith("http://127.0.0.1") && !url.startsWith("blob:"));
  assert.deepEqual(others, []);
});
