// The module, with a GPU where the browser can suspend it until a promise settles (JavaScript promise integration).

export const canWait = typeof WebAssembly.Suspending === "function" && typeof WebAssembly.promising === "function";

const kind = canWait ? "gpu" : "cpu";

/** Compiles the module, for all workers to run. */
export async function compile() {
  const answer = await fetch(new URL(`./${kind}/couplet_bg.wasm`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status} ${answer.statusText}`);
  // While it arrives, where the server says what it is.
  const isNamed = answer.headers.get("content-type")?.startsWith("application/wasm");
  return isNamed ? WebAssembly.compileStreaming(answer) : WebAssembly.compile(await answer.arrayBuffer());
}

/** The functions of a module that is compiled. */
export async function start(compiled) {
  const functions = await import(`./${kind}/couplet.js`);
  await functions.default({ module_or_path: compiled });
  return functions;
}

/**
 * A table from what a page says it is: a file, numbers, or a density that has a name.
 *
 * Bytes are copied, so that a table can be made again.
 */
export function makeTable(module, source) {
  switch (source.from) {
    case "file":
      return module.Table.read(source.name, new Uint8Array(source.bytes), JSON.stringify(source.options));
    case "numbers":
      return module.Table.of(source.columns, source.values);
    default:
      return module.Table.target(source.name, source.rows, source.seed);
  }
}
