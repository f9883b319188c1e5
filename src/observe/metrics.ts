/** The metrics of families.ts in the Prometheus text format. */
import { performance } from 'node:perf_hooks';
import { FAMILIES } from './families.js';
import type { BuildInfo, Family, Scrape } from './family.js';
import { sampleProcess } from './process-sample.js';
import type { GatewayStats, Histogram } from './stats.js';

/** Longest time that rendering holds the event loop. */
const SLICE_MS = 4;
const CHUNK_CHARS = 64 * 1024;

/**
 * Renders the counters in Prometheus text format 0.0.4, in pieces of about 64 KB. Ten thousand tools make 20 MB of text, which is rendered
 * as the client reads it and is never in memory as a whole.
 */
export async function* renderMetrics(
  stats: GatewayStats,
  info: BuildInfo,
): AsyncGenerator<string, void, void> {
  const scrape: Scrape = {
    stats,
    servers: [...stats.servers.values()].sort((a, b) => (a.server < b.server ? -1 : 1)),
    build: info,
    process: await sampleProcess(),
    now: Date.now() / 1000,
  };
  let chunk = '';
  let since = performance.now();
  for (const text of rendered(scrape)) {
    chunk += text;
    if (chunk.length >= CHUNK_CHARS) {
      const full = chunk;
      chunk = '';
      yield full;
    }
    // Yield even if the next piece is requested at once.
    if (performance.now() - since > SLICE_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    }
  }
  if (chunk !== '') yield chunk;
}

/** Yields small strings: a header, or the lines of one series. */
function* rendered(scrape: Scrape): Generator<string, void, void> {
  for (const family of FAMILIES) {
    const { name, kind, help, linux, read } = family;
    if (linux && !scrape.process) continue;
    yield `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
    for (const [values, value] of read(scrape)) {
      const own = labelled(family, values);
      yield typeof value === 'number' ? sample(name, own, value) : histogram(name, own, value);
    }
  }
}

/** `name="value"` for each label of the family. */
type Labels = string;

function labelled({ labels }: Family, values: readonly string[]): Labels {
  let text = '';
  let i = 0;
  for (const name in labels) {
    text += `${i === 0 ? '' : ','}${name}="${escape(values[i] as string)}"`;
    i++;
  }
  return text;
}

function sample(name: string, own: Labels, value: number): string {
  return own === '' ? `${name} ${format(value)}\n` : `${name}{${own}} ${format(value)}\n`;
}

/** The `le` labels of histogram bounds, cached. */
const edges = new WeakMap<readonly number[], string[]>();

function histogram(name: string, own: Labels, { counts, bounds, sum, count }: Histogram): string {
  let les = edges.get(bounds);
  if (les === undefined) edges.set(bounds, (les = [...bounds.map(String), '+Inf']));
  const before = own === '' ? `${name}_bucket{le="` : `${name}_bucket{${own},le="`;
  let text = '';
  let total = 0;
  for (let i = 0; i < les.length; i++) {
    total += counts[i] as number;
    text += `${before}${les[i]}"} ${total}\n`;
  }
  return text + sample(`${name}_sum`, own, sum) + sample(`${name}_count`, own, count);
}

/**
 * Escapes a label value, which may come from a server, without control characters. Distinct values stay distinct, so that no series is
 * repeated.
 */
function escape(value: string): string {
  if (!/[\\"\u0000-\u001f\u007f-\u009f\ufffd]/.test(value)) return value;
  return value
    .replace(
      /[\u0000-\u001f\u007f-\u009f\ufffd]/g,
      (c) => `\ufffd${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    .replace(/\\/g, '\\\\')
    .replace(/"/g, '\\"');
}

/** Clocks have a resolution of microseconds. */
function format(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(6);
}
