// Couplet for a page: each call goes to a worker, so that the page stays responsive.

import { canWait, compile } from "./module.js";

let [shared, compiling] = [undefined, undefined];

/** The module, compiled once for all workers. */
function compiled() {
  compiling ??= compile().catch((error) => {
    compiling = undefined;
    throw error;
  });
  return compiling;
}

/** The worker that holds tables and flows. */
class Calls {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #started = compiled().then((compiled) => this.#worker.postMessage({ compiled }));
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error === undefined ? resolve(value) : reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      const failed = new Error(event.message || "the worker has failed");
      this.#waiting.forEach(({ reject }) => reject(failed));
      this.#waiting.clear();
      shared = undefined;
    };
  }

  call(call, ...given) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      const send = () => {
        this.#waiting.set(id, { resolve, reject });
        this.#worker.postMessage({ id, call, given });
      };
      const fail = (error) => {
        shared = undefined;
        reject(error);
      };
      this.#started.then(send, fail);
    });
  }
}

function call(name, ...given) {
  shared ??= new Calls();
  return shared.call(name, ...given);
}

const letGo = new FinalizationRegistry((handle) => void call("release", handle).catch(() => {}));

/** Numbers of rows one after the other, from an array of rows or from numbers that follow so already. */
function flat(rows) {
  return rows instanceof Float64Array ? rows : Float64Array.from(rows.flat());
}

const NOTHING = new Float64Array();

async function bytesOf(file) {
  return new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file);
}

export class Table {
  #handle;

  constructor(source, { handle, ...about }) {
    this.source = source;
    Object.assign(this, about);
    this.#handle = handle;
    letGo.register(this, handle);
  }

  static async #make(source) {
    return new Table(source, await call("table", source));
  }

  static async read(file, { name = file.name ?? "the table", ...options } = {}) {
    return Table.#make({ from: "file", name, bytes: await bytesOf(file), options });
  }

  static of(columns, rows) {
    return Table.#make({ from: "numbers", columns, values: flat(rows) });
  }

  static target(name, { rows = 2000, seed = 1 } = {}) {
    return Table.#make({ from: "target", name, rows, seed });
  }

  values() {
    return call("values", this.#handle);
  }

  inspect(options = {}) {
    return call("inspect", this.#handle, settings(options));
  }
}

export class Flow {
  #handle;

  constructor(bytes, { handle, ...about }) {
    Object.assign(this, about);
    this.bytes = bytes;
    this.#handle = handle;
    letGo.register(this, handle);
  }

  static async load(file) {
    const bytes = await bytesOf(file);
    return new Flow(bytes, await call("load", bytes));
  }

  save() {
    return this.bytes.slice();
  }

  logProb(rows, { inF64 = false } = {}) {
    return call("logProb", this.#handle, flat(rows), inF64);
  }

  async score(file, { name = file.name ?? "the table" } = {}) {
    return call("score", this.#handle, name, await bytesOf(file));
  }

  sample(count, { seed = 1, given = NOTHING } = {}) {
    return call("sample", this.#handle, count, seed, flat(given));
  }

  async forward(rows) {
    const values = flat(rows);
    const all = await call("forward", this.#handle, values);
    const count = values.length / (this.columns.length + this.given.length);
    const end = all.length - count;
    return { z: all.slice(0, end), logDet: all.slice(end) };
  }

  inverse(latents, { given = NOTHING } = {}) {
    return call("inverse", this.#handle, flat(latents), flat(given));
  }
}

/** The options of a fit as the module reads them. */
function settings({ device, given, weights, kinds, settings = {} }) {
  const data = { ...settings.data };
  if (given?.length) data.given = given;
  if (weights) data.weights = weights;
  if (kinds && Object.keys(kinds).length) data.columns = kinds;
  return JSON.stringify({ device, settings: { ...settings, data } });
}

/** Loads what computes, so that what is called next need not wait for it. */
export function ready() {
  return call("ready");
}

/** The GPU that a fit would take, in words, if there is one. */
export function gpu() {
  return call("gpu");
}

export async function fit(table, options = {}) {
  const { onProgress, onModel, onMessage, signal, every = 25 } = options;
  const worker = new Worker(new URL("./fit_worker.js", import.meta.url), { type: "module" });
  let [latest, ends] = [undefined, undefined];
  const messages = [];
  const ended = new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message || "the worker of the fit has failed"));
    worker.onmessage = ({ data: { word, value } }) => {
      switch (word) {
        case "fitted":
          return resolve(value);
        case "failed":
          return reject(new Error(value));
        case "model":
          latest = value;
          return void onModel?.(value);
        case "progress":
          return void onProgress?.(value);
        default:
          messages.push({ kind: word, text: value });
          return void onMessage?.(word, value);
      }
    };
    ends = () => {
      if (canWait) {
        worker.postMessage("stop");
      } else if (latest !== undefined) {
        // A module that cannot wait hears nothing: what it sent last is the result.
        resolve({ model: latest, report: undefined, error: undefined });
      } else {
        reject(new DOMException("the fit was ended before it had a model", "AbortError"));
      }
    };
  });
  signal?.addEventListener("abort", ends);
  if (signal?.aborted) ends();
  try {
    worker.postMessage({ compiled: await compiled(), source: table.source, options: settings(options), every });
    const { model, report, error } = await ended;
    if (model === undefined) throw new Error(error);
    return { flow: await Flow.load(model), report, error, messages };
  } finally {
    signal?.removeEventListener("abort", ends);
    worker.terminate();
  }
}
