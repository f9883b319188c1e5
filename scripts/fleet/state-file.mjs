// Where `npm run fleet` says what runs, for `npm run fleet:traffic` of the same user.
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { runs } from './processes.mjs';
import { Refusal } from './programs.mjs';

/** Nobody else may write there: the processes that it names get signals. */
function folder() {
  const { uid, username } = userInfo();
  const path = join(tmpdir(), `mcpstead-fleet-of-${username}`);
  mkdirSync(path, { mode: 0o700, recursive: true });
  const { uid: owner, mode } = lstatSync(path);
  if (uid !== -1 && (owner !== uid || (mode & 0o077) !== 0))
    throw new Refusal(`${path} must belong to ${username} alone: remove it`);
  return path;
}

export const stateFile = () => join(folder(), 'state.json');

/** `{pid, url, replicas: [{name, origin, pid}]}`; undefined: no fleet runs. */
export function readState() {
  try {
    const state = JSON.parse(readFileSync(stateFile(), 'utf8'));
    return runs(state.pid) ? state : undefined;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return undefined;
  }
}

/** Readers see the old state or the new one. */
export function writeState({ url, replicas }) {
  const state = {
    ...{ pid: process.pid, url },
    replicas: replicas.map(({ name, origin, pid }) => ({ name, origin, pid })),
  };
  const next = `${stateFile()}.${process.pid}`;
  writeFileSync(next, JSON.stringify(state, null, 2), { mode: 0o600 });
  renameSync(next, stateFile());
}

export function removeState() {
  rmSync(stateFile(), { force: true });
}
