/** Pinned definitions of a running gateway: `mcpstead pins list | diff | approve | export`. */
import { printable, printableJson, printableLine, Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { askFor } from '../target.js';
import type { Verb, Written } from '../verb.js';

interface Entry {
  readonly digest: string;
  readonly definition: string;
  readonly when: string;
  readonly who: string;
}

interface Server {
  readonly server: string;
  readonly mode: string;
  readonly items: readonly {
    readonly kind: string;
    readonly name: string;
    readonly state: string;
    readonly approved: readonly Entry[];
    readonly pending: readonly Entry[];
  }[];
}

async function serversOf(
  written: Written,
  terminal: Terminal,
  name: string | undefined,
): Promise<readonly Server[]> {
  const query = name === undefined ? '' : `?server=${encodeURIComponent(name)}`;
  const body = await askFor(written, `/-/pins${query}`, undefined, terminal);
  const { servers } = JSON.parse(body) as { servers: readonly Server[] };
  if (name !== undefined && servers.length === 0)
    throw new Refusal(`no definitions of '${name}' are pinned: set its pin: to warn or enforce`);
  return servers;
}

export const listPins: Verb = async (written, terminal) => {
  const servers = await serversOf(written, terminal, written.words[0]);
  if (written.flags.has('json')) {
    const short = ({ digest, when, who }: Entry): object => ({ digest, when, who });
    const shown = servers.map(({ items, ...server }) => ({
      ...server,
      items: items.map(({ approved, pending, ...item }) => ({
        ...item,
        approved: approved.map(short),
        pending: pending.map(short),
      })),
    }));
    terminal.out(`${printableJson(shown)}\n`);
    return 0;
  }
  for (const { server, mode, items } of servers)
    for (const { kind, name, state, approved } of items) {
      const last = approved.at(-1);
      const by = last ? `${last.when} by ${last.who}` : 'never';
      terminal.out(
        `${[state, server, kind, name, `pin: ${mode}`, `approved: ${by}`].map(printableLine).join('\t')}\n`,
      );
    }
  return 0;
};

/** Prints each definition that waits, member by member where one was approved before. */
export const diffPins: Verb = async (written, terminal) => {
  const [server = '', only] = written.words;
  const [found] = await serversOf(written, terminal, server);
  for (const { kind, name, approved, pending } of found?.items ?? []) {
    if (only !== undefined && name !== only) continue;
    for (const entry of pending) {
      terminal.out(`${printableLine(`${kind} ${name}`)}\n`);
      const before = approved.at(-1);
      if (before) terminal.out(printable(lines('-', before.definition, entry.definition)));
      terminal.out(printable(lines('+', entry.definition, before?.definition)));
    }
  }
  return 0;
};

/** The members of a definition that another one does not have, or has differently. */
function lines(sign: string, text: string, other: string | undefined): string {
  const own = membersOf(text);
  const theirs = membersOf(other ?? '');
  return [...own]
    .filter(([name, value]) => theirs.get(name) !== value)
    .map(([name, value]) => `${sign} ${name === '' ? '' : `${name}: `}${value}\n`)
    .join('');
}

function membersOf(text: string): ReadonlyMap<string, string> {
  if (text === '') return new Map();
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null)
      return new Map(Object.entries(value).map(([name, member]) => [name, JSON.stringify(member)]));
  } catch {
    // Instructions are no JSON.
  }
  return new Map([['', text]]);
}

export const approvePins: Verb = async (written, terminal) => {
  const [server = '', ...names] = written.words;
  const question = JSON.stringify({ server, ...(names.length > 0 && { names }) });
  const body = await askFor(written, '/-/pins/approve', question, terminal);
  const { approved } = JSON.parse(body) as { approved: readonly string[] };
  terminal.out(printable(`approved: ${approved.length === 0 ? 'nothing waited' : approved.join(', ')}\n`));
  return 0;
};

export const exportPins: Verb = async (written, terminal) => {
  const servers = await serversOf(written, terminal, undefined);
  const approved = servers.map(({ server, items }) => ({
    server,
    items: items.flatMap(({ kind, name, approved: entries }) =>
      entries.map((entry) => ({ kind, name, ...entry })),
    ),
  }));
  terminal.out(`${printableJson({ servers: approved }, 2)}\n`);
  return 0;
};
