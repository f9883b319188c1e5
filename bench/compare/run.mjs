// npm run compare -- [--only NAME,..] [--quick] [--report]: this gateway beside others. Writes docs/comparison.md; with --only or --quick
// it prints the page instead. --report writes the page anew from what the last whole run found.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { allFigures } from './figures.mjs';
import { root } from './gateways.mjs';
import { cache, install } from './install.mjs';
import { officialLists } from './official.mjs';
import { notRun, peers } from './peers.mjs';
import { probes, runProbe } from './probes.mjs';
import { OWN, pageOf } from './report.mjs';

const PAGE = fileURLToPath(new URL('../../docs/comparison.md', import.meta.url));
const RESULT = join(cache, 'result.json');

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
  },
});
const options = values.quick
  ? { rounds: 1, starts: 1, seconds: 0.5, warm: 0.5 }
  : { rounds: 5, starts: 3, seconds: 0.8, warm: 2 };

// The SDK's client warns of many calls in one session.
process.removeAllListeners('warning');
process.on('warning', () => {});

function chosen() {
  if (values.only === undefined) return peers;
  const names = values.only.split(',').map((name) => name.trim());
  const unknown = names.filter((name) => !peers.some((peer) => peer.name === name));
  if (unknown.length > 0)
    throw new Error(
      `no gateway ${unknown.join(', ')}; there are ${peers.map(({ name }) => name).join(', ')}`,
    );
  return peers.filter(({ name }) => name === OWN || names.includes(name));
}

/** Installs a gateway; its `start` then knows where it is. */
async function ready(peer, problems) {
  try {
    const missing = peer.missing?.();
    if (missing) throw new Error(missing);
    const installed = peer.package && (await install(peer.package));
    return { ...peer, installed, start: (context) => peer.start({ ...context, installed }) };
  } catch (error) {
    problems.push({ name: peer.name, what: 'all', why: error.message });
    return undefined;
  }
}

const VERSION = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** How a gateway is started: its command line, environment and files, without what differs between runs. */
function described(peer) {
  const folder = join(root, 'described', peer.name.replaceAll(/\W+/g, '-'));
  mkdirSync(folder, { recursive: true });
  const stdio = { name: 'bench', command: 'node', args: ['bench/upstream-stdio.mjs'], env: {} };
  const http = { name: 'bench', url: 'http://127.0.0.1:9000/mcp' };
  const server = peer.serves.includes('http') ? http : stdio;
  const { command, args, env = {} } = peer.start({ port: 65_535, folder, home: 'HOME', servers: [server] });
  const plain = (text) =>
    text
      .replaceAll('65535', 'PORT')
      .replaceAll(folder, 'FOLDER')
      .replaceAll(cache, 'CACHE')
      .replaceAll(process.execPath, 'node')
      .replaceAll(fileURLToPath(new URL('../../', import.meta.url)), '');
  const files = Object.fromEntries(
    readdirSync(folder).map((name) => [name, plain(readFileSync(join(folder, name), 'utf8'))]),
  );
  return {
    name: peer.name,
    title: peer.title,
    version: peer.package?.version ?? [VERSION, commit()].filter(Boolean).join(', commit '),
    registry:
      peer.package &&
      { npm: 'npm', pypi: 'PyPI', go: 'Go module proxy', cargo: 'crates.io' }[peer.package.registry],
    source: peer.source,
    line: plain([command, ...args].join(' ')),
    env,
    files,
  };
}

async function compare() {
  const began = Date.now();
  const problems = [];
  const able = [];
  for (const peer of chosen()) {
    const one = await ready(peer, problems);
    if (one) able.push(one);
  }
  const tables = await allFigures(able, options, problems);
  const behaviours = {};
  for (const peer of able) {
    behaviours[peer.name] = {};
    for (const probe of probes) {
      const found = await runProbe(probe, peer);
      behaviours[peer.name][probe.title] = found;
      console.error(`  ${peer.name}: ${found.verdict}: ${probe.title}`);
    }
  }
  const official = await officialLists(able, problems);
  const minutes = ((Date.now() - began) / 60_000).toFixed(0);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0].model}, ${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GB, ${process.platform}, Node ${process.version}; the run took ${minutes} minutes`,
    options,
    gateways: able.map(described),
    tables,
    behaviours,
    official,
    problems,
    notRun,
  };
}

/** What the last whole run found, with the words of now. */
function again() {
  const run = JSON.parse(readFileSync(RESULT, 'utf8'));
  const sourceOf = (name) => peers.find((peer) => peer.name === name)?.source;
  return {
    ...run,
    notRun,
    gateways: run.gateways.map((one) => ({ ...one, source: sourceOf(one.name) ?? one.source })),
  };
}

const page = async (run) => format(pageOf(run), { ...(await resolveConfig(PAGE)), filepath: PAGE });
try {
  if (values.report) writeFileSync(PAGE, await page(again()));
  else {
    const run = await compare();
    if (values.quick || values.only !== undefined) console.log(await page(run));
    else {
      writeFileSync(RESULT, JSON.stringify(run, null, 2));
      writeFileSync(PAGE, await page(run));
      console.log('docs/comparison.md is written');
    }
  }
} finally {
  rmSync(root, { recursive: true, force: true, maxRetries: 3 });
}
// A gateway that hangs may have left timers.
process.exit();
