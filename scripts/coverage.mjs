/**
 * Line coverage of src by the tests, from two sources: what ran in the processes of the tests (coverage/coverage-final.json,
 * written by vitest) and what ran in the gateways that they started as processes of their own (coverage/spawned, written by
 * V8 and mapped from dist to src). Fails below the floor. `npm test -- --coverage` runs it after the tests.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Percent of lines: raise it when the coverage has grown by more than a point. */
const FLOOR = 93.1;

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** What one process wrote; undefined: it was killed while it wrote. */
function written(path) {
  const text = readFileSync(path, 'utf8');
  return text.endsWith('}') ? JSON.parse(text).result : undefined;
}

/** For each script in dist: which bytes ran in any process, as 0 or 1 by offset. */
function spawned(folder) {
  const scripts = new Map();
  if (!existsSync(folder)) return scripts;
  for (const name of readdirSync(folder)) {
    for (const { url, functions } of written(`${folder}/${name}`) ?? []) {
      const path = url.startsWith('file://') ? relative(root, fileURLToPath(url)) : '';
      // Scripts without a map have nothing of src: what the bundler adds, and what only exports the rest.
      if (!path.startsWith('dist/') || !existsSync(`${root}${path}.map`)) continue;
      const { length } = readFileSync(root + path, 'utf8');
      const own = new Uint8Array(length);
      // Outer functions come before inner ones, and a range before those within it.
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges) own.fill(count > 0, startOffset, endOffset);
      const all = scripts.get(path);
      if (all) own.forEach((ran, at) => (all[at] |= ran));
      else scripts.set(path, own);
    }
  }
  return scripts;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The numbers of one segment of a source map (base64 VLQ). */
function numbers(segment) {
  const found = [];
  let value = 0;
  let shift = 0;
  for (const char of segment) {
    const digit = DIGITS.indexOf(char);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    found.push(value & 1 ? -(value >> 1) : value >> 1);
    value = shift = 0;
  }
  return found;
}

/** The source positions, as `line:column`, of the code in a script that ran, by the path of the source. */
function positions(path, ran) {
  const { mappings, sources } = read(`${root}${path}.map`);
  const found = sources.map(() => new Set());
  const starts = [0];
  const text = readFileSync(root + path, 'utf8');
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  let source = 0;
  let line = 0;
  let column = 0;
  for (const [n, segments] of mappings.split(';').entries()) {
    let offset = starts[n];
    for (const segment of segments.split(',')) {
      const [step, from, lines, columns] = numbers(segment);
      if (step === undefined) continue;
      offset += step;
      if (lines === undefined) continue;
      source += from;
      line += lines;
      column += columns;
      if (ran[offset]) found[source].add(`${line + 1}:${column}`);
    }
  }
  return sources.map((name, at) => [join(dirname(path), name), found[at]]);
}

// Each source is in one script.
const elsewhere = new Map(
  [...spawned(`${root}coverage/spawned`)].flatMap(([path, ran]) => positions(path, ran)),
);

const files = Object.values(read(`${root}coverage/coverage-final.json`)).map(({ path, statementMap, s }) => {
  const file = relative(root, path);
  const lines = new Map();
  let here = 0;
  for (const [key, { start }] of Object.entries(statementMap)) {
    const ran = s[key] > 0 || elsewhere.get(file)?.has(`${start.line}:${start.column}`) === true;
    lines.set(start.line, lines.get(start.line) === true || ran);
  }
  for (const [line] of lines)
    here += Object.entries(statementMap).some(([key, { start }]) => start.line === line && s[key] > 0);
  const missing = [...lines].filter(([, ran]) => !ran).map(([line]) => line);
  return { file, total: lines.size, here, covered: lines.size - missing.length, missing };
});

const sum = (member) => files.reduce((total, each) => total + each[member], 0);
const percent = (part) => (100 * part) / sum('total');
if (process.argv.includes('--missing'))
  for (const { file, missing } of files.sort((a, b) => b.missing.length - a.missing.length))
    if (missing.length > 0) console.log(`${file}: ${missing.join(', ')}`);
const reached = percent(sum('covered'));
console.log(
  `lines of src that ran: ${reached.toFixed(2)}% of ${sum('total')} (${percent(sum('here')).toFixed(2)}% without spawned gateways); floor ${FLOOR}%`,
);
if (reached < FLOOR) {
  console.error('Too little: `node scripts/coverage.mjs --missing` lists the lines that no test runs.');
  process.exitCode = 1;
}
