import { exchangesTokens, hasLoginTool, isPerUser } from '../config/credentials.js';
import { passedTo } from '../config/headers-from-client.js';
import type { ServerConfig } from '../config/types.js';

/** Servers with something in common, found once for each configuration. */
export interface ServerKinds {
  /** Each client has a link of its own to them. */
  readonly perClient: readonly ServerConfig[];
  /** Each user, or each set of values that clients pass on, has a link of its own to them. */
  readonly ownLinks: readonly ServerConfig[];
  /** The names of those that list the login tool while they wait for a login. */
  readonly withLoginTool: ReadonlySet<string>;
  /** Some server gets a token in exchange for that of each caller. */
  readonly exchanges: boolean;
  /** The names of all headers of clients that some server gets, in lower case. */
  readonly passed: readonly string[];
}

const found = new WeakMap<readonly ServerConfig[], ServerKinds>();

export function kindsOf(servers: readonly ServerConfig[]): ServerKinds {
  let kinds = found.get(servers);
  if (!kinds) {
    kinds = {
      perClient: servers.filter(({ session }) => session === 'per-client'),
      ownLinks: servers.filter(
        (server) => (isPerUser(server) && server.session === 'shared') || passedTo(server).length > 0,
      ),
      withLoginTool: new Set(servers.filter(hasLoginTool).map(({ name }) => name)),
      exchanges: servers.some(exchangesTokens),
      passed: [...new Set(servers.flatMap((server) => passedTo(server).map(({ from }) => from)))].sort(),
    };
    found.set(servers, kinds);
  }
  return kinds;
}
