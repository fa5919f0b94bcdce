// A browser with a page of the package, for tests.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { chromium } = createRequire(join(root, "target/web-tests/"))("playwright-core");

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Serves the page, and an empty one at /empty. */
async function serve(served) {
  const folder = join(root, "target/web-page");
  const server = createServer(async ({ url }, answer) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    served.push(path);
    try {
      const file = path === "/" ? "/index.html" : path;
      const body = path === "/empty" ? "<!doctype html><title>empty</title>" : await readFile(join(folder, file));
      answer.writeHead(200, { "content-type": TYPES[extname(file)] ?? "text/html" });
      answer.end(body);
    } catch {
      answer.writeHead(404);
      answer.end();
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

/** Takes promise integration from a browser. */
export const WITHOUT_PROMISES = "delete WebAssembly.Suspending;\n";

/** A page in a browser with what it said on its console, asked for and was served. `prelude` is run first, there and in its workers. */
export async function open({ prelude, path = "/empty", ...options } = {}) {
  const served = [];
  const server = await serve(served);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--enable-features=Vulkan",
      "--use-webgpu-adapter=swiftshader",
    ],
  });
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const [said, asked] = [[], []];
  page.on("request", (request) => asked.push(request.url()));
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  if (prelude) {
    await page.addInitScript(prelude);
    await page.route("**/module.js", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: prelude + (await answer.text()) });
    });
  }
  await page.goto(`http://127.0.0.1:${server.address().port}${path}`);
  return {
    page,
    said,
    asked,
    served,
    async close() {
      await browser.close();
      server.close();
    },
  };
}

/** The command. */
export const COMMAND = process.env.COUPLET ?? join(root, "target/debug/couplet");
