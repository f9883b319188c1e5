/** Logs in to a server, and out again: `mcpstead login SERVER`, `mcpstead logout SERVER`, `mcpstead connections`. */
import { createInterface } from 'node:readline';
import type { Connection, KeyStep, Login, LoginBegun, LoginState } from '../../admin/login-schemas.js';
import { hostedMetadata } from '../../config/client-metadata.js';
import { isSecure, loadConfig } from '../../config/index.js';
import { unlessAborted } from '../../lib/within.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { configOf } from '../config-path.js';
import { interruptible } from '../interrupt.js';
import { outputOf, type Cell, type Output } from '../output.js';
import { openInBrowser } from '../programs.js';
import { canAsk, typed } from '../prompts.js';
import { runHere, runningGateway } from '../source.js';
import { actApi, askApi, gatewayOf, parsed, readApi, type Gateway } from '../target.js';
import { listed, type Verb, type Written } from '../verb.js';

/** A request that waits for the end of a login. */
const WAIT_MS = 35_000;
/** Finding the authorization server, and registering there. */
const BEGIN_MS = 60_000;
const LINGER_MS = 1000;
/** More of stdin is not read for a key. */
const MOST_CHARS = 65_536;

interface Target {
  readonly gateway: Gateway;
  close(): Promise<void>;
}

export const login: Verb = async (written, terminal) => {
  const [server = ''] = written.words;
  const output = outputOf(written, terminal);
  const target = await targetOf(written, terminal, server);
  try {
    return await interruptible((signal) =>
      loggedIn(target.gateway, server, { written, terminal, output, signal }),
    );
  } finally {
    await target.close();
  }
};

interface Call {
  readonly written: Written;
  readonly terminal: Terminal;
  readonly output: Output;
  readonly signal: AbortSignal;
}

async function loggedIn(
  gateway: Gateway,
  server: string,
  { written, terminal, output, signal }: Call,
): Promise<number> {
  const device = written.flags.has('device');
  const scopes = listed(written.values['scope'] ?? '');
  const begun = await begin<LoginBegun>(gateway, server, { scopes, device });
  signal.throwIfAborted();
  if ('key' in begun) return keyGiven(gateway, server, { written, terminal, output, signal });
  await show(begun, { written, terminal, output });
  const ended = new AbortController();
  if (!device) takePasted(gateway, begun, terminal, ended.signal);
  try {
    const state = await endOf(gateway, begun.id, signal);
    if (state.state !== 'done')
      throw new Refusal(state.error ?? 'the login did not end in time: begin it again');
  } finally {
    ended.abort();
  }
  if (output.json) output.document({ server, issuer: begun.issuer, scopes: begun.scopes });
  else output.line(`logged in to ${server}`);
  return 0;
}

async function begin<T>(gateway: Gateway, server: string, wish: object): Promise<T> {
  const answer = await askApi(gateway, `/-/api/v1/servers/${encodeURIComponent(server)}/login`, {
    body: JSON.stringify(wish),
    timeoutMs: BEGIN_MS,
  });
  return parsed<T>(gateway, answer);
}

/** Takes the key of a server that wants one instead of a login: typed without being shown, or a line of stdin. */
async function keyGiven(
  gateway: Gateway,
  server: string,
  { written, terminal, output, signal }: Call,
): Promise<number> {
  if (terminal.tty.in && !canAsk(written, terminal))
    throw new Refusal(`'${server}' takes a key: pass it as a line of standard input`, 2);
  const key = (
    terminal.tty.in ? await typed(`The key for ${server}`, true, terminal) : await lineOf(terminal, signal)
  ).trim();
  signal.throwIfAborted();
  if (key === '') throw new Refusal('no key was given: nothing was changed', 1);
  await begin<KeyStep>(gateway, server, { key });
  if (output.json) output.document({ server, key: 'kept' });
  else output.line(`the key for ${server} is kept`);
  return 0;
}

/** The first line of stdin. Rejects when the signal aborts. */
async function lineOf({ stdin }: Terminal, signal: AbortSignal): Promise<string> {
  let text = '';
  const read = async (): Promise<void> => {
    for await (const piece of stdin) {
      text += String(piece);
      if (text.includes('\n') || text.length > MOST_CHARS) return;
    }
  };
  await unlessAborted(read(), signal);
  return text.split('\n', 1)[0] ?? '';
}

/** Tells the person where to go. */
async function show(
  { issuer, scopes, url, user_code: code, redirect_uri: back, server }: Login,
  { written, terminal, output }: Pick<Call, 'written' | 'terminal' | 'output'>,
): Promise<void> {
  output.note(`${server} wants a login at ${issuer}${scopes.length > 0 ? `, for: ${scopes.join(' ')}` : ''}`);
  const isSafe = isSecure(new URL(url));
  const opens = terminal.tty.out && !written.flags.has('no-browser') && code === null && isSafe;
  if (opens && (await openInBrowser(url)))
    output.note('opened a browser; if none appears, open this address:');
  else output.note('open this address in a browser:');
  terminal.err(`\n  ${new URL(url).href}\n\n`);
  if (code !== null) output.note(`and type this code there: ${code}`);
  else if (terminal.tty.in || written.flags.has('no-browser'))
    output.note(
      `if the browser is on another machine, paste the address that it ends at (${back}?...) here:`,
    );
}

/** Takes an address that is pasted, until the signal aborts. */
function takePasted(gateway: Gateway, { id }: Login, terminal: Terminal, signal: AbortSignal): void {
  const lines = createInterface({ input: terminal.stdin, signal });
  lines.on('line', (line) => {
    const address = line.trim();
    if (address === '') return;
    actApi(gateway, `logins/${id}/finish`, { address }).catch((error: unknown) => {
      if (!signal.aborted) terminal.err(`${(error as Error).message}\n`);
    });
  });
  // Otherwise it keeps the process.
  signal.addEventListener('abort', () => terminal.stdin.pause(), { once: true });
}

/** Asks until the login has ended. Rejects when the signal aborts. */
async function endOf(gateway: Gateway, id: string, signal: AbortSignal): Promise<LoginState> {
  for (;;) {
    const asked = askApi(gateway, `/-/api/v1/logins/${id}?wait=true`, { timeoutMs: WAIT_MS });
    const answer = await unlessAborted(asked, signal);
    if (answer.status === 404)
      return { state: 'failed', error: 'the login did not end in time: begin it again' };
    const state = parsed<LoginState>(gateway, answer);
    if (state.state !== 'waiting') return state;
  }
}

/** The running gateway, or one in this process with the server alone, which keeps the login in the state of the config. */
async function targetOf(written: Written, terminal: Terminal, server: string): Promise<Target> {
  const running = await runningGateway(written, terminal, { withApi: true });
  if (running) return { gateway: running, close: () => Promise.resolve() };
  const config = configOf(written, terminal.env) ?? '';
  const { config: loaded } = loadConfig(config, terminal.env, true);
  if (loaded.state.dir === undefined)
    throw new Refusal('there is no state folder to keep the login in: set state.dir', 1);
  if (!loaded.servers.some(({ name }) => name === server))
    throw new Refusal(`there is no server '${server}' in ${config}`, 2);
  const here = await runHere(written, terminal, {
    only: [server],
    ports: loaded.port === 0 ? [0] : [loaded.port, 0],
    keepsState: true,
  });
  return {
    gateway: here.gateway,
    close: async () => {
      // The browser is still to load the page that it was sent to.
      await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
      await here.close();
    },
  };
}

export const logout: Verb = async (written, terminal) => {
  const [server = ''] = written.words;
  const output = outputOf(written, terminal);
  const target = await targetOf(written, terminal, server);
  const { gateway } = target;
  try {
    const query = written.flags.has('forget-client') ? '?forget_client=true' : '';
    const path = `/-/api/v1/connections/${encodeURIComponent(server)}${query}`;
    const answer = await askApi(gateway, path, { method: 'DELETE', timeoutMs: WAIT_MS });
    const { done } = parsed<{ done: boolean }>(gateway, answer);
    if (output.json) output.document({ server, done });
    else output.line(done ? `logged out of ${server}` : `there was no login to ${server}`);
    return 0;
  } finally {
    await target.close();
  }
};

export const connections: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const host = written.values['client-metadata'];
  if (host !== undefined) {
    const url = URL.canParse(host) ? new URL(host) : undefined;
    if (url?.protocol !== 'https:' || url.pathname === '/' || url.hash !== '' || url.username !== '')
      throw new Refusal(`'${host}' cannot name a document: write an https URL with a path`, 2);
    output.line(JSON.stringify(hostedMetadata(host), null, 2));
    return 0;
  }
  const gateway = gatewayOf(written, terminal);
  if (written.flags.has('prune')) {
    const { servers } = await actApi<{ servers: string[] }>(gateway, 'connections/prune');
    if (output.json) output.document({ servers });
    else
      output.line(servers.length === 0 ? 'nothing to erase' : `erased the logins to ${servers.join(', ')}`);
    return 0;
  }
  const { connections: rows } = await readApi<{ connections: Connection[] }>(gateway, 'connections');
  if (output.json) {
    output.document(rows);
    return 0;
  }
  if (rows.length === 0) output.note('no server of this gateway takes a login');
  output.table(rows.map(rowOf));
  return 0;
};

const WORDS: Readonly<Record<Connection['state'], Cell>> = {
  valid: ['logged in', 'green'],
  refreshing: 'renews its token',
  failing: ['cannot renew its token', 'yellow'],
  login_required: ['needs a login', 'yellow'],
  none: 'has not asked for a login',
};

const KEY_WORDS: Readonly<Record<Connection['state'], Cell>> = {
  ...WORDS,
  valid: ['has a key', 'green'],
  login_required: ['needs a key', 'yellow'],
  none: 'each user has a key of his own',
};

function rowOf({ server, takes, state, issuer, scopes, expires, renews }: Connection): Cell[] {
  const end =
    expires === null
      ? ''
      : `${renews ? 'renewed before' : 'until'} ${expires.slice(0, 16).replace('T', ' ')}`;
  const way =
    state === 'login_required' ? `mcpstead login ${server}` : `${issuer ?? ''} ${scopes.join(' ')}`.trim();
  return [server, takes === 'key' ? KEY_WORDS[state] : WORDS[state], end, way];
}
