import type { Authenticator } from '../auth/authenticate.js';
import type { Config } from '../config/types.js';

/** What a reload replaces, whole. A request reads it once; what lives longer keeps none of it. */
export interface Runtime {
  readonly config: Config;
  readonly auth: Authenticator;
}
