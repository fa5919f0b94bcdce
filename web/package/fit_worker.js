// Fits one flow, and ends with it: a worker of its own, so that others answer meanwhile, and that it can be ended.

import { makeTable, start } from "./module.js";

let stops = false;

self.onmessage = async ({ data }) => {
  if (data === "stop") {
    stops = true;
    return;
  }
  const { compiled, source, options, every } = data;
  try {
    const module = await start(compiled);
    const onEvent = (word, json) => {
      if (word !== "turn") {
        self.postMessage({ word, value: JSON.parse(json) });
      }
      return stops;
    };
    const onModel = (bytes) => self.postMessage({ word: "model", value: bytes });
    const table = makeTable(module, source);
    const fitted = await module.fit(table, options, onEvent, onModel, every);
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
