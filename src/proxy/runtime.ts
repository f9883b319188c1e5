import type { Authenticator } from '../auth/authenticate.js';
import type { Access } from '../policy/access.js';
import type { Config } from '../config/types.js';

export type GatewayState = 'starting' | 'serving' | 'draining';

/** What a reload replaces, as a whole. Read it when a value is needed, and do not keep it. */
export interface Runtime {
  readonly config: Config;
  readonly auth: Authenticator;
  readonly access: Access;
}
