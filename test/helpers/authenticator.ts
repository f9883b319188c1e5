import {
  createAuthenticator,
  type Authenticator,
  type AuthenticatorDeps,
} from '../../src/auth/authenticate.js';
import type { SmallFetch, SmallRequest } from '../../src/protocol/small-request.js';
import type { AuthConfig } from '../../src/config/index.js';
import { Boundary } from '../../src/observe/boundary.js';
import { silent, type LogFields, type Logger } from '../../src/observe/log.js';
import { GatewayStats } from '../../src/observe/stats.js';
import type { Denied, Principal, Shown } from '../../src/protocol/ports.js';

export type Verdict = Principal | Denied;
type IssuerConfig = AuthConfig['issuers'][number];

const DEFAULTS: AuthConfig = {
  mode: 'bearer',
  tokens: [],
  keys: [],
  keys_file: undefined,
  issuers: [],
  login: undefined,
  resource: 'route',
  scopes: [],
  implies: {},
  client_cert: undefined,
  proxy: undefined,
  admins: [],
  viewers: [],
};

export function issuerConfig(more: Partial<IssuerConfig> = {}): IssuerConfig {
  return {
    name: 'corp',
    issuer: 'https://id.example/t',
    audiences: [],
    clients: [],
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    typ: undefined,
    skew_seconds: 60,
    claims: { id: 'sub', name: 'preferred_username', groups: 'groups' },
    keep: [],
    introspection: undefined,
    ...more,
  };
}

export function keyConfig(
  more: Partial<AuthConfig['keys'][number]> & { sha256: string[] },
): AuthConfig['keys'][number] {
  return {
    name: 'ci',
    groups: [],
    scopes: [],
    expires: undefined,
    disabled: false,
    approver: false,
    ...more,
  };
}

interface TestClock {
  now: number;
  readonly timers: Set<{ due: number; fn: () => void }>;
}

/** An authenticator whose clock and timers move when the test says so. */
export interface Stage {
  readonly auth: Authenticator;
  readonly stats: GatewayStats;
  readonly lines: (readonly [message: string, fields: LogFields | undefined])[];
  /** Every request to an issuer. */
  readonly asked: SmallRequest[];
  readonly clock: TestClock;
  /** Unix ms. */
  readonly now: number;
  /** Moves the clock, and runs the timers that are due. */
  pass(ms: number): void;
  /** Another authenticator in the place of this one, as after a reload. */
  reload(config: Partial<AuthConfig>): Stage;
}

export interface StageOptions extends Partial<
  Pick<AuthenticatorDeps, 'publicUrl' | 'clientAuthorities' | 'fetch' | 'own'>
> {
  readonly previous?: Stage;
}

export function authenticator(config: Partial<AuthConfig>, options: StageOptions = {}): Stage {
  const { previous } = options;
  const clock = previous?.clock ?? { now: Date.UTC(2026, 10, 1), timers: new Set() };
  const asked = previous?.asked ?? [];
  const lines = previous?.lines ?? [];
  const stats = previous?.stats ?? new GatewayStats();
  const log: Logger = {
    ...silent,
    info: (...line) => lines.push(line as never),
    warn: (...line) => lines.push(line as never),
  };
  const send: SmallFetch = options.fetch ?? (() => Promise.reject(new Error('nobody is there')));
  const auth = createAuthenticator(
    { ...DEFAULTS, ...config },
    {
      now: () => clock.now,
      fetch: (request, signal) => {
        asked.push(request);
        return send(request, signal);
      },
      wheel: {
        after(ms, fn) {
          const timer = { due: clock.now + ms, fn };
          clock.timers.add(timer);
          const cancel = (): void => void clock.timers.delete(timer);
          return { cancel, move: cancel, pause: cancel, resume: () => undefined };
        },
      },
      log,
      stats,
      boundary: new Boundary(log, stats.internalErrors),
      publicUrl: 'publicUrl' in options ? options.publicUrl : 'https://gw.example',
      clientAuthorities: options.clientAuthorities,
      own: options.own,
      isOperator: () => false,
      previous: previous?.auth,
    },
  );
  previous?.auth.close();
  const stage: Stage = {
    auth,
    clock,
    stats,
    lines,
    asked,
    get now() {
      return clock.now;
    },
    pass(ms) {
      clock.now += ms;
      for (const timer of [...clock.timers]) {
        if (timer.due > clock.now) continue;
        clock.timers.delete(timer);
        timer.fn();
      }
    },
    reload: (next) => authenticator(next, { ...options, previous: stage }),
  };
  return stage;
}

/** What a request shows. `raw`: headers as they were sent, each name as often as it was. */
export function shown(
  headers: Record<string, string | string[]> = {},
  socket: Shown['socket'] = { remoteAddress: '192.0.2.7', localPort: 8766 },
): Shown {
  const rawHeaders: string[] = [];
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    for (const each of [value].flat()) {
      rawHeaders.push(name, each);
      const before = joined[name.toLowerCase()];
      joined[name.toLowerCase()] = before === undefined ? each : `${before}, ${each}`;
    }
  return { headers: joined, rawHeaders, socket };
}

export const bearer = (token: string, socket?: Shown['socket']): Shown =>
  shown({ Authorization: `Bearer ${token}` }, socket);
