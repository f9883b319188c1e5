/** What `mcpstead serve` prints on a terminal before the log: where it listens, and each server as it settles. Lines are only appended. */
import type { Health } from '../index.js';
import { printable } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import { counted, duration, wayOut } from './output.js';

const POLL_MS = 100;
/** A start that takes longer is explained. */
const SLOW_MS = 5000;

export interface Arrival {
  readonly version: string;
  readonly endpoint: string;
  readonly console: string | undefined;
  readonly config: string;
  readonly health: () => Health;
  /** How long a server may take to connect. */
  readonly connectMs: (server: string) => number;
  /** Each server is up or has failed. */
  readonly settled: () => void;
}

/** Returns a function that stops it. */
export function announce(
  { version, endpoint, console, config, health, connectMs, settled: done }: Arrival,
  { out }: Pick<Terminal, 'out'>,
): () => void {
  const line = (text: string): void => {
    out(`${printable(text)}\n`);
  };
  line(`mcpstead ${version}`);
  line(`endpoint ${endpoint}`);
  if (console !== undefined) line(`console  ${console}`);
  line(`config   ${config}`);
  const started = performance.now();
  const settled = new Set<string>();
  const slow = new Set<string>();
  const look = (): void => {
    const { servers } = health();
    const width = Math.max(0, ...servers.map(({ name }) => name.length));
    const passed = performance.now() - started;
    for (const server of servers) {
      const { name, state, era, revision, tools_count, last_error } = server;
      if (settled.has(name)) continue;
      if (state === 'up') {
        settled.add(name);
        line(
          `${name.padEnd(width)}  up  ${era ?? ''} ${revision ?? ''}  ${counted(tools_count, 'tool')}  ${duration(passed)}`,
        );
      } else if (last_error !== null) {
        settled.add(name);
        line(
          `${name.padEnd(width)}  not up: ${wayOut({ cause: server.cause ?? last_error, action: server.action })}`,
        );
      } else if (passed > SLOW_MS && !slow.has(name)) {
        slow.add(name);
        line(
          `starting ${name}: a first npx run downloads; ${duration(passed)} of ${duration(connectMs(name))}`,
        );
      }
    }
    if (settled.size < servers.length) return;
    clearInterval(timer);
    done();
  };
  const timer = setInterval(look, POLL_MS).unref();
  return () => {
    clearInterval(timer);
  };
}
