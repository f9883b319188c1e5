// The cost of a call in comparison with other gateways, in front of an HTTP server and a stdio server.
import { session } from './client.mjs';
import { httpCases, stdioCases } from './cases.mjs';
import { interleave } from './measure.mjs';
import { median, progress, ratio, say, show, showRatio, table, verdict, verdictOf } from './report.mjs';
import { http, overHttp, overStdio, run, stdio } from './targets.mjs';

/** All rounds of one case, each gateway started for it. */
async function figuresOf(one, gateways, setup, options) {
  const subjects = [];
  try {
    for (const target of gateways.filter(({ name }) => !one.without?.includes(name))) {
      const gateway = await run(target, setup);
      const subject = { name: target.name, gateway, one, optional: target.name !== 'mcpstead' };
      subjects.push(subject);
      if (one.unique) subject.one = { ...one, headers: await session(gateway.url) };
    }
    return await interleave(subjects, options);
  } finally {
    for (const { gateway } of subjects) await gateway.stop();
  }
}

const KINDS = [
  ['cpu', 'CPU per call, in microseconds'],
  ['rate', 'Calls per second'],
  ['p50', 'p50, in milliseconds'],
  ['p99', 'p99, in milliseconds'],
  ['peak', 'Peak resident memory, in MB'],
];

function limitsOf(kind, { limits = {} }, figures, peers) {
  const own = figures.mcpstead?.[kind];
  if (kind === 'peak') return verdictOf(own, limits.peak);
  const allowed = kind === 'cpu' ? limits : (limits[kind] ?? {});
  return peers
    .filter((peer) => allowed[peer] !== undefined)
    .map((peer) => verdict(ratio(own, figures[peer]?.[kind]), Number(allowed[peer].toFixed(3)), ` ${peer}`))
    .join(' ');
}

function report(title, names, rows) {
  const peers = names.filter((name) => name !== 'mcpstead');
  for (const [kind, what] of KINDS) {
    say(`### ${title}: ${what}`);
    say();
    table(
      ['case', ...names, ...peers.map((peer) => `mcpstead / ${peer}`), 'limit'],
      rows.map(({ one, figures }) => [
        one.name,
        ...names.map((name) => show(figures[name]?.[kind])),
        ...peers.map((peer) => showRatio(ratio(figures.mcpstead?.[kind], figures[peer]?.[kind]))),
        limitsOf(kind, one, figures, peers),
      ]),
    );
  }
}

async function compare(title, cases, gateways, setupOf, options) {
  const rows = [];
  for (const one of cases.filter((each) => options.wants(title, each))) {
    const figures = await figuresOf(one, gateways, setupOf(one), options);
    rows.push({ one, figures });
    const costs = Object.entries(figures).map(([name, { cpu }]) => `${name} ${median(cpu).toFixed(0)} us`);
    progress(`${title}, ${one.name}:`, ...costs);
  }
  report(
    title,
    gateways.map(({ name }) => name),
    rows,
  );
}

const section = (title, cases, gateways, setupOf) => ({
  title,
  cases,
  run: (options) => compare(title, cases, gateways, (one) => setupOf(one, options), options),
});

export const httpCalls = section('HTTP upstream', httpCases, overHttp, (one, options) =>
  http(options.upstream + (one.path ?? '/mcp')),
);
export const stdioCalls = section('stdio upstream', stdioCases, overStdio, stdio);
