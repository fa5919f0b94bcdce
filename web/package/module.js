// The module, with a GPU where the browser can suspend it until a promise settles (JavaScript promise integration).

export const canWait = typeof WebAssembly.Suspending === "function" && typeof WebAssembly.promising === "function";

/** The functions of the module, once it is there. */
export async function load() {
  const kind = canWait ? "gpu" : "cpu";
  const module = await import(`./${kind}/couplet.js`);
  await module.default({ module_or_path: new URL(`./${kind}/couplet_bg.wasm`, import.meta.url) });
  return module;
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
