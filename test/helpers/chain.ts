/**
 * Tests behind two gateways: while the chain is on, `startGateway` puts a second gateway between the clients and the gateway that has the
 * servers, as a fleet does for a server that is placed on another replica.
 */
import type { ConfigInput } from '../../src/index.js';

type Entry = Readonly<Record<string, unknown> & { name: string }>;

let on = false;

/** Switches the chain on for the test file that imports this. */
export function useChain(): void {
  on = true;
}

export const isChained = (): boolean => on;

/** What a server entry says about the server itself or about the connection to it: only the far gateway needs it. */
const FAR_ONLY: ReadonlySet<string> = new Set([
  'url',
  'command',
  'args',
  'env',
  'cwd',
  'inherit_env',
  'restart',
  'headers',
  'auth',
  'session',
  'revision',
  'transport',
  'tls',
]);

/** The configuration of the near gateway: each server is the endpoint of that server on the far one. */
export function nearConfig(config: ConfigInput, far: (name: string) => string): ConfigInput {
  const servers = (config.servers ?? []) as readonly Entry[];
  const near = servers.map((entry) => ({
    ...Object.fromEntries(Object.entries(entry).filter(([key]) => !FAR_ONLY.has(key))),
    url: far(entry.name),
    revision: '2026-07-28',
  }));
  return { ...config, servers: near };
}
