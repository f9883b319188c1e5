/** `mcpstead check`: whether a gateway would start with a config, and with `--connect` whether its servers answer. */
import { commandProblem } from '../../config/command.js';
import { loadConfig } from '../../config/index.js';
import { checkAccess } from '../../index.js';
import { printable, Refusal } from '../../terminal/explain.js';
import { configOf } from '../config-path.js';
import { counted, outputOf, wayOut, type Cell } from '../output.js';
import type { Server, Transition } from '../../admin/schemas.js';
import { exchange } from '../gateway-request.js';
import { runHere, type Source } from '../source.js';
import { readApi } from '../target.js';
import type { Verb } from '../verb.js';

/** Returns 0 if a gateway would start with the config. Throws ConfigError with all of its problems. */
export const check: Verb = async (written, terminal) => {
  const path = configOf(written, terminal.env);
  if (path === undefined) throw new Refusal('mcpstead requires --config <path> or MCPSTEAD_CONFIG=<path>');
  const output = outputOf(written, terminal);
  const { config, warnings } = loadConfig(path, terminal.env);
  const found = [...warnings, ...checkAccess(config)];
  for (const server of config.servers) {
    if (server.kind !== 'stdio' || server.problem !== undefined) continue;
    const problem = commandProblem(server);
    if (problem !== undefined) found.push(`${server.where}: server '${server.name}': ${problem}`);
  }
  for (const warning of found) terminal.err(printable(`warning: ${warning}\n`));
  if (written.flags.has('connect')) return await connect(written, terminal);
  const { length } = config.servers;
  if (output.json) output.document({ ok: true, servers: length, warnings: found });
  else output.line(`ok: ${counted(length, 'server')}`);
  return 0;
};

interface Checked extends Server {
  /** Seconds; null: it is not up. */
  readonly seconds: { readonly all: number; readonly initialize: number; readonly lists: number } | null;
}

/** Connects to each server once. 1 if one of them does not answer. */
async function connect(...[written, terminal]: Parameters<Verb>): Promise<number> {
  const output = outputOf(written, terminal);
  const source = await runHere(written, terminal);
  try {
    const checked = await timed(source, source.servers);
    if (output.json) output.document(checked);
    else output.table(checked.map(row));
    return checked.every(({ level }) => level === 'ok' || level === 'off') ? 0 : 1;
  } finally {
    await source.close();
  }
}

async function timed({ gateway }: Source, servers: readonly Server[]): Promise<readonly Checked[]> {
  const request = { path: '/metrics', timeoutMs: 5000, bodyBytes: 16_777_216 };
  const [credential] = gateway.credentials;
  const { body } = await exchange(gateway.address, { ...request, token: credential?.secret });
  const sum = (metric: string, server: string): number => {
    const line = body
      .split('\n')
      .find((each) => each.startsWith(`${metric}_sum{`) && each.includes(`"${server}"`));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  return await Promise.all(
    servers.map(async (server) => {
      const { history } = await readApi<{ history: readonly Transition[] }>(
        gateway,
        `servers/${encodeURIComponent(server.name)}/history`,
      );
      const [first, up] = [history[0], history.find(({ state }) => state === 'up')];
      if (!first || !up) return { ...server, seconds: null };
      const seconds = {
        all: (Date.parse(up.time) - Date.parse(first.time)) / 1000,
        initialize: sum('mcpstead_upstream_initialize_duration_seconds', server.name),
        lists: sum('mcpstead_upstream_tools_refresh_duration_seconds', server.name),
      };
      return { ...server, seconds };
    }),
  );
}

function row(server: Checked): readonly Cell[] {
  const { name, level, word, kind, era, revision, tools, seconds } = server;
  if (level === 'off') return [['-', 'dim'], name, kind, word];
  if (level !== 'ok') return [['no', 'red'], name, kind, wayOut(server)];
  const times = seconds && timesOf(seconds);
  return [
    ['ok', 'green'],
    name,
    kind,
    `${era ?? ''} ${revision ?? ''}`.trim(),
    counted(tools, 'tool'),
    times ?? '',
  ];
}

/** `1.9 s (start 1.6, initialize 0.2, lists 0.1)`. */
function timesOf({ all, initialize, lists }: NonNullable<Checked['seconds']>): string {
  const start = Math.max(0, all - initialize - lists);
  const [whole, ...parts] = [all, start, initialize, lists].map((seconds) => seconds.toFixed(1));
  return `${whole ?? ''} s (start ${parts[0] ?? ''}, initialize ${parts[1] ?? ''}, lists ${parts[2] ?? ''})`;
}
