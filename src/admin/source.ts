/** What the admin API gets of a gateway. */
import type { LoadedConfig } from '../config/index.js';
import type { Config, DisabledServer, ServerConfig } from '../config/types.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Caller, Denied, LinkAdmin, Principal, ServerLink, Shown, View } from '../protocol/ports.js';
import type { Approvals } from '../protocol/approvals.js';
import type { GrantView } from '../protocol/authorization-server.js';
import type { Connection, DeviceAttempt, LoginAttempt, LoginOffers, LoginState } from '../protocol/logins.js';
import type { Logger } from '../observe/log.js';
import type { Watch } from './calls.js';
import type { Capture } from './capture.js';
import type { ConsoleKey } from './key.js';
import type { LogRing } from './logs.js';
import type { Fleet, Reloaded, ServerStatus } from './schemas.js';
import type { SeriesRecorder } from './series.js';

export type AdminLink = ServerLink & LinkAdmin<ServerConfig>;

/** A server and its links. */
export interface ServerFacts {
  readonly config: ServerConfig;
  readonly link: AdminLink;
  /** After a reload: replaces `link` once it is up. */
  readonly next: AdminLink | undefined;
  /** The link of legacy clients, where the server speaks both eras. */
  readonly second: AdminLink | undefined;
  readonly status: ServerStatus;
  /** Calls in flight on all its links. */
  readonly inFlight: number;
}

/** A server that the configuration disables. It has no link. */
export interface DisabledFacts {
  readonly config: DisabledServer;
  readonly status: ServerStatus;
}

/** A session, or the subscription stream of a client without one. */
export interface SessionFacts {
  /** undefined: a client without a session. */
  readonly id: string | undefined;
  readonly caller: Caller;
  /** The key of its route. */
  readonly route: string;
  /** Monotonic times; undefined: not known. */
  readonly openedAt: number | undefined;
  readonly lastSeen: number | undefined;
  readonly inFlight: number;
  readonly listening: boolean;
}

/** Logins to servers. What rejects does so with an Error whose message says why, for people. */
export interface LoginActions {
  /** `owner`: EVERYBODY, or the id of a principal. Rejects with an Error whose message says why the login cannot begin. */
  login(server: string, owner: string, scopes: readonly string[], signal: AbortSignal): Promise<LoginAttempt>;
  deviceLogin(
    server: string,
    owner: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<DeviceAttempt>;
  /** Whether a server takes a key instead of a login. */
  takesKey(server: string): boolean;
  /** Keeps the key of a server. Rejects with an Error whose message says why it is not kept. */
  setKey(server: string, owner: string, key: string): Promise<void>;
  /** Returns whether there was a login. */
  logout(
    server: string,
    owner: string,
    options: { readonly forgetClient: boolean },
    signal: AbortSignal,
  ): Promise<boolean>;
  /** `owner`: whose logins are shown where each user has his own; EVERYBODY: nobody's. */
  connections(owner: string): Promise<readonly Connection[]>;
  /** Whose login to a server a principal makes; undefined: he is no person whom the gateway can tell from others. */
  ownerFor(server: string, principal: Principal): string | undefined;
  readonly links: LoginLinks;
  /** Erases logins of servers that are not configured. Returns the names of the servers. */
  prune(): Promise<readonly string[]>;
  find(id: string): Promise<LoginAttempt | undefined>;
  /** Waits until the login has ended, or the signal aborts. undefined: there is no such login. */
  ended(id: string, signal: AbortSignal): Promise<LoginState | undefined>;
  /** `returned`: the query of the address that the authorization server sent the browser to. */
  finish(
    returned: URLSearchParams,
    by: { readonly pasted: true },
    signal: AbortSignal,
  ): Promise<{ readonly server: string }>;
}

/** Links to the page where somebody logs in. */
export interface LoginLinks extends LoginOffers {
  /** The principal whom a link was given to; undefined: there is no such link any more. */
  principalOf(id: string): string | undefined;
  /** Whether a link is for a server that takes a key. */
  takesKey(id: string): boolean;
  /** Sets the key that a link is for. Resolves with the server; undefined: the link is not for him, or is over. `principal`: as for `goOn`. */
  setKey(id: string, principal: Principal | undefined, key: string): Promise<string | undefined>;
  /**
   * Begins the login of a link, or goes on with it in another browser. `principal`: undefined: nobody has to say who he is. Resolves with
   * undefined if the link is not for him, or is over; rejects with an Error whose message says why the login cannot begin.
   */
  goOn(
    id: string,
    principal: Principal | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly attempt: LoginAttempt; readonly cookie: string } | undefined>;
}

/** Sign-ins of people at the gateway itself (`mcp.auth.login`). */
export interface SignInActions {
  /** Whether people sign in here. */
  readonly isOn: boolean;
  /** Those of a principal; undefined: all. The last used first. Rejects if the state cannot be read. */
  grants(principal?: string): Promise<readonly GrantView[]>;
  /** Returns whether there was one. Rejects if the state cannot be changed. */
  endGrant(id: string, why: 'operator' | 'revoked'): Promise<boolean>;
  /** The id of a client. Rejects with an Error whose message says why there is none. */
  printClient(name: string, uris: readonly string[]): Promise<string>;
}

/** What operators do. Each is recorded in the audit log by whoever calls it. */
export interface Actions {
  /** New connections in place of those to a server. false: there is no such server. */
  restart(server: string): boolean;
  /** Turns a server off until a reload. */
  disable(server: string): boolean;
  /** Reads the lists of a server now. Rejects with a GatewayError. undefined: there is no such server. */
  refresh(server: string): Promise<void> | undefined;
  /** Ends sessions and subscription streams. Returns how many there were. */
  endSessions(which: (session: SessionFacts) => boolean): number;
  /** Rejects with an Error whose message says why the configuration is refused. */
  reload(): Promise<Reloaded>;
}

/** Where the events of one watcher go. */
export interface Outlet {
  readonly backlog: number;
  write(text: string): void;
  end(): void;
}

/** Who asks. */
export interface Asker {
  readonly principal: Principal;
  readonly address: string | undefined;
}

/** The file of the configuration. */
export interface ConfigFile {
  readonly path: string;
  /** Rejects with an Error that says why it cannot be read. */
  read(): Promise<string>;
  /** What the gateway would make of a text in its place. Throws ConfigError. */
  load(text: string): LoadedConfig;
  /** Replaces it. Resolves with the path of a copy of the one before. Rejects with an Error, and changes nothing, if it cannot. */
  replace(text: string): Promise<string>;
  /** Puts the text of before back. */
  restore(text: string): Promise<void>;
}

export interface ApprovalNews {
  /** Grows with each question, vote and end that this process makes. */
  readonly changes: number;
  /** How many calls wait for a yes, as of the last look at the state. */
  readonly open: number;
}

/** Calls that wait for a yes. */
export interface ApprovalActions extends Pick<Approvals, 'list' | 'see' | 'vote' | 'withdraw'> {
  /** Whether a rule holds calls. */
  readonly isOn: boolean;
  /** Whether the holder of the console key sits at the machine of the gateway: he may confirm calls in place of their callers. */
  readonly isAtConsole: boolean;
  /** What those see who may see no arguments. */
  readonly news: ApprovalNews;
}

export interface AdminSource {
  readonly approvals: ApprovalActions;
  readonly logins: LoginActions;
  readonly signIns: SignInActions;
  /** undefined: the gateway is part of another program. */
  readonly file: ConfigFile | undefined;
  readonly build: { readonly version: string; readonly git_sha: string };
  /** The name of this replica. */
  readonly replica: string;
  readonly stats: GatewayStats;
  readonly watch: Watch;
  readonly logs: LogRing;
  readonly series: SeriesRecorder;
  readonly key: ConsoleKey;
  readonly capture: Capture;
  readonly log: Logger;
  readonly act: Actions;
  state(): 'starting' | 'serving' | 'draining';
  config(): Config;
  /** Values that no answer may contain. */
  secrets(): readonly string[];
  /** The URL of `/mcp`, as clients use it. */
  endpoint(): string;
  /** The URL of the console. */
  console(): string;
  /** By name. */
  servers(): readonly ServerFacts[];
  disabled(): readonly DisabledFacts[];
  /** Everything that the merged endpoint shows, or that of a profile, without the rules of a policy. */
  view(profile?: string): View;
  profiles(): Config['profiles'];
  sessions(): readonly SessionFacts[];
  /** undefined: the gateway is alone. */
  fleet(): Fleet | undefined;
  permits(principal: Principal, role: 'viewer' | 'operator', path: string): boolean;
  /** Whether a principal may see a server. */
  sees(principal: Principal, server: string): boolean;
  /** Counts a wrong ticket against its address. */
  failed(shown: Shown, path: string): Denied;
  /** For the audit log. */
  acted(act: string, asker: Asker, more?: { readonly server?: string; readonly subject?: string }): void;
  /** Milliseconds between the comments that keep a stream open. */
  keepAliveMs(): number;
}
