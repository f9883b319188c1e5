/** What callers are answered while a server waits for a login. */
import { isPerUser } from '../config/credentials.js';
import type { Config } from '../config/types.js';
import { CallerLogins, type CallerLoginsDeps } from '../proxy/logins.js';

export function callerLogins(config: () => Config, deps: Omit<CallerLoginsDeps, 'isPerUser'>): CallerLogins {
  return new CallerLogins({
    ...deps,
    isPerUser: (name) => config().servers.some((server) => server.name === name && isPerUser(server)),
  });
}
