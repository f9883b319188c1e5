import { hasLoginTool, isPerUser } from '../config/credentials.js';
import type { ServerConfig } from '../config/types.js';

/** Servers with something in common, found once for each configuration. */
export interface ServerKinds {
  /** Each user has a link of his own to them. */
  readonly perUser: readonly ServerConfig[];
  /** The names of those that list the login tool while they wait for a login. */
  readonly withLoginTool: ReadonlySet<string>;
}

const found = new WeakMap<readonly ServerConfig[], ServerKinds>();

export function kindsOf(servers: readonly ServerConfig[]): ServerKinds {
  let kinds = found.get(servers);
  if (!kinds) {
    const perUser = servers.filter((server) => isPerUser(server) && server.session === 'shared');
    kinds = { perUser, withLoginTool: new Set(servers.filter(hasLoginTool).map(({ name }) => name)) };
    found.set(servers, kinds);
  }
  return kinds;
}
