// Fits one flow, and ends with it: a worker of its own, so that others answer meanwhile, and that it can be ended.

import { load, makeTable } from "./module.js";

/** How often the model so far is sent, in milliseconds. */
const EVERY = 400;

let stops = false;

self.onmessage = async ({ data }) => {
  if (data === "stop") {
    stops = true;
    return;
  }
  const { source, options, every, sendsModels } = data;
  try {
    const module = await load();
    let latest = -Infinity;
    const onEvent = (word, json) => {
      if (word !== "turn") {
        self.postMessage({ word, value: JSON.parse(json) });
      }
      return stops;
    };
    const onModel = (flow) => {
      try {
        if (performance.now() - latest >= EVERY) {
          latest = performance.now();
          self.postMessage({ word: "model", value: flow.save() });
        }
      } finally {
        flow.free();
      }
    };
    const table = makeTable(module, source);
    const fitted = await module.fit(table, options, onEvent, sendsModels ? onModel : undefined, every);
    const flow = fitted.takeFlow();
    self.postMessage({
      word: "fitted",
      value: {
        model: flow?.save(),
        report: fitted.report === undefined ? undefined : JSON.parse(fitted.report),
        error: fitted.error,
      },
    });
  } catch (error) {
    self.postMessage({ word: "failed", value: error.message ?? String(error) });
  }
};
