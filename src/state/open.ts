/** Opens the state of a gateway: the store of its fleet, its folder, or memory if it has neither. */
import { randomBytes } from 'node:crypto';
import { childEnvironment } from '../config/environment.js';
import type { Config } from '../config/types.js';
import type { Logger } from '../observe/log.js';
import { openFolder } from './folder.js';
import { runKeyCommand } from './key-command.js';
import { memoryState } from './memory.js';
import { labelledKey, type Sealed } from './sealed.js';
import { importInBackground } from './import.js';
import { fixedKeys, KeyFile, parseKeys, type KeySource, type StateKeys } from './state-key.js';

export interface State {
  readonly store: Sealed;
  /** Whether the store outlives the process. */
  readonly lasts: boolean;
  /** A key of 32 bytes for one purpose, the same after a restart if the state lasts, and in all replicas with the same state key. */
  keyFor(label: string): Promise<Buffer>;
  /** Such a key of each line of the state key, the current one first. Rejects if there is none and none can be made. */
  keysFor(label: string): Promise<readonly Buffer[]>;
}

/**
 * `env`: the environment of the gateway, from which the key command gets what a stdio server gets. `elsewhere` opens the store of a fleet, with
 * the keys of the configuration: the records of a folder are imported into it once. Rejects with a StateError.
 */
export async function openState(
  { state, mcp }: Pick<Config, 'state' | 'mcp'>,
  env: NodeJS.ProcessEnv,
  log: Logger,
  elsewhere?: (keys: StateKeys) => Sealed | Promise<Sealed>,
): Promise<State> {
  const { dir } = state;
  let keys: KeySource | undefined;
  if (mcp.state_key) keys = fixedKeys({ current: mcp.state_key, older: state.older_keys });
  else if (state.key_command.length > 0) {
    const printed = await runKeyCommand(state.key_command, childEnvironment(env, [], {}));
    keys = fixedKeys(parseKeys(printed, 'what state.key_command prints'));
  } else if (dir !== undefined) keys = new KeyFile(dir, log);
  const source = keys ?? fixedKeys({ current: randomBytes(32), older: [] });
  const store = elsewhere
    ? withFolder(await elsewhere(await source.make()), dir, source, log)
    : dir === undefined
      ? memoryState()
      : await openFolder({ dir, keys: source, log });
  /** For a folder that cannot be written. */
  let unsaved: Buffer | undefined;
  return {
    store,
    lasts: dir !== undefined || elsewhere !== undefined,
    async keysFor(label) {
      const { current, older } = await source.make();
      return [current, ...older].map((key) => labelledKey(key, label));
    },
    async keyFor(label) {
      if (unsaved) return labelledKey(unsaved, label);
      try {
        return labelledKey((await source.make()).current, label);
      } catch (error) {
        log.warn('the state key cannot be written: another one is used until the restart', {
          error: String(error),
        });
        return labelledKey((unsaved = randomBytes(32)), label);
      }
    },
  };
}

/** A store into which the records of the folder are imported. */
function withFolder(store: Sealed, dir: string | undefined, keys: KeySource, log: Logger): Sealed {
  if (dir === undefined) return store;
  const end = importInBackground({ dir, keys, to: store, log });
  return {
    get: (...args) => store.get(...args),
    put: (...args) => store.put(...args),
    delete: (...args) => store.delete(...args),
    isDamaged: (...args) => store.isDamaged(...args),
    keys: (...args) => store.keys(...args),
    lock: (...args) => store.lock(...args),
    close: async () => {
      end();
      await store.close();
    },
  };
}

/** Returns a function that opens the state when it is needed first, and then gives the same one. A failure is tried again. */
export function openOnce(...from: Parameters<typeof openState>): () => Promise<State> {
  let opened: Promise<State> | undefined;
  return () =>
    (opened ??= openState(...from).catch((error: unknown) => {
      opened = undefined;
      throw error;
    }));
}
