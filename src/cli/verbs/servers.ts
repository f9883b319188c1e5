/** What runs: `mcpstead servers`, and `mcpstead status [--watch]`. */
import { setTimeout } from 'node:timers/promises';
import type { Me, Server } from '../../admin/schemas.js';
import { interruptible } from '../interrupt.js';
import { counted, duration, hasColours, outputOf, wayOut, type Cell, type Output } from '../output.js';
import { gatewayOf, readApi, type Gateway } from '../target.js';
import type { Verb } from '../verb.js';

const WATCH_MS = 1000;

interface Servers {
  readonly servers: readonly Server[];
}

export const listServers: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { servers } = await readApi<Servers>(gatewayOf(written, terminal), 'servers');
  if (output.json) output.document(servers);
  else if (servers.length === 0) output.note('no servers: mcpstead add NAME -- COMMAND adds one');
  else output.table(servers.map(serverRow));
  return 0;
};

const MARKS: Readonly<Record<Server['level'], readonly [string, 'green' | 'yellow' | 'red' | 'dim']>> = {
  ok: ['o', 'green'],
  wait: ['~', 'yellow'],
  attention: ['!', 'yellow'],
  failed: ['x', 'red'],
  off: ['-', 'dim'],
};

/** `files  o up  stdio  legacy 2025-11-25  14 tools ~1,160 tokens  8/min`, or the cause and the way out. */
function serverRow(server: Server): readonly Cell[] {
  const { name, level, word, kind, era, revision, tools, tokens } = server;
  const [mark, style] = MARKS[level];
  const speaks = era === null ? '' : `${era} ${revision ?? ''}`.trim();
  const row: Cell[] = [[name, 'bold'], [`${mark} ${word}${forHowLong(server)}`, style], kind, speaks];
  if (level === 'ok') {
    row.push(`${counted(tools, 'tool')}, ~${tokens.toLocaleString('en')} tokens`, ratesOf(server));
  } else row.push(wayOut(server));
  return row;
}

function forHowLong({ level, since }: Server): string {
  if (level === 'ok' || level === 'off') return '';
  const ms = Date.now() - Date.parse(since);
  return Number.isFinite(ms) && ms >= 1000 ? ` ${duration(ms)}` : '';
}

function ratesOf({ calls_per_minute, failed_share, p95_ms }: Server): string {
  if (calls_per_minute === 0) return '';
  const failed = failed_share ? `, ${(failed_share * 100).toFixed(1)}% failed` : '';
  return `${calls_per_minute}/min${p95_ms === null ? '' : `, p95 ${duration(p95_ms)}`}${failed}`;
}

export const status: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  if (output.json) {
    const [me, servers] = await read(gateway);
    output.document({ ...me, servers });
    return me.state === 'serving' && servers.every(isWell) ? 0 : 1;
  }
  if (!written.flags.has('watch')) {
    const [me, servers] = await read(gateway);
    show(output, me, servers);
    return me.state === 'serving' && servers.every(isWell) ? 0 : 1;
  }
  return await interruptible(async (signal) => {
    for (;;) {
      const [me, servers] = await read(gateway);
      // Redraws on a terminal; elsewhere each state is appended.
      if (hasColours(terminal)) terminal.out('\u001b[H\u001b[2J');
      show(output, me, servers);
      await setTimeout(WATCH_MS, undefined, { signal });
    }
  });
};

function isWell({ level }: Server): boolean {
  return level === 'ok' || level === 'off';
}

async function read(gateway: Gateway): Promise<[Me, readonly Server[]]> {
  const [me, { servers }] = await Promise.all([
    readApi<Me>(gateway, 'me'),
    readApi<Servers>(gateway, 'servers'),
  ]);
  return [me, servers];
}

function show(output: Output, me: Me, servers: readonly Server[]): void {
  const wanted = servers.filter(({ level }) => level !== 'off');
  const up = wanted.filter(({ level }) => level === 'ok').length;
  const sum = (of: (server: Server) => number): number => servers.reduce((all, each) => all + of(each), 0);
  const running = duration(Date.parse(me.now) - Date.parse(me.started));
  output.line(
    [
      `mcpstead ${me.version}, ${me.state === 'serving' ? `serving for ${running}` : `${me.state}, started ${running} ago`}`,
      `${up} of ${wanted.length} up`,
      `${counted(
        sum(({ tools }) => tools),
        'tool',
      )} ~${sum(({ tokens }) => tokens).toLocaleString('en')} tokens`,
      `${sum((each) => each.calls_per_minute)} calls/min`,
    ].join(' | '),
  );
  output.line(`endpoint ${me.endpoint}`);
  output.table(servers.map(serverRow));
}
