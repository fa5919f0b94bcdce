/** Rows: an array for each, or numbers row after row. A column of categories has the indices of its levels. */
export type Rows = number[][] | Float64Array;

export interface ReadOptions {
  /** The file's name, for messages; a `File` has one. */
  name?: string;
  /** Columns to read, and those to leave out: names, numbers from 1 on, or ranges such as `3..5`. */
  columns?: string[];
  exclude?: string[];
  /** Whether the first line has the names of the columns; found out by default. */
  header?: boolean;
  /** Leaves rows out that lack a value; by default they are an error. */
  dropMissing?: boolean;
  decimalComma?: boolean;
  /** Columns that will be given, that hold categories whatever is in them, and that has the weights of rows. */
  given?: string[];
  categories?: string[];
  weights?: string;
}

/** What a fit makes of a table before it trains. */
export interface Inspection {
  /** The modelled columns of numbers, and the kind of each; no kinds where all are real. */
  numbers: string[];
  kinds: string[];
  /** The modelled columns of categories. */
  categories: string[];
  notes: string[];
  /** What in the table speaks against fitting a density to it. */
  warnings: string[];
  steps: number;
}

/** A table to fit to. */
export class Table {
  /** Text, JSON Lines, NPY or NPZ, also compressed (gzip, zstd), whichever the content says it is. */
  static read(file: Blob | ArrayBuffer | Uint8Array, options?: ReadOptions): Promise<Table>;
  static of(columns: string[], rows: Rows): Promise<Table>;
  /** Rows of a density that is known: two-moons, rings, pinwheel and others */
  static target(name: string, options?: { rows?: number; seed?: number }): Promise<Table>;
  readonly rows: number;
  readonly columns: { name: string; levels: string[]; min: number; max: number }[];
  /** What is to be known of how it was read. */
  readonly notes: string[];
  /** Rows that were left out. */
  readonly dropped: number;
  values(): Promise<Float64Array>;
  inspect(options?: Pick<FitOptions, "given" | "weights" | "kinds" | "settings">): Promise<Inspection>;
}

/** A trained flow: a density over the columns of a table, in its units. */
export class Flow {
  /** Reads a model file, of the page's or of the command's. */
  static load(file: Blob | ArrayBuffer | Uint8Array): Promise<Flow>;
  readonly columns: string[];
  /** The columns that the density is given. They follow the others in a row. */
  readonly given: string[];
  readonly levels: string[][];
  /** What it is made of. */
  readonly text: string;
  /** The bytes of its model file. */
  save(): Uint8Array;
  /** The log-density of each row, in nats; of whole numbers the log-probability. */
  logProb(rows: Rows, options?: { inF64?: boolean }): Promise<Float64Array>;
  /** The rows of a file that has the flow's columns, and the log-density of each. */
  score(
    file: Blob | ArrayBuffer | Uint8Array,
    options?: { name?: string },
  ): Promise<{ values: Float64Array; logProb: Float64Array }>;
  /** Rows drawn from the density, one after the other: each given the same row of `given`, or its only one. */
  sample(count: number, options?: { seed?: number; given?: Rows }): Promise<Float64Array>;
  /** The latents of rows, and log |det dz/dx| of each. */
  forward(rows: Rows): Promise<{ z: Float64Array; logDet: Float64Array }>;
  /** The rows that latents come from. */
  inverse(latents: Rows, options?: { given?: Rows }): Promise<Float64Array>;
}

export interface Progress {
  /** Steps taken, and as many as there may be. */
  done: number;
  steps: number;
  /** The mean loss of the latest steps, and that of the rows held out. */
  loss: number;
  heldOut: number | null;
}

export interface FitOptions {
  /** By default a GPU, where there is one and the browser can wait for it, else the CPU. */
  device?: "auto" | "gpu" | "cpu";
  given?: string[];
  weights?: string;
  /** Kinds of columns by name: `real`, `positive`, `bounded(0, 1)`, `integer`, `circular(360)`, `categorical`. */
  kinds?: Record<string, string>;
  /** The sections of a configuration file of the command. */
  settings?: { train?: object; model?: object; data?: object };
  onProgress?(at: Progress): void;
  /** The bytes of the model so far. */
  onModel?(model: Uint8Array): void;
  /** Notes, warnings, and the device. */
  onMessage?(kind: "note" | "warning" | "device", text: string): void;
  /** Ends the fit with the best parameters so far. */
  signal?: AbortSignal;
  /** Steps between two looks at the model. */
  every?: number;
}

export interface Report {
  text: string;
  /** The flow against simpler models on rows held out, in a sentence. */
  verdict: string | null;
  advice: string | null;
  warnings: string[];
  /** Steps and losses, in nats. */
  losses: [number, number][];
  validation: [number, number][];
  entropy: number | null;
  /** All that the command's log has. */
  json: object;
}

export interface Fitted {
  flow: Flow;
  /** None where the fit failed, or was ended in a browser that cannot wait. */
  report?: Report;
  /** Why it ended early. */
  error?: string;
  messages: { kind: string; text: string }[];
}

export function fit(table: Table, options?: FitOptions): Promise<Fitted>;

/** Loads what computes, so that what is called next need not wait for it: half a second, or more on a slow line. */
export function ready(): Promise<void>;

/** The GPU that a fit would take, in words. */
export function gpu(): Promise<string | undefined>;
