// Holds tables and flows, and computes with them, one call after the other.

import { makeTable, start } from "./module.js";

let module;
const held = new Map();
let last = 0;

function hold(object) {
  last += 1;
  held.set(last, object);
  return last;
}

const calls = {
  table(module, source) {
    const table = makeTable(module, source);
    return { handle: hold(table), ...JSON.parse(table.describe()) };
  },
  values: (_, handle) => held.get(handle).values(),
  inspect: (module, handle, options) => JSON.parse(module.inspect(held.get(handle), options)),
  load(module, bytes) {
    const flow = module.Flow.load(bytes);
    return { handle: hold(flow), ...JSON.parse(flow.describe()) };
  },
  logProb: (_, handle, values, inF64) =>
    inF64 ? held.get(handle).logProbInF64(values) : held.get(handle).logProb(values),
  score(module, handle, name, bytes) {
    const flow = held.get(handle);
    const table = module.Table.readFor(flow, name, bytes);
    try {
      return { values: table.values(), logProb: flow.score(table) };
    } finally {
      table.free();
    }
  },
  sample: (_, handle, count, seed, context) => held.get(handle).sample(count, seed, context),
  forward: (_, handle, values) => held.get(handle).forward(values),
  inverse: (_, handle, latents, context) => held.get(handle).inverse(latents, context),
  ready: () => undefined,
  gpu: (module) => module.gpu(),
  release(_, handle) {
    held.get(handle)?.free();
    held.delete(handle);
  },
};

self.onmessage = async ({ data: { compiled, id, call, given } }) => {
  if (compiled) {
    module = start(compiled);
    return;
  }
  try {
    self.postMessage({ id, value: await calls[call](await module, ...given) });
  } catch (error) {
    self.postMessage({ id, error: error.message ?? String(error) });
  }
};
