/** The admin API below `/-/api/v1/`, and the streams of its events. What is behind it is loaded at the first request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Denied, Principal, Shown } from '../../protocol/ports.js';
import { readJson } from '../../wire/json.js';
import { readBody } from './body.js';
import { EVENT_STREAM } from './event-stream.js';
import { sendDenied } from './denied.js';
import { API_HEADERS, sendProblem } from './problem.js';

export const API_PATH = '/-/api/v1/';

/** A request that its route admits. */
export interface ApiRequest {
  /** Below `/-/api/v1/`. */
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
  /** JSON of the body; undefined: there is none, or it cannot be read. */
  readonly body: unknown;
  /** undefined: the route is open. */
  readonly principal: Principal | undefined;
  readonly shown: Shown;
  readonly ifMatch: string | undefined;
}

/** Where the events of a stream go. */
export interface ApiOutlet {
  /** Bytes that wait for the client to read. */
  readonly backlog: number;
  write(text: string): void;
  end(): void;
}

export type ApiAnswer =
  | { readonly status: number; readonly body: string; readonly headers?: readonly string[] }
  /** Begins a stream. `open` returns a function that is called once it has ended. */
  | { readonly open: (outlet: ApiOutlet) => () => void }
  | { readonly problem: ApiProblem }
  /** The credential in the body is wrong. */
  | { readonly denied: Denied };

export interface ApiProblem {
  readonly error: GatewayError;
  /** undefined: that of the error's code. */
  readonly status?: number | undefined;
  /** What helps; undefined: what usually helps. */
  readonly action?: string | undefined;
}

export interface ApiRoute {
  /** `holder`: as `self`, and with `mode: none` anybody. */
  readonly who: 'open' | 'holder' | 'self' | 'viewer' | 'operator';
  /** The largest body. */
  readonly bytes: number;
  /** Whether another replica may answer in place of this one, or all of them. */
  readonly replicas: 'none' | 'one' | 'all';
  /** Rejects only with what is a bug. */
  serve(request: ApiRequest): Promise<ApiAnswer>;
}

export interface Api {
  /** Whether the console and its API are served. */
  readonly enabled: boolean;
  /** The route for a method and a path below `/-/api/v1/`, or why there is none. Never rejects. */
  find(method: string, path: string): Promise<ApiRoute | GatewayError>;
  /** The holder of the console key; undefined: no such key is shown. */
  authenticate(shown: Shown, path: string): Promise<Principal | Denied> | undefined;
}

export interface ApiDeps {
  readonly budget: Budget;
  readonly boundary: Boundary;
}

/**
 * Answers in place of the route, once the body is read. `own`: asks the route, with the bodies and the problems that it has. Rejects only
 * with what is a bug.
 */
export type Across = (body: Buffer | undefined, own: () => Promise<ApiAnswer>) => Promise<void>;

/**
 * Reads the body, asks the route, and sends the answer. `permits`: whether the sender is still admitted once the body is read. `across`:
 * undefined: this replica alone answers.
 */
export async function serveApi(
  { budget }: ApiDeps,
  route: ApiRoute,
  { req, res }: { readonly req: IncomingMessage; readonly res: ServerResponse },
  request: Omit<ApiRequest, 'body' | 'ifMatch'>,
  permits: () => GatewayError | undefined,
  across?: Across,
): Promise<void> {
  const read = hasBody(req)
    ? await bodyOf(req, res, route.bytes, budget)
    : { body: undefined, release: () => undefined };
  if (read === undefined) return;
  try {
    if (read instanceof GatewayError) return sendProblem(res, read);
    const { body } = read;
    const value = body === undefined ? undefined : readJson(body, route.bytes);
    if (body !== undefined && value === undefined)
      return sendProblem(res, new GatewayError('parse_error', 'the body is not JSON'), [], {
        action: 'send a JSON object',
      });
    const refusal = permits();
    if (refusal) return sendProblem(res, refusal);
    const ifMatch = req.headers['if-match'];
    const own = (): Promise<ApiAnswer> => route.serve({ ...request, body: value, ifMatch });
    if (across) return await across(body, own);
    const answer = await own();
    if (!res.destroyed) send(req, res, answer);
  } finally {
    if (!(read instanceof GatewayError)) read.release();
  }
}

/** Answers with a problem, without reading the body. */
export function refuseApi(req: IncomingMessage, res: ServerResponse, { error, ...more }: ApiProblem): void {
  req.resume();
  sendProblem(res, error, [], more);
}

function send(req: IncomingMessage, res: ServerResponse, answer: ApiAnswer): void {
  if ('problem' in answer) {
    const { error, ...more } = answer.problem;
    return sendProblem(res, error, [], more);
  }
  if ('denied' in answer) return sendDenied(res, answer.denied, sendProblem);
  if ('open' in answer) {
    if (req.method !== 'HEAD') return stream(res, answer.open);
    res.writeHead(200, [...EVENT_STREAM]).end();
    return;
  }
  const { status, body, headers = [] } = answer;
  const own = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))];
  res.writeHead(status, [...own, ...API_HEADERS, ...headers]);
  if (req.method === 'HEAD') res.end();
  else res.end(body);
}

function stream(res: ServerResponse, open: (outlet: ApiOutlet) => () => void): void {
  res.writeHead(200, [...EVENT_STREAM, 'X-Content-Type-Options', 'nosniff']);
  res.flushHeaders();
  const left = open({
    get backlog() {
      return res.destroyed ? 0 : res.writableLength;
    },
    write(text) {
      if (!res.writableEnded && !res.destroyed) res.write(text);
    },
    end() {
      // A client that does not read gets no orderly end.
      if (res.writableLength > 0) res.destroy();
      else res.end();
    },
  });
  res.on('close', left);
}

function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  return coding !== undefined || (length !== undefined && Number(length) > 0);
}

/** undefined: the client has gone. */
function bodyOf(
  req: IncomingMessage,
  res: ServerResponse,
  bytes: number,
  budget: Budget,
): Promise<{ readonly body: Buffer; release(): void } | GatewayError | undefined> {
  return new Promise((resolve) => {
    readBody(req, res, bytes, budget, req.socket, (body, error, held) => {
      if (error) return resolve(error);
      resolve(body && { body, release: () => held?.release() });
    });
  });
}
