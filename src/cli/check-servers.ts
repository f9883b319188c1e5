/** Connects to servers of a config once, to say which are up. */
import type { Terminal } from '../terminal/terminal.js';
import { wayOut } from './output.js';
import { runHere } from './source.js';

export interface CheckedServer {
  readonly name: string;
  readonly up: boolean;
  /** Why it is not up, and what to do. */
  readonly why: string | null;
}

/** Runs a gateway in this process until each server is up or has failed. Rejects if the config is not valid. */
export async function checkServers(
  config: string,
  names: readonly string[],
  terminal: Pick<Terminal, 'env' | 'err'>,
): Promise<readonly CheckedServer[]> {
  const written = { values: { config }, program: undefined };
  const source = await runHere(written, terminal, { only: names });
  try {
    return source.servers.map(({ name, level, cause, action }) => {
      if (level === 'ok') return { name, up: true, why: null };
      return { name, up: false, why: wayOut({ cause: cause ?? 'no answer in time', action }) };
    });
  } finally {
    await source.close();
  }
}
