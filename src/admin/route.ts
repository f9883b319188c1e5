/** What a route of the admin API is, and how a path finds one. */
import type { z } from 'zod';
import { GatewayError } from '../errors.js';
import type { Denied, Shown } from '../protocol/ports.js';
import type { AdminSource, Asker, Outlet } from './source.js';

export type Method = 'GET' | 'POST' | 'DELETE';

/**
 * Who is admitted: anybody; every principal, for himself; those who may look; those who may act. `holder`: as `self`, and with `mode: none`
 * anybody: the path holds what only they know.
 */
export type Who = 'open' | 'holder' | 'self' | 'viewer' | 'operator';

/** A request to a route, read by its schemas. */
export interface Asked<Query, Body> {
  readonly source: AdminSource;
  /** Decoded, by the name in the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** Who asks; a route that is open to all has no use for it. */
  readonly asker: Asker;
  /** Whether the sender has shown who he is. */
  readonly isKnown: boolean;
  readonly shown: Shown;
  readonly path: string;
  readonly ifMatch: string | undefined;
}

type Given<Value> = Value | WithHeaders<Value>;

/**
 * Whether another replica of a fleet answers in place of this one (`?replica=ID`), or all of them (`?replica=all`). `none`: what it is about
 * belongs to no replica.
 */
export type Replicated = 'none' | 'one' | 'all';

export interface RouteSpec<
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
> {
  readonly method: Method;
  /** Below `/-/api/v1/`, with parameters in braces: `servers/{server}`. */
  readonly path: string;
  readonly who: Who;
  /** What it does, for the documentation. */
  readonly summary: string;
  readonly query?: Query;
  readonly body?: Body;
  /** The largest body in bytes; default: 64 KB. */
  readonly bytes?: number;
  /** Default: see replicatedOf. */
  readonly replicas?: Replicated;
  /** undefined: a stream of events. */
  readonly answer?: Answer;
  serve(
    asked: Asked<z.output<Query>, z.output<Body>>,
  ): Given<z.output<Answer>> | Promise<Given<z.output<Answer>>> | Streamed;
}

/** What has no `replicas`: of viewers and operators, `all` for what is read in one answer, else `one`; of others `none`. */
export function replicatedOf({ method, who, answer, replicas }: RouteSpec): Replicated {
  if (replicas) return replicas;
  if (who !== 'viewer' && who !== 'operator') return 'none';
  return method === 'GET' && answer ? 'all' : 'one';
}

/** The answer is a stream. */
export class Streamed {
  readonly open: (outlet: Outlet) => () => void;

  constructor(open: (outlet: Outlet) => () => void) {
    this.open = open;
  }
}

/** An answer with headers of its own: names and values in turn. */
export class WithHeaders<Value> {
  readonly value: Value;
  readonly headers: readonly string[];

  constructor(value: Value, headers: readonly string[]) {
    this.value = value;
    this.headers = headers;
  }
}

/** A request that cannot be done. `status`: undefined: that of the code. `action`: what helps. */
export class Refused extends Error {
  readonly error: GatewayError;
  readonly status: number | undefined;
  readonly action: string | undefined;

  constructor(code: GatewayError['code'], message: string, more: { status?: number; action?: string } = {}) {
    super(message);
    this.error = new GatewayError(code, message);
    this.status = more.status;
    this.action = more.action;
  }
}

/** A wrong credential in the body. */
export class WrongCredential extends Error {
  readonly denied: Denied;

  constructor(denied: Denied) {
    super('wrong credential');
    this.denied = denied;
  }
}

/** Types the members of a route by its schemas. */
export function route<Query extends z.ZodType, Body extends z.ZodType, Answer extends z.ZodType>(
  spec: RouteSpec<Query, Body, Answer>,
): RouteSpec {
  return spec;
}

/** The parameters of a path; undefined: it is not one of this pattern. */
export function match(pattern: string, path: string): Record<string, string> | undefined {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const value = given[i] as string;
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (part !== value) return undefined;
      continue;
    }
    if (value === '') return undefined;
    try {
      params[name] = decodeURIComponent(value);
    } catch {
      return undefined;
    }
  }
  return params;
}
