/** A route of the port: its path, who is admitted, and what serves it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GatewayError } from '../../errors.js';
import type { Place } from '../../observe/boundary.js';
import type { Introduced } from '../../protocol/elsewhere.js';
import type { Principal } from '../../protocol/ports.js';
import type { Endpoint } from '../../proxy/gate.js';
import type { OwnRoute } from './guard.js';

/** The ports: that for clients, and that for operators (`admin.port`), if there is one. */
export type Door = 'main' | 'admin';

/** An admitted request. */
export interface Routed {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly door: Door;
  /** Without the query. */
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  /** The server or the profile that the path names. */
  readonly to: Endpoint;
  /** The replica that sent it on, and for whom; absent: the client itself sent it. */
  readonly peer?: Introduced;
}

/** Who is admitted. `mcp`: clients, once the gateway is ready; `self`: every principal, for itself; `viewer` includes operators. */
export type Admitted = 'mcp' | 'self' | 'viewer' | 'operator';

/** Who is admitted to a request: anybody, those who have a role, or nobody, because of an error. */
export type Admission = 'open' | Admitted | GatewayError;

interface Row extends OwnRoute {
  readonly path: string | RegExp;
  /** `main`: only for clients; `operators`: on the port for operators, if there is one; `both`: on every port. */
  readonly on: 'main' | 'operators' | 'both';
  /** Whether an application that somebody signed in for may use it as he may; absent: it may not, where every principal may for itself. */
  forApplications?(request: Routed): boolean;
  /** Errors are sent as problem documents. */
  readonly problems?: true;
  /** The boundary label for exceptions after the handler has returned. */
  readonly place: Place;
}

interface PlainRoute extends Row {
  /** Anybody, without authentication. */
  readonly admits: 'open';
  serve(request: Routed): void | Promise<void>;
}

interface GuardedRoute extends Row {
  readonly admits: Admitted;
  serve(request: Routed, principal: Principal): void | Promise<void>;
}

/** A route whose access depends on the configuration and the request. */
export interface DependingRoute extends Row {
  readonly admits: 'depends';
  admitsFor(request: Routed): Admission | Promise<Admission>;
  /** Without a principal, the request was admitted as `open`. */
  serve(request: Routed, principal?: Principal): void | Promise<void>;
}

export type HttpRoute = PlainRoute | GuardedRoute | DependingRoute;
