/** Loads the config, and a watch of its file if it asks for one. */
import type { LoadedConfig } from '../config/index.js';
import type { ConfigWatch } from './watch.js';

interface Watchable {
  readonly loaded: LoadedConfig;
  /** For reloads. */
  readonly load: () => LoadedConfig;
  /** undefined: `watch` is false, and nothing of it is loaded. */
  readonly watch: ConfigWatch | undefined;
}

/** Throws what `read` throws. `tell` gets each configuration that is used. */
export async function watchable(
  path: string,
  read: () => LoadedConfig,
  tell: (loaded: LoadedConfig) => void = () => {},
): Promise<Watchable> {
  const first = read();
  const watch = first.config.watch ? new (await import('./watch.js')).ConfigWatch(path) : undefined;
  const told = (loaded: LoadedConfig): LoadedConfig => {
    tell(loaded);
    return loaded;
  };
  const load = (): LoadedConfig => told(watch ? watch.read(read) : read());
  // Read again: what the file was the first time is not known.
  return { loaded: watch ? load() : told(first), load, watch };
}
