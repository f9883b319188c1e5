// The figures that README.md and docs/performance.md quote, from the reports: bench/REPORT.md and docs/comparison.md. Run it after
// `npm run bench` or `npm run compare`; a test fails when they differ.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { format, resolveConfig } from 'prettier';

const at = (path) => new URL(`../${path}`, import.meta.url);
const read = (path) => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : '');

/** The tables of a page: heading -> row -> column -> cell. */
export function tablesOf(page) {
  const tables = {};
  let heading = '';
  let head;
  for (const line of page.split('\n')) {
    const [, title] = /^#+ (.*)$/.exec(line) ?? [];
    if (title !== undefined) heading = title;
    if (!line.startsWith('|')) {
      head = undefined;
      continue;
    }
    const cells = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (head === undefined) head = cells;
    else if (!/^[-| :]+$/.test(line)) {
      tables[heading] ??= {};
      const row = (tables[heading][cells[0]] ??= {});
      // Of two columns with one name the first counts.
      head.forEach((column, nth) => (row[column] ??= cells[nth]));
    }
  }
  return tables;
}

/** The number of a cell without what is in brackets. Throws if the report has no such cell. */
function cell(tables, heading, row, column) {
  const found = Object.entries(tables).find(([title]) => title.startsWith(heading))?.[1];
  const value = found?.[row]?.[column];
  if (value === undefined) throw new Error(`the report has no "${row}", "${column}" under "${heading}"`);
  return value.replace(/ \(.*$/, '');
}

const CALLS = 'HTTP upstream: CPU per call';
const STDIO = 'stdio upstream: CPU per call';
const ERAS = 'Across eras';
const FLAT = 'Cost that stays flat';
const IDLE = 'Growth by 10,000 idle sessions';
const CROSSINGS = [
  ['legacy client, modern server', 'to legacy, legacy'],
  ['modern client, legacy server', 'to modern, modern'],
];

/** How much a call between the eras costs, of one within the era of its client. */
function between(tables, size) {
  const ratios = CROSSINGS.map(([row, column]) => Number(cell(tables, ERAS, `${size}, ${row}`, column)));
  return `${Math.min(...ratios)} to ${Math.max(...ratios)} times`;
}

const machineOf = (report) => {
  const [, cores, node] = /(\d+) cores.*Node v(\d+\.\d+)/.exec(report) ?? [];
  return { cores: cores === '2' ? 'two' : cores, node };
};
const whole = (text) => String(Math.round(Number(text)));

/** The paragraph of README.md. */
export function readmeFigures(report, comparison) {
  const tables = tablesOf(report);
  const { cores, node } = machineOf(report);
  const of = (row) => ['mcpstead', 'rust', 'nginx'].map((name) => cell(tables, CALLS, row, name));
  const [small, smallRust, smallNginx] = of('0.2 KB');
  const [middle, ...middleOthers] = of('100 KB');
  const [large, ...largeOthers] = of('1 MB');
  const lines = [
    `CPU time of the gateway per call (${cores} cores, Node ${node}, bearer auth, metrics on; [docs/performance.md](docs/performance.md)):`,
    `${small} us at 0.2 KB (0.1.13: ${smallRust}, nginx as a plain proxy: ${smallNginx}), ${middle} us at 100 KB (${middleOthers.join(', ')}), ${large} us at 1 MB (${largeOthers.join(', ')}). With 200 servers`,
    `it costs ${cell(tables, FLAT, '200 upstreams of 20 tools', 'ratio')} times as much, with 10,000 tools ${cell(tables, FLAT, '1 upstream of 10,000 tools', 'ratio')} times. 10,000 idle sessions use ${whole(cell(tables, IDLE, 'without a stream', 'mcpstead'))} MB. A call between the eras costs ${between(tables, '0.2 KB')} as`,
    `much as one within the era of its client at 0.2 KB, and ${between(tables, '100 KB')} at 100 KB.`,
  ];
  const beside = besideOthers(comparison);
  return [...lines, ...(beside ? ['', ...beside] : [])].join('\n');
}

/** What the comparison says over stdio, where the most gateways can be compared. */
function besideOthers(comparison) {
  if (comparison === '') return undefined;
  const tables = tablesOf(comparison);
  const others = Object.keys(tables['What was compared']).filter((name) => name !== 'mcpstead');
  const better = comparison.split('## Where others are better')[1].split('\n## ')[0];
  const count = better.split('\n').filter((line) => line.startsWith('- ')).length;
  const row = tables['In front of a server over stdio']['0.2 KB (us CPU)'];
  const { mcpstead, ...peers } = Object.fromEntries(Object.entries(row).filter(([name]) => name !== ''));
  const said = Object.entries(peers).map(([name, value]) => `${name}: ${value}`);
  return [
    `\`npm run compare\` does the same work with ${others.length} other gateways: [docs/comparison.md](docs/comparison.md) has figures and behaviours, and first the ${count} points in which`,
    `others are better. In front of a server over stdio a call of 0.2 KB costs ${mcpstead} us of CPU there (${said.join(', ')}).`,
  ];
}

const SUMMARY_ROWS = [
  ['0.2 KB', '0.2 KB'],
  ['10 KB', '10 KB'],
  ['100 KB', '100 KB'],
  ['1 MB', '1 MB'],
  ['SSE 100 KB', '100 KB, as events'],
  ['tools/list, 1,000 tools', 'tools/list, 1,000 tools'],
];

/** The summary of docs/performance.md. */
export function summaryFigures(report) {
  const tables = tablesOf(report);
  const { cores, node } = machineOf(report);
  const rows = SUMMARY_ROWS.map(([row, title]) => {
    const cells = ['mcpstead', 'rust', 'nginx'].map((name) => cell(tables, CALLS, row, name));
    return `| ${[title, ...cells].join(' | ')} |`;
  });
  const memory = (row, name) => whole(cell(tables, 'Resident memory', row, name));
  const era = (client, server) =>
    cell(tables, ERAS, `0.2 KB, ${client} client, ${server} server`, 'mcpstead');
  const line = (name) => (Number(cell(tables, STDIO, '1 MB', name)) / 1000).toFixed(1);
  return `CPU time of the gateway per call in microseconds, medians of one run on ${cores} cores (Node ${node}, bearer auth and metrics on, 16
connections; [bench/REPORT.md](../bench/REPORT.md) has the full tables):

| answer | mcpstead | 0.1.13 | nginx, plain proxy_pass |
| --- | --- | --- | --- |
${rows.join('\n')}

With 200 upstreams a call costs ${cell(tables, FLAT, '200 upstreams of 20 tools', 'ratio')} times as much as with one, with 10,000 tools ${cell(tables, FLAT, '1 upstream of 10,000 tools', 'ratio')} times. Over stdio a call of 1 MB takes ${line('mcpstead')} ms
of CPU (mcp-proxy: ${line('mcp-proxy')}, supergateway: ${line('supergateway')}). Four clients that stop reading 100 MB each use ${memory('growth: four paused readers of 100 MB', 'mcpstead')} MB in total (0.1.13: ${memory('growth: four paused readers of 100 MB', 'rust')} MB); 10,000 idle
sessions use ${whole(cell(tables, IDLE, 'without a stream', 'mcpstead'))} MB, or ${whole(cell(tables, IDLE, 'with a GET stream each', 'mcpstead'))} MB with a GET stream each.

A call between the eras costs ${between(tables, '0.2 KB')} as much as a call of the same client within its era at 0.2 KB (${era('legacy', 'legacy')} us within the older
revisions, ${era('legacy', 'modern')} from an older client to a 2026-07-28 server, ${era('modern', 'legacy')} in the other direction, ${era('modern', 'modern')} within 2026-07-28), and ${between(tables, '100 KB')} at 100 KB.`;
}

const [OPEN, CLOSE] = ['<!-- figures -->', '<!-- /figures -->'];
/** A page with its figures between the markers. Throws if it has none. */
export function withFigures(page, figures) {
  const [start, end] = [page.indexOf(OPEN), page.indexOf(CLOSE)];
  if (start < 0 || end < start) throw new Error(`the page has no ${OPEN} ... ${CLOSE}`);
  return `${page.slice(0, start)}${OPEN}\n\n${figures}\n\n${page.slice(end)}`;
}

/** {path: text} of both pages, with the figures of the reports. */
export async function pages() {
  const report = read('bench/REPORT.md');
  const figures = {
    'README.md': readmeFigures(report, read('docs/comparison.md')),
    'docs/performance.md': summaryFigures(report),
  };
  const written = Object.entries(figures).map(async ([path, text]) => {
    const filepath = at(path).pathname;
    const options = { ...(await resolveConfig(filepath)), filepath };
    return [path, await format(withFigures(read(path), text), options)];
  });
  return Object.fromEntries(await Promise.all(written));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  for (const [path, text] of Object.entries(await pages())) writeFileSync(at(path), text);
