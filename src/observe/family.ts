/** The form of the rows in families.ts. */
import type { ProcessSample } from './process-sample.js';
import type { GatewayStats, Histogram, ServerStats } from './stats.js';

export interface BuildInfo {
  readonly version: string;
  readonly git_sha: string;
  readonly node_version: string;
}

/** The input of one scrape. */
export interface Scrape {
  readonly stats: GatewayStats;
  /** Sorted by name. */
  readonly servers: readonly ServerStats[];
  readonly build: BuildInfo;
  /** undefined: the system has no /proc. */
  readonly process: ProcessSample | undefined;
  /** Unix seconds. */
  readonly now: number;
}

/** Label values, in the order of declaration, and the value of the series. */
export type Series = readonly [labels: readonly string[], value: number | Histogram];

export interface Family {
  readonly name: string;
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly help: string;
  /** The values of a label, if they are a closed set. */
  readonly labels: Readonly<Record<string, readonly string[] | undefined>>;
  /** Absent on systems without /proc. */
  readonly linux?: true;
  readonly read: (scrape: Scrape) => Iterable<Series>;
}

export const NONE: readonly string[] = [];

/** One series without labels. */
export const one = (value: number | Histogram): readonly Series[] => [[NONE, value]];

/** A series for each label value that was counted. */
export function* tallied(values: Iterable<readonly [string, number]>): Generator<Series, void, void> {
  for (const [key, n] of values) yield [[key], n];
}
