import type { Authenticator } from '../auth/authenticate.js';
import type { Config } from '../config/types.js';

export type GatewayState = 'starting' | 'serving' | 'draining';

/** Replaced as a whole by a reload. Read it once per request, and do not keep it longer. */
export interface Runtime {
  readonly config: Config;
  readonly auth: Authenticator;
}
