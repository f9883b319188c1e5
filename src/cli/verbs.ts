/** Commands of two words, such as `audit verify`: one row each. Their code is loaded when they run. */
import { parseArgs } from 'node:util';
import { Refusal } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import type { VerbRow, Written } from './verb.js';

type Rows = Readonly<Record<string, VerbRow>>;

const CONFIG = ['PATH', 'the config file [env: MCPSTEAD_CONFIG]'] as const;
const URL_OPTION = [
  'URL',
  'the gateway to ask; defaults to that of the config, or http://127.0.0.1:8766',
] as const;

const VERBS: Readonly<Record<string, Rows>> = {
  keys: {
    create: {
      usage: 'NAME',
      help: 'make a key for a person or a machine: the key on stdout, its entry in mcp.auth.keys_file',
      words: [1, 1],
      values: {
        groups: ['A,B', 'its groups'],
        scopes: ['A,B', 'its scopes'],
        expires: ['90d', 'the days that it is valid, or its last date (2027-06-30)'],
        config: CONFIG,
        url: URL_OPTION,
      },
      flags: {},
      load: async () => (await import('./verbs/keys.js')).createKey,
    },
    list: {
      usage: '',
      help: 'list the keys of a config, without secrets',
      words: [0, 0],
      values: { config: CONFIG },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/keys.js')).listKeys,
    },
    revoke: {
      usage: 'NAME',
      help: 'remove a key from mcp.auth.keys_file, and end what it has open',
      words: [1, 1],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/keys.js')).revokeKey,
    },
    hash: {
      usage: '',
      help: 'print the hash of a key that stdin holds, for mcp.auth.keys',
      words: [0, 0],
      values: {},
      flags: {},
      load: async () => (await import('./verbs/keys.js')).hashKey,
    },
  },
  pins: {
    list: {
      usage: '[SERVER]',
      help: 'list pinned definitions, and what waits for an approval',
      words: [0, 1],
      values: { config: CONFIG, url: URL_OPTION },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/pins.js')).listPins,
    },
    diff: {
      usage: 'SERVER [TOOL]',
      help: 'show what is new or changed of a server since it was approved',
      words: [1, 2],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).diffPins,
    },
    approve: {
      usage: 'SERVER [TOOL...]',
      help: 'approve what waits: all of a server, or some names',
      words: [1, Infinity],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).approvePins,
    },
    export: {
      usage: '',
      help: 'print all approved definitions as JSON',
      words: [0, 0],
      values: { config: CONFIG, url: URL_OPTION },
      flags: {},
      load: async () => (await import('./verbs/pins.js')).exportPins,
    },
  },
  policy: {
    explain: {
      usage: '',
      help: 'say what the policy of a running gateway decides for somebody, and which rule decides',
      words: [0, 0],
      values: {
        as: ['ID', 'the principal: key:ci, corp:alice, anonymous'],
        groups: ['A,B', 'its groups; a key has its own'],
        scopes: ['A,B', 'its scopes; a key has its own'],
        claims: ['JSON', 'its claims'],
        route: ['PATH', 'the endpoint: /mcp, /servers/<name>/mcp, /profiles/<name>/mcp'],
        tool: ['NAME', 'one tool, as clients of the endpoint call it'],
        args: ['JSON', 'arguments of a call, to check the conditions'],
        config: CONFIG,
        url: URL_OPTION,
      },
      flags: { json: 'one JSON document' },
      load: async () => (await import('./verbs/policy.js')).explainPolicy,
    },
  },
  audit: {
    verify: {
      usage: 'FILE...',
      help: 'check the chain of an audit log, across its files, and name the first line that was changed',
      words: [1, Infinity],
      values: { head: ['HASH', 'a head from the log of the gateway, which must be the hash of a line'] },
      flags: {},
      load: async () => (await import('./verbs/audit.js')).auditVerify,
    },
  },
};

/** Usage and meaning of each command, for the help. */
export function verbLines(): (readonly [usage: string, help: string])[] {
  return Object.entries(VERBS).flatMap(([group, rows]) =>
    Object.entries(rows).map(([name, row]) => [usageOf(group, name, row), row.help] as const),
  );
}

/** Whether a command line is one of these commands. */
export function isVerb([group]: readonly string[]): boolean {
  return group !== undefined && Object.hasOwn(VERBS, group);
}

/** Runs a command line that `isVerb`. Resolves with the exit status; rejects with a Refusal. */
export async function runVerb([group = '', ...args]: readonly string[], terminal: Terminal): Promise<number> {
  const rows = VERBS[group] ?? {};
  const [name = '', ...rest] = args;
  if (name === '--help' || name === '-h') {
    for (const [known, row] of Object.entries(rows)) terminal.out(helpOf(group, known, row));
    return 0;
  }
  const row = Object.hasOwn(rows, name) ? rows[name] : undefined;
  if (!row) {
    const known = Object.keys(rows).join(', ');
    const what = name === '' ? `mcpstead ${group} needs a command` : `unknown command '${group} ${name}'`;
    throw new Refusal(`${what}; there is: ${known}`, 2);
  }
  const written = read(group, name, row, rest);
  if (written.flags.has('help')) {
    terminal.out(helpOf(group, name, row));
    return 0;
  }
  const [least, most] = row.words;
  const { length } = written.words;
  if (length < least || length > most) throw new Refusal(`usage: ${usageOf(group, name, row)}`, 2);
  const verb = await row.load();
  return verb(written, terminal);
}

function read(group: string, name: string, row: VerbRow, args: readonly string[]): Written {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  };
  for (const value in row.values) options[value] = { type: 'string' };
  for (const flag in row.flags) options[flag] = { type: 'boolean' };
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    const [sentence = ''] = (error as Error).message.split(/\. |\n/);
    throw new Refusal(`${sentence}; see mcpstead ${group} ${name} --help`, 2);
  }
  const values: Record<string, string> = {};
  const flags = new Set<string>();
  for (const [option, value] of Object.entries(parsed.values))
    if (typeof value === 'string') values[option] = value;
    else if (value === true) flags.add(option);
  return { words: parsed.positionals, values, flags };
}

function usageOf(group: string, name: string, { usage, values, flags }: VerbRow): string {
  const options = [
    ...Object.entries(values).map(([option, [value]]) => `[--${option} ${value}]`),
    ...Object.keys(flags).map((flag) => `[--${flag}]`),
  ];
  return ['mcpstead', group, name, ...options, usage].filter((part) => part !== '').join(' ');
}

function helpOf(group: string, name: string, row: VerbRow): string {
  const lines = [
    ...Object.entries(row.values).map(
      ([option, [value, meaning]]) => [`--${option} ${value}`, meaning] as const,
    ),
    ...Object.entries(row.flags).map(([flag, meaning]) => [`--${flag}`, meaning] as const),
  ];
  const width = Math.max(0, ...lines.map(([option]) => option.length));
  const options = lines.map(([option, meaning]) => `  ${option.padEnd(width)}   ${meaning}\n`).join('');
  return `${usageOf(group, name, row)}\n  ${row.help}\n${options === '' ? '' : `\n${options}`}`;
}
