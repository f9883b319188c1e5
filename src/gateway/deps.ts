/** What a gateway is made with. */
import type { LoadedConfig } from '../config/index.js';
import type { ServerConfig } from '../config/types.js';
import type { HttpPortDeps } from '../downstream/http/server.js';
import type { Logger } from '../observe/log.js';
import type { ChildLease } from '../protocol/child-lease.js';
import type { PeerClients, PeerLink } from '../protocol/peer-clients.js';
import type { SessionStore, SessionStoreOptions } from '../session/store.js';

export interface BuildInfo {
  readonly version: string;
  readonly git_sha: string;
}

/** What a gateway needs of other replicas for servers that they run for it, or that it runs for them. */
export interface PeerDeps {
  /** Reads which clients they name. */
  readonly clients: PeerClients;
  /** The link to the replica that runs a server; undefined: this one runs it. */
  readonly linkOf: (config: ServerConfig) => PeerLink | undefined;
  /** The right to run its children; undefined: no other replica runs any. Asked after `linkOf`. */
  readonly leaseOf?: (server: string) => ChildLease | undefined;
  /** There is no such server any more. */
  readonly removed?: (server: string) => void;
  /** What the port for them needs; undefined: the gateway has it from its fleet, or has none. */
  readonly door?: Pick<HttpPortDeps, 'replicas'>;
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
  /** undefined: the gateway runs all of its servers itself. */
  readonly peers?: PeerDeps | undefined;
  /** undefined: sessions are kept in this process. */
  readonly sessions: ((options: SessionStoreOptions) => SessionStore) | undefined;
}
