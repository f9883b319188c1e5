/**
 * What a server's state is called, why it is so, and what helps. The only place that decides this: `/health`, the admin API, the command line
 * and the console show what it says.
 */
import type { LinkState, LinkTransition } from '../protocol/ports.js';
import type { Action, ServerStatus } from './schemas.js';

export interface StatusFacts {
  readonly name: string;
  readonly kind: 'stdio' | 'http';
  readonly state: LinkState;
  /** The first attempt to connect is still running. */
  readonly firstConnect: boolean;
  /** The last failure, without secrets, and its code; undefined while up. */
  readonly lastError: string | undefined;
  readonly lastCode: string | undefined;
  readonly history: readonly LinkTransition[];
  /** An operator has turned it off until a reload. */
  readonly off: boolean;
  /** Its configuration cannot work: see `lastError`. */
  readonly hasProblem: boolean;
  /** Definitions that are hidden until somebody approves them. */
  readonly pending: number;
  /** Where each user logs in for himself: how many are connected; undefined: one login serves everybody, or none is needed. */
  readonly users: number | undefined;
  /** When the gateway started: the time of a state without history. Unix milliseconds. */
  readonly started: number;
}

const CAUSE_CHARS = 500;

/** A server with `disabled: true`. `since`: when the gateway read that, in Unix milliseconds. */
export function statusOfDisabled(name: string, since: number): ServerStatus {
  return {
    name,
    level: 'off',
    word: 'off',
    since: new Date(since).toISOString(),
    cause: 'disabled in the configuration (disabled: true)',
    action: { text: 'enable it', command: `mcpstead enable ${quoted(name)}` },
  };
}

export function statusOf(facts: StatusFacts): ServerStatus {
  const { name } = facts;
  const at = `servers/${encodeURIComponent(name)}`;
  const made = (
    level: ServerStatus['level'],
    word: string,
    cause: string | null = null,
    action: Action | null = null,
  ): ServerStatus => ({ name, level, word, since: sinceOf(facts, word), cause, action });

  if (facts.off)
    return made('off', 'off', 'turned off until a reload', {
      text: 'turn it on',
      command: `mcpstead restart ${quoted(name)}`,
      post: `${at}/enable`,
    });
  if (facts.state === 'up') {
    if (facts.pending === 0) return made('ok', 'up');
    const definitions = facts.pending === 1 ? '1 definition' : `${facts.pending} definitions`;
    return made('attention', 'needs approval', `${definitions} changed and hidden (pin: enforce)`, {
      text: 'compare what changed, then approve it',
      command: `mcpstead pins approve ${quoted(name)}`,
    });
  }
  if (facts.state === 'login_required' && facts.users !== undefined)
    return made('ok', 'up', `each user logs in for himself; connected: ${facts.users}`);
  if (facts.state === 'login_required')
    return made('attention', 'needs login', 'needs a login', {
      text: 'log in to it',
      command: `mcpstead login ${quoted(name)}`,
      post: `${at}/login`,
    });
  if (facts.state === 'draining') return made('wait', 'draining', 'its calls finish');
  if (facts.firstConnect && facts.lastError === undefined)
    return made('wait', facts.kind === 'stdio' ? 'starting' : 'connecting');
  const failure = readFailure(facts);
  return facts.lastCode === 'upstream_auth_failed'
    ? made('attention', 'needs login', failure.cause, {
        text: 'give it a credential that it accepts (auth or headers in the config), then reload',
        ...RELOAD,
      })
    : made('failed', 'down', failure.cause, failure.action);
}

/** When the state that is shown began, however many attempts to connect there were since. */
function sinceOf({ history, started }: StatusFacts, word: string): string {
  let since: LinkTransition | undefined;
  for (let i = history.length - 1; i >= 0; i--) {
    const entry = history[i] as LinkTransition;
    if (!BELONGS[entry.state](word)) break;
    since = entry;
  }
  // While the first failed attempts are repeated, what came before the first failure does not count.
  if (since && isDown(word))
    since = history.slice(history.indexOf(since)).find(({ state }) => isFailure(state)) ?? since;
  return new Date(since?.time ?? started).toISOString();
}

const isDown = (word: string): boolean => word === 'down' || word === 'needs login';
const isFailure = (state: LinkState): boolean =>
  state === 'backoff' || state === 'down' || state === 'login_required';

/** Whether an entry of the history is part of a state with this word. */
const BELONGS: Readonly<Record<LinkState, (word: string) => boolean>> = {
  up: (word) => word === 'up' || word === 'needs approval',
  starting: (word) => word === 'starting' || isDown(word),
  connecting: (word) => word === 'connecting' || isDown(word),
  backoff: isDown,
  login_required: (word) => word === 'up' || isDown(word),
  down: (word) => word === 'off' || isDown(word),
  draining: (word) => word === 'draining',
};

const RELOAD = { command: 'mcpstead reload', post: 'reload' } as const;

/** Ways out that error texts name after a colon. `fixes`: what has to be changed first. */
const NAMED: readonly { readonly way: RegExp; readonly fixes: 'config' | 'machine' }[] = [
  { way: /: (install it, or write its full path)/, fixes: 'machine' },
  { way: /: (check its permissions \(chmod \+x\))/, fixes: 'machine' },
  { way: /: (name the program in it)/, fixes: 'config' },
  { way: /: (name its CA in tls\.ca_file)/, fixes: 'config' },
  { way: /: (write http:\/\/ in its url)/, fixes: 'config' },
  { way: /: (is the path [^?]+\?)/, fixes: 'config' },
  { way: /: (write command: .*)/, fixes: 'config' },
];

function readFailure({ name, kind, lastError, hasProblem }: StatusFacts): {
  readonly cause: string;
  readonly action: Action;
} {
  const restart = {
    command: `mcpstead restart ${quoted(name)}`,
    post: `servers/${encodeURIComponent(name)}/restart`,
  };
  const text = (lastError ?? 'not connected')
    .replace(`upstream '${name}' `, '')
    .replace(/^cannot start: /, '');
  for (const { way, fixes } of NAMED) {
    const found = way.exec(text);
    if (!found) continue;
    const cause = cut(text.replace(found[0], ''));
    return { cause, action: { text: found[1] as string, ...(fixes === 'config' ? RELOAD : restart) } };
  }
  const cause = cut(text);
  if (hasProblem) return { cause, action: { text: 'correct it, then reload', ...RELOAD } };
  if (kind === 'stdio')
    return { cause, action: { text: 'read what it wrote to stderr, then restart it', ...restart } };
  return { cause, action: { text: 'start the server or check its url, then try again', ...restart } };
}

function cut(text: string): string {
  return text.length > CAUSE_CHARS ? `${text.slice(0, CAUSE_CHARS - 3)}...` : text;
}

/** A name as one word of a command line. */
function quoted(name: string): string {
  return /^[\w.-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
