/** The admin API: finds the route of a request, reads the request by its schemas, and makes the answer. Loaded at the first request. */
import type { z } from 'zod';
import { GatewayError } from '../errors.js';
import { turns } from '../lib/turns.js';
import type { Denied, Principal, Shown } from '../protocol/ports.js';
import { isObject } from '../wire/json.js';
import { EventHub } from './events.js';
import {
  match,
  replicatedOf,
  Refused,
  Streamed,
  WithHeaders,
  WrongCredential,
  type Method,
  type Replicated,
  type RouteSpec,
  type Who,
} from './route.js';
import { createRoutes } from './routes.js';
import type { AdminSource, Outlet } from './source.js';

const BODY_BYTES = 65_536;
const PREFIX = '/-/api/v1/';

/** What a transport hands over. */
export interface Received {
  readonly path: string;
  readonly query: string;
  readonly body: unknown;
  /** undefined: the route is open. */
  readonly principal: Principal | undefined;
  readonly shown: Shown;
  readonly ifMatch: string | undefined;
}

export type Answered =
  | { readonly status: number; readonly body: string; readonly headers?: readonly string[] }
  | { readonly open: (outlet: Outlet) => () => void }
  | {
      readonly problem: {
        readonly error: GatewayError;
        readonly status?: number | undefined;
        readonly action?: string | undefined;
      };
    }
  | { readonly denied: Denied };

export interface FoundRoute {
  readonly who: Who;
  readonly bytes: number;
  readonly replicas: Replicated;
  serve(received: Received): Promise<Answered>;
}

export interface AdminApi {
  readonly routes: readonly RouteSpec[];
  find(method: string, path: string): FoundRoute | GatewayError;
  /** Ends the streams of all watchers. */
  close(): void;
}

/** Nobody: the sender of a request to a route that is open. */
const NOBODY: Principal = {
  id: 'anonymous',
  kind: 'anonymous',
  name: 'anonymous',
  groups: [],
  scopes: [],
  claims: {},
  credential: '',
  expires: undefined,
};

/** `guard`: wraps what a timer runs. */
export function createApi(source: AdminSource, guard: (work: () => void) => () => void): AdminApi {
  const hub = new EventHub(source, guard);
  const routes = createRoutes(hub);

  async function serve(
    spec: RouteSpec,
    params: Readonly<Record<string, string>>,
    received: Received,
  ): Promise<Answered> {
    const { principal = NOBODY, shown } = received;
    try {
      const answer = await spec.serve({
        source,
        params,
        query: read(spec.query, Object.fromEntries(new URLSearchParams(received.query)), 'the query'),
        body: read(spec.body, received.body ?? {}, 'the body'),
        asker: { principal, address: shown.socket.remoteAddress },
        isKnown: received.principal !== undefined,
        shown,
        path: PREFIX + received.path,
        ifMatch: received.ifMatch,
      });
      if (answer instanceof Streamed) return answer;
      if (answer instanceof WithHeaders)
        return { status: 200, body: await jsonInTurns(answer.value), headers: answer.headers };
      return { status: 200, body: await jsonInTurns(answer) };
    } catch (thrown) {
      if (thrown instanceof WrongCredential) return thrown;
      if (thrown instanceof Refused) return { problem: thrown };
      if (thrown instanceof GatewayError) return { problem: { error: thrown } };
      throw thrown;
    }
  }

  return {
    routes,
    find(method, path) {
      const wanted = method === 'HEAD' ? 'GET' : method;
      const allowed: Method[] = [];
      for (const spec of routes) {
        const params = match(spec.path, path);
        if (!params) continue;
        if (spec.method === wanted)
          return {
            who: spec.who,
            bytes: spec.bytes ?? BODY_BYTES,
            replicas: replicatedOf(spec),
            serve: (received) => serve(spec, params, received),
          };
        allowed.push(spec.method);
      }
      const shown = `/-/api/v1/${path.slice(0, 128)}`;
      return allowed.length > 0
        ? new GatewayError('method_not_allowed', `${shown} takes ${allowed.join(' and ')} alone`)
        : new GatewayError('not_found', `there is no ${shown}`);
    },
    close() {
      hub.close();
    },
  };
}

/** JSON of an answer. Long lists are written in steps that leave the event loop to other work. */
async function jsonInTurns(answer: unknown): Promise<string> {
  if (!isObject(answer)) return JSON.stringify(answer);
  const members: string[] = [];
  for (const [name, value] of Object.entries(answer)) {
    if (value === undefined) continue;
    const json = Array.isArray(value) ? await listInTurns(value) : JSON.stringify(value);
    members.push(`${JSON.stringify(name)}:${json}`);
  }
  return `{${members.join(',')}}`;
}

async function listInTurns(list: readonly unknown[]): Promise<string> {
  const items: string[] = [];
  for (const item of list) {
    items.push(JSON.stringify(item));
    if (turns.isOver()) await turns.next();
  }
  return `[${items.join(',')}]`;
}

/** Throws a Refused that says what is wrong. */
function read(schema: z.ZodType | undefined, value: unknown, what: string): unknown {
  if (!schema) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const why = result.error.issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
    .join('; ');
  throw new Refused('invalid_params', `${what} is not as expected: ${why.slice(0, 512)}`, {
    status: 400,
    action: 'see docs/admin-api.md',
  });
}
