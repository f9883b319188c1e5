/** Keys for people and machines: `mcpstead keys create | list | revoke | hash`. */
import { loadConfig } from '../../config/index.js';
import {
  addKey,
  entryText,
  keysFileOf,
  namesIn,
  removeKey,
  type WrittenKey,
} from '../../config/keys-file.js';
import { hashApiKey, isApiKey, createApiKey } from '../../lib/api-key.js';
import { DAY_MS, endOfDay } from '../../lib/calendar.js';
import { printable, Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { configOf } from '../config-path.js';
import { refusalText } from '../gateway-request.js';
import { askApi, gatewayOf, NO_GATEWAY, REFUSED } from '../target.js';
import { listed, type Verb, type Written } from '../verb.js';

const NAME = /^[A-Za-z0-9._@-]{1,128}$/;
/** Keys are short; whatever else is on stdin is not one. */
const STDIN_BYTES = 4096;

/** Prints a new key alone on stdout, and writes its entry into keys_file, or to stderr if there is none. */
export const createKey: Verb = async (written, terminal) => {
  const [name = ''] = written.words;
  if (!NAME.test(name)) throw new Refusal(`a name is 1 to 128 of A-Z a-z 0-9 . _ @ -, not '${name}'`, 2);
  const { values } = written;
  const expires = values['expires'] === undefined ? undefined : dateOf(values['expires']);
  const isApprover = written.flags.has('approver');
  const owner = values['owner'];
  if (isApprover && (owner === undefined || owner === 'none'))
    throw new Refusal('--approver needs --owner PERSON: whose votes the key gives', 2);
  const config = configOf(written, terminal.env);
  const file = config === undefined ? undefined : fileOf(config);
  if (config !== undefined && isTaken(name, config, file, terminal.env))
    throw new Refusal(`there is a key '${name}': choose another name, or revoke it first`);
  const key = createApiKey();
  const entry: WrittenKey = {
    name,
    sha256: [hashApiKey(key)],
    groups: listed(values['groups'] ?? ''),
    scopes: listed(values['scopes'] ?? ''),
    ...(expires !== undefined && { expires }),
    ...(owner !== undefined && { owner }),
    ...(isApprover && { approver: true as const }),
  };
  if (file === undefined) {
    terminal.err(
      `add this entry to mcp.auth.keys, or to the file that mcp.auth.keys_file names:\n- ${entryText(entry)}\n`,
    );
    terminal.out(`${key}\n`);
    return 0;
  }
  change(() => {
    addKey(file, entry);
  });
  terminal.out(`${key}\n`);
  return await reload(written, terminal, `wrote the entry '${name}' to ${file}`);
};

export const revokeKey: Verb = async (written, terminal) => {
  const [name = ''] = written.words;
  const config = configOf(written, terminal.env);
  if (config === undefined)
    throw new Refusal('mcpstead keys revoke requires --config <path> or MCPSTEAD_CONFIG=<path>');
  const file = fileOf(config);
  if (file === undefined)
    throw new Refusal(
      'the config names no mcp.auth.keys_file: remove the entry from mcp.auth.keys, and reload',
    );
  const found = change(() => removeKey(file, name));
  if (!found) throw new Refusal(`there is no key '${name}' in ${file}`);
  return await reload(written, terminal, `removed the entry '${name}' from ${file}`);
};

export const listKeys: Verb = (written, terminal) => {
  const config = configOf(written, terminal.env);
  if (config === undefined)
    throw new Refusal('mcpstead keys list requires --config <path> or MCPSTEAD_CONFIG=<path>');
  const { keys } = loadConfig(config, terminal.env).config.mcp.auth;
  const now = Date.now();
  const shown = keys.map(({ name, groups, scopes, expires, disabled, sha256 }) => ({
    name,
    state: disabled ? 'disabled' : expires !== undefined && expires <= now ? 'expired' : 'active',
    groups,
    scopes,
    expires: expires === undefined ? null : new Date(expires - 1).toISOString().slice(0, 10),
    hashes: sha256.length,
  }));
  if (written.flags.has('json')) terminal.out(`${JSON.stringify(shown)}\n`);
  else
    for (const { name, state, groups, scopes, expires } of shown)
      terminal.out(
        printable(
          `${name}\t${state}\tgroups: ${groups.join(', ') || '-'}\tscopes: ${scopes.join(', ') || '-'}\texpires: ${expires ?? 'never'}\n`,
        ),
      );
  return Promise.resolve(0);
};

/** Prints the hash of a key that is given on stdin, so that it is in no argument list. */
export const hashKey: Verb = async (_written, terminal) => {
  let text = '';
  for await (const chunk of terminal.stdin) {
    text += String(chunk);
    if (text.length > STDIN_BYTES) break;
  }
  const key = text.trim();
  if (!isApiKey(key))
    throw new Refusal('stdin holds no key: mcps_ and 36 letters and digits, whose check digits fit');
  terminal.out(`${hashApiKey(key)}\n`);
  return 0;
};

function fileOf(config: string): string | undefined {
  try {
    return keysFileOf(config);
  } catch (error) {
    throw new Refusal(`cannot read config '${config}': ${(error as Error).message}`);
  }
}

function isTaken(name: string, config: string, file: string | undefined, env: NodeJS.ProcessEnv): boolean {
  if (file !== undefined && change(() => namesIn(file)).includes(name)) return true;
  // Keys of the config itself; a config with problems is reported by `mcpstead check`.
  try {
    return loadConfig(config, env).config.mcp.auth.keys.some((key) => key.name === name);
  } catch {
    return false;
  }
}

function change<T>(go: () => T): T {
  try {
    return go();
  } catch (error) {
    throw new Refusal((error as Error).message);
  }
}

/** `90d`, or a date. */
function dateOf(text: string): string {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? [];
  if (days !== undefined) return new Date(Date.now() + Number(days) * DAY_MS).toISOString().slice(0, 10);
  const end = endOfDay(text);
  if (Number.isNaN(end))
    throw new Refusal(`--expires is a number of days (90d) or a date (2027-06-30), not '${text}'`, 2);
  if (end <= Date.now()) throw new Refusal(`--expires ${text} has passed`, 2);
  return text;
}

/** Has the running gateway read its config again. `done`: what has been written. */
async function reload(written: Written, terminal: Terminal, done: string): Promise<number> {
  let why: string;
  try {
    const gateway = gatewayOf(written, terminal);
    const answer = await askApi(gateway, '/-/reload', { body: '' });
    if (answer.status === 200) {
      terminal.err(printable(`${done}; the gateway at ${gateway.origin} has reloaded\n`));
      return 0;
    }
    why = `the gateway at ${gateway.origin} did not reload (${refusalText(answer)}): send it SIGHUP`;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    why =
      error.status === REFUSED
        ? `the gateway did not reload (${error.message}): send it SIGHUP`
        : `${error.message}: it takes effect when the gateway starts, or on SIGHUP`;
  }
  terminal.err(printable(`${done}; ${why}\n`));
  return NO_GATEWAY;
}
