/** What a gateway is made with. */
import type { LoadedConfig } from '../config/index.js';
import type { Logger } from '../observe/log.js';
import type { SessionStore, SessionStoreOptions } from '../session/store.js';

export interface BuildInfo {
  readonly version: string;
  readonly git_sha: string;
}

export interface GatewayDeps {
  readonly logger: Logger;
  readonly build: BuildInfo;
  /** Names the proxies and certificates for requests to issuers. */
  readonly env: NodeJS.ProcessEnv;
  /** Reads the configuration again. */
  readonly reload: () => LoadedConfig;
  /** undefined: the gateway is part of another program. */
  readonly configFile: string | undefined;
  /** undefined: sessions are kept in this process. */
  readonly sessions: ((options: SessionStoreOptions) => SessionStore) | undefined;
}
