/** Replaces the console key: `mcpstead console --new-key`. */
import { join } from 'node:path';
import { stateFolder } from '../../config/listen.js';
import { CONSOLE_KEY_FILE, createConsoleKey } from '../../lib/console-key.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { configOf } from '../config-path.js';
import { readText, removeIfThere, writeText } from '../edit/files.js';
import { outputOf } from '../output.js';
import { actApi, gatewayOf, NO_GATEWAY, runningOrigins } from '../target.js';
import type { Verb, Written } from '../verb.js';

/** A gateway that has one of them makes its key of it, and reads no file. */
const FIXING = [
  'MCPSTEAD_CONSOLE_KEY',
  'MCPSTEAD_CONSOLE_KEY_FILE',
  'MCPSTEAD_STATE_KEY',
  'MCPSTEAD_STATE_KEY_FILE',
];

/** A running gateway replaces the key itself; without one, its file is replaced. */
export const renewKey: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const state = stateFolder(configOf(written, terminal.env), terminal.env);
  const path = state === undefined ? undefined : join(state, CONSOLE_KEY_FILE);
  const key = await keyOfGateway(written, terminal);
  if (key === undefined) replaceFile(path, terminal.env);
  // Another machine, or a gateway without a state folder: nobody finds the key elsewhere.
  const isKept = key === undefined || (path !== undefined && readText(path)?.trim() === key);
  const file = isKept ? path : undefined;
  if (output.json) {
    output.document({ gateway: key !== undefined, file: file ?? null, ...(!isKept && { key }) });
    return 0;
  }
  output.line('the console key was replaced: the old one opens nothing any more');
  if (file !== undefined) output.line(`file     ${file}`);
  else output.line(`key      ${key}`);
  if (key === undefined) output.line('gateway  none runs: the next one uses the new key');
  else output.line('pages    those that use the old key are signed out; others stay open');
  output.line('next     mcpstead console');
  return 0;
};

/** The new key; undefined: no gateway runs. Rejects with a Refusal. */
async function keyOfGateway(written: Written, terminal: Terminal): Promise<string | undefined> {
  const { env } = terminal;
  const isNamed = (written.values['url'] ?? env['MCPSTEAD_URL'] ?? '') !== '';
  try {
    return (await actApi<{ key: string }>(gatewayOf(written, terminal), 'key/new')).key;
  } catch (error) {
    const isThere = isNamed || runningOrigins(configOf(written, env), env).length > 0;
    // A gateway that runs keeps the old key in memory.
    if (error instanceof Refusal && error.status === NO_GATEWAY && !isThere) return undefined;
    throw error;
  }
}

function replaceFile(path: string | undefined, env: NodeJS.ProcessEnv): void {
  const fixing = FIXING.find((name) => env[name]);
  if (fixing !== undefined)
    throw new Refusal(`the environment sets the console key: change ${fixing}, and restart the gateway`);
  if (path === undefined)
    throw new Refusal('no gateway runs, and there is no state folder with a key: each start makes a new one');
  // The new file is for this user alone, whatever the mode of the old one.
  removeIfThere(path);
  writeText(path, `${createConsoleKey()}\n`, { mode: 0o600, folderMode: 0o700 });
}
