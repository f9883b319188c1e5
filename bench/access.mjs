// What keys, rules, limits and the audit log add to a call, and what views cost: `npm run bench -- --only access`.
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { httpCases } from './cases.mjs';
import { interleave } from './measure.mjs';
import { cpuSeconds, GATEWAY_CORE, start, stop } from './processes.mjs';
import { median, progress, ratio, say, show, showRatio, table } from './report.mjs';
import { http, TOKEN } from './targets.mjs';

/** Most that all of it may add to a call, in microseconds on an idle machine. */
const MOST_US = 6;

const policyWith = (more) => ({
  rules: [{ name: 'callers', who: { ids: ['key:bench'] }, allow: [{ servers: ['bench'], ...more }] }],
});
const policy = policyWith({ when: '!has(args.path) || !args.path.startsWith("/etc/")' });
const limits = { rules: [{ name: 'all', per_second: 1e6, burst: 1e6, concurrent: 1000 }] };
const folder = () => mkdtempSync(join(tmpdir(), 'mcpstead-bench-'));
const audit = () => ({ file: join(folder(), 'audit.log') });

const plain = () => ({ mcp: { auth: { mode: 'bearer' } } });
const LEVELS = [
  ['plain', plain],
  ['an API key', (mcp) => ({ mcp })],
  ['and a policy', (mcp) => ({ mcp, policy: policyWith({}) })],
  ['and limits', (mcp) => ({ mcp, policy: policyWith({}), limits })],
  ['and audit', (mcp) => ({ mcp, policy: policyWith({}), limits, audit: audit() })],
  ['and a condition', (mcp) => ({ mcp, policy, limits, audit: audit() })],
  // The same again, at the other end of the round: what a difference means.
  ['plain again', plain],
];

/** All levels in one process: two processes of the same build differ by more than a layer costs. */
async function together(upstream, mcp) {
  const { servers } = http(`${upstream}/mcp`);
  const levels = LEVELS.map(([, settings]) => ({
    ...{ servers, metrics: { enabled: true }, cache: { dir: null }, state: { dir: folder() } },
    ...settings(mcp),
  }));
  const env = { ...process.env, MCPSTEAD_BEARER_TOKEN: TOKEN, LEVELS: JSON.stringify(levels) };
  const file = fileURLToPath(new URL('levels.mjs', import.meta.url));
  const child = start(GATEWAY_CORE, process.execPath, [file], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const { pid } = child;
  const of = (url) => ({ url, cpu: () => cpuSeconds(pid), peak: () => 0, resetPeak: () => {} });
  return { gateways: JSON.parse(line).map(of), stop: () => stop(child) };
}

/** How much more a call costs than a plain one, round by round. */
const added = (figures, base) => figures.map((value, round) => value - base[round]);

async function access(options) {
  const plainCase = httpCases.find(({ name }) => name === '0.2 KB');
  const { createApiKey, hashApiKey } = await import('../build/lib/api-key.js');
  const key = createApiKey();
  const keyCase = { ...plainCase, headers: { Authorization: `Bearer ${key}` } };
  const mcp = { auth: { mode: 'bearer', keys: [{ name: 'bench', sha256: [hashApiKey(key)] }] } };
  const { gateways, stop: end } = await together(options.upstream, mcp);
  try {
    const subjects = LEVELS.map(([name, settings], at) => ({
      ...{ name, gateway: gateways[at], one: settings === plain ? plainCase : keyCase },
    }));
    const figures = await interleave(subjects, options);
    const [first, last] = ['plain', 'plain again'].map((name) => figures[name].cpu);
    const base = first.map((value, round) => (value + last[round]) / 2);
    say(`## Access: CPU per call, in microseconds; all of it may add ${MOST_US}`);
    say();
    table(
      ['0.2 KB with', 'mcpstead', 'to plain', 'added'],
      LEVELS.map(([name]) => [
        name,
        show(figures[name].cpu),
        showRatio(ratio(figures[name].cpu, base)),
        median(added(figures[name].cpu, base)).toFixed(1),
      ]),
    );
  } finally {
    await end();
  }
  await views();
}

/** 1,000 tools by 50 rules at a change of the catalog, and the memory of 100 different views of them. In this process. */
async function views() {
  const [{ createAccess }, { resolveConfig }, { Restricted }, { Catalog }, { MergedView }, { readListPage }] =
    await Promise.all(
      [
        'policy/access',
        'config/index',
        'catalog/restrict',
        'catalog/catalog',
        'catalog/merged-view',
        'protocol/lists',
      ].map((path) => import(`../build/${path}.js`)),
    );
  const TOOLS = 1000;
  const rules = Array.from({ length: 50 }, (_, i) => ({
    name: `rule ${i}`,
    allow: [{ servers: ['s'], tools: [`tool-${i}*`, `*-${i}`] }],
  }));
  const tools = () =>
    readListPage(
      'tools',
      Buffer.from(
        JSON.stringify({
          tools: Array.from({ length: TOOLS }, (_, i) => ({
            name: `tool-${i}`,
            description: 'x'.repeat(300),
            inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
          })),
        }),
      ),
    ).definitions;
  const link = {
    server: 's',
    key: 's',
    state: 'up',
    lists: { tools: tools(), prompts: [], resources: [], templates: [] },
    stats: { tools: new Map() },
  };
  const catalog = new Catalog({ nameLength: () => 0, waitMs: () => 0, serverInfo: {}, now: () => 0 });
  catalog.put(link);
  const principal = (groups) => ({ id: 'key:x', kind: 'key', groups, scopes: [], claims: {} });
  const { config } = resolveConfig({ servers: [], policy: { rules } }, {});
  const set = createAccess(config).policy.of(principal([]), '/mcp');
  const restricted = new Restricted(catalog, set);
  const times = [];
  for (let i = 0; i < 20; i++) {
    link.lists = { ...link.lists, tools: tools() };
    const began = performance.now();
    restricted.list(link, 'tools');
    times.push(performance.now() - began);
  }
  const many = resolveConfig(
    {
      servers: [],
      policy: {
        rules: Array.from({ length: 100 }, (_, i) => ({
          name: `rule ${i}`,
          who: { groups: [`g${i}`] },
          allow: [{ servers: ['s'], tools: ['*'] }],
          deny: [{ tools: [`tool-${i}`] }],
        })),
      },
    },
    {},
  );
  const { policy: of } = createAccess(many.config);
  const before = process.memoryUsage();
  const made = Array.from({ length: 100 }, (_, i) => {
    const view = new MergedView(new Restricted(catalog, of.of(principal([`g${i}`]), '/mcp')));
    view.list('tools', 'legacy');
    return view;
  });
  const after = process.memoryUsage();
  const used = (memory) => (memory.heapUsed + memory.external) / 2 ** 20;
  say();
  say('| views, 1,000 tools | |');
  say('| --- | --- |');
  say(`| 50 rules, at a change of the list | ${show(times)} ms |`);
  say(`| memory of ${made.length} different views | ${(used(after) - used(before)).toFixed(0)} MB |`);
  say();
  progress('views done');
}

export const accessCosts = { title: 'access', run: access };
