/**
 * The counters: plain numeric fields, written on the call path and read by metrics.ts. Durations are in seconds, timestamps in Unix
 * seconds.
 */

import type { Place } from './boundary.js';

/** Upper bounds of the duration histograms, in seconds. */
export const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** Upper bounds of the session duration histogram, in seconds. */
export const SESSION_BUCKETS = [1, 5, 10, 30, 60, 300, 900, 1800, 3600, 21600] as const;

export class Histogram {
  /** One slot per bound and one for +Inf; not cumulative. */
  readonly counts: number[];
  readonly bounds: readonly number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.bounds;
    let slot = 0;
    while (slot < bounds.length && value > (bounds[slot] as number)) slot++;
    this.counts[slot] = (this.counts[slot] as number) + 1;
    this.sum += value;
    this.count++;
  }
}

export type Outcome = 'success' | 'error';

/** A counter by label value; the values are a closed or bounded set. */
export class Tally<K extends string> {
  readonly values = new Map<K, number>();
  add(key: K, by = 1): void {
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }
  get(key: K): number {
    return this.values.get(key) ?? 0;
  }
}

export const TOKEN_REFRESHES = ['success', 'denied', 'error', 'shared'] as const;
export type TokenRefresh = (typeof TOKEN_REFRESHES)[number];
export const LOGIN_OUTCOMES = ['success', 'denied', 'expired', 'refused'] as const;
export type LoginOutcome = (typeof LOGIN_OUTCOMES)[number];
export const CREDENTIAL_STATES = ['valid', 'refreshing', 'failing', 'login_required'] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

export type ToolErrorReason =
  | 'upstream_disconnected'
  | 'upstream_timeout'
  | 'upstream_auth_failed'
  | 'login_required'
  | 'upstream_protocol_error'
  | 'upstream_returned_error'
  | 'internal'
  | 'busy'
  | 'cancelled';

/** One `{server, tool}` series, created at the first call of the tool. */
export class ToolStats {
  readonly tool: string;
  readonly duration = new Histogram(DURATION_BUCKETS);
  calls = 0;
  readonly errors = new Tally<ToolErrorReason>();
  constructor(tool: string) {
    this.tool = tool;
  }
}

export type SessionResetReason = 'unknown_session' | 'expired' | 'terminated';

/** How a parked call ended. */
export type ParkedResult = 'answered' | 'expired' | 'refused' | 'cancelled';

/** All counters of one server. They survive a restart and are dropped with the server. */
export class ServerStats {
  readonly server: string;
  connected = false;
  toolsCount = 0;
  reconnects = 0;
  /** Unix seconds of the last contact; -1 before the first. */
  lastSeen = -1;
  readonly initialize = new Tally<Outcome>();
  readonly initializeDuration = new Histogram(DURATION_BUCKETS);
  readonly healthChecks = new Tally<'success' | 'failure'>();
  readonly reconnectAttempts = new Tally<Outcome>();
  /** Total seconds in backoff. */
  backoffSeconds = 0;
  inBackoff = false;
  currentBackoffSeconds = 0;
  readonly sessionResets = new Tally<SessionResetReason>();
  readonly toolsRefresh = new Tally<Outcome>();
  readonly tokenRefreshes = new Tally<TokenRefresh>();
  readonly logins = new Tally<LoginOutcome>();
  /** undefined: it has no token that changes. */
  credential: CredentialState | undefined;
  readonly toolsRefreshDuration = new Histogram(DURATION_BUCKETS);
  /** Unix seconds; 0 before the first. */
  toolsLastRefresh = 0;
  /** Messages from the server that were dropped: unreadable, or too large to be buffered. */
  unreadable = 0;
  bytesSent = 0;
  bytesReceived = 0;
  inFlight = 0;
  /** Requests to clients: `${method}\0${result}`, both from closed sets. */
  readonly inputRequests = new Tally<string>();
  /** Empty until known. */
  era: '' | 'legacy' | 'modern' = '';
  revision = '';
  /** The revision of the additional link for legacy clients; empty: there is none. */
  legacyRevision = '';
  readonly tools = new Map<string, ToolStats>();

  constructor(server: string) {
    this.server = server;
  }

  /** The series of one tool, created at its first call. `tool` must be a listed name or `unknown`. */
  tool(tool: string): ToolStats {
    let stats = this.tools.get(tool);
    if (!stats) this.tools.set(tool, (stats = new ToolStats(tool)));
    return stats;
  }
}

export type TerminationReason =
  | 'client_delete'
  | 'idle_timeout'
  | 'gateway_shutdown'
  | 'init_failed'
  | 'evicted'
  | 'auth_changed'
  | 'operator'
  | 'server_removed';

/** Why a credential is refused: the label `reason` of `mcpstead_mcp_auth_failures_total`. */
export const AUTH_FAILURES = [
  'missing_header',
  'bad_format',
  'wrong_token',
  'unknown_key',
  'expired',
  'not_yet_valid',
  'unknown_issuer',
  'wrong_audience',
  'wrong_client',
  'bad_signature',
  'bad_algorithm',
  'bound_token',
  'inactive',
  'bad_proxy',
  'too_many',
  /** The keys or the answer of an issuer cannot be had now. */
  'issuer_unavailable',
] as const;
export type AuthFailureReason = (typeof AUTH_FAILURES)[number];

/** The state of an issuer of access tokens. */
export class IssuerStats {
  /** Its last answer was usable. */
  up = false;
  /** Unix seconds when its keys were read; 0: never. */
  keysRead = 0;
}

/** How sign-ins at the gateway itself end: the label `result` of `mcpstead_login_total`. */
export const SIGN_IN_RESULTS = [
  'success',
  'cancelled',
  'denied',
  'not_allowed',
  'unusable_claims',
  'unknown_client',
  'client_refused',
  'client_unreachable',
  'wrong_redirect',
  'wrong_request',
  'foreign_origin',
  'not_started',
  'too_large',
  'limited',
  'provider_failed',
] as const;
export type SignInResult = (typeof SIGN_IN_RESULTS)[number];
export const TOKEN_RENEWALS = ['success', 'refused', 'unavailable', 'error'] as const;
export const REGISTRATIONS = ['success', 'refused', 'limited'] as const;
export const PROVIDER_OPERATIONS = [
  'discovery',
  'jwks',
  'code',
  'refresh',
  'userinfo',
  'revocation',
] as const;
export type ProviderOperation = (typeof PROVIDER_OPERATIONS)[number];

/** The counters of the authorization server in the gateway. */
export class SignInStats {
  readonly results = new Tally<SignInResult>();
  readonly renewals = new Tally<(typeof TOKEN_RENEWALS)[number]>();
  /** Registrations, and documents that were read. */
  readonly clients = {
    dcr: new Tally<(typeof REGISTRATIONS)[number]>(),
    cimd: new Tally<(typeof REGISTRATIONS)[number]>(),
  };
  readonly limited = new Tally<'register' | 'page' | 'token' | 'revoke'>();
  readonly provider = new Map<ProviderOperation, Histogram>();
  /** How many grants there are. */
  grants = 0;

  measured(operation: ProviderOperation, seconds: number): void {
    let histogram = this.provider.get(operation);
    if (!histogram) this.provider.set(operation, (histogram = new Histogram(DURATION_BUCKETS)));
    histogram.observe(seconds);
  }
}

export const APPROVAL_RESULTS = [
  'sent',
  'denied',
  'expired',
  'superseded',
  'policy_changed',
  'tool_changed',
  'server_changed',
  'withdrawn',
] as const;
export const WEBHOOK_RESULTS = ['delivered', 'failed', 'dropped'] as const;
/** Seconds that people take to answer. */
const APPROVAL_BUCKETS = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];

/** The counters of calls that wait for a yes. */
export class ApprovalStats {
  open = 0;
  waiting = 0;
  oldestSeconds = 0;
  /** By rule. */
  readonly results = new Map<string, Tally<(typeof APPROVAL_RESULTS)[number]>>();
  readonly waits = new Histogram(APPROVAL_BUCKETS);
  readonly webhook = new Tally<(typeof WEBHOOK_RESULTS)[number]>();

  ended(rule: string, result: (typeof APPROVAL_RESULTS)[number], seconds: number): void {
    let results = this.results.get(rule);
    if (!results) this.results.set(rule, (results = new Tally()));
    results.add(result);
    this.waits.observe(seconds);
  }
}

/** What was decided about a request. `hide`: for its caller, what it names does not exist. */
export type Decision = 'allow' | 'hide' | 'deny' | 'step_up' | 'limit' | 'hold';

export class MethodStats {
  success = 0;
  error = 0;
  readonly duration = new Histogram(DURATION_BUCKETS);
}

/** What became of requests that were sent to another replica: the label `result` of `mcpstead_fleet_forwarded_total`. */
export const FORWARDED = ['answered', 'moved', 'refused', 'lost'] as const;

/** The counters of a replica in a fleet. */
export class FleetStats {
  /** Live replicas, this one among them. */
  replicas = 0;
  storeUp = false;
  /** Seconds that commands took, by script. */
  readonly store = new Map<string, Histogram>();
  readonly forwarded = new Tally<(typeof FORWARDED)[number]>();
  /** Requests that wait until it is known where their session is. */
  held = 0;
  adopted = 0;
  handedOver = 0;
  /** Sessions that went on elsewhere without being handed over. */
  superseded = 0;
  /** Servers whose only process is run here. */
  readonly leases = new Map<string, boolean>();
  /** Values in the store, and requests of peers, that are not of this fleet. */
  strangers = 0;
  /** Calls that a shared limit judged by what this replica alone has counted. */
  judgedAlone = 0;
  /** undefined: not known. */
  clockOffsetSeconds: number | undefined;

  measured(op: string, seconds: number): void {
    let histogram = this.store.get(op);
    if (!histogram) this.store.set(op, (histogram = new Histogram(DURATION_BUCKETS)));
    histogram.observe(seconds);
  }
}

/** All counters of one gateway. */
export class GatewayStats {
  readonly startedAt = Date.now() / 1000;
  sessionsActive = 0;
  sessionsTotal = 0;
  readonly sessionDuration = new Histogram(SESSION_BUCKETS);
  readonly terminations = new Tally<TerminationReason>();
  /** By method label: a known method, or `unknown`, `invalid`, `listen`, `terminate`. */
  readonly methods = new Map<string, MethodStats>();
  readonly authAttempts = new Tally<'success' | 'failure'>();
  readonly authFailures = new Tally<AuthFailureReason>();
  /** Names of definitions by server, with `pin` on. */
  readonly pins = new Map<string, { readonly approved: number; readonly pending: number }>();
  /** Estimated tokens of the tools of servers and profiles, by name, as far as they were counted. */
  readonly toolTokens = { servers: new Map<string, number>(), profiles: new Map<string, number>() };
  /** Requests that a policy decided about. */
  readonly policyDecisions = new Tally<Decision>();
  readonly reloads = new Tally<Outcome>();
  /** Unix seconds; 0 before the first. */
  lastReload = 0;
  /** When the certificate of the port expires, in Unix seconds; undefined: there is no TLS. */
  tlsExpires: number | undefined;
  readonly eventsDropped = new Tally<string>();
  /** Bytes of `limits.buffered_bytes` in use. */
  bufferedBytes = 0;
  /** undefined: the gateway is alone. */
  fleet: FleetStats | undefined;
  /** Exceptions caught at a boundary: see boundary.ts. */
  readonly internalErrors = new Tally<Place>();
  /** Calls that wait for input from their clients. */
  parked = 0;
  readonly parkedTotal = new Tally<ParkedResult>();
  /** Calls that a rule of limits.rules refused, by its name. */
  readonly rateLimited = new Tally<string>();
  /** Lines of the audit log that were lost. */
  auditDropped = 0;
  readonly servers = new Map<string, ServerStats>();
  /** By name in the configuration. */
  readonly issuers = new Map<string, IssuerStats>();
  /** undefined: the gateway signs nobody in. */
  signIns: SignInStats | undefined;
  /** undefined: no call has waited for a yes. */
  approvals: ApprovalStats | undefined;

  /** The counters of one method. `label` must come from a closed set. */
  method(label: string): MethodStats {
    let stats = this.methods.get(label);
    if (!stats) this.methods.set(label, (stats = new MethodStats()));
    return stats;
  }

  server(name: string): ServerStats {
    let stats = this.servers.get(name);
    if (!stats) this.servers.set(name, (stats = new ServerStats(name)));
    return stats;
  }
}
