/**
 * Requests of the admin API for another replica of the fleet (`?replica=ID`), or for all of them (`?replica=all`). This replica has
 * authenticated the operator and checked the role; the other one gets both in the sealed header, and checks the role again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import { Pieces } from '../../lib/pieces.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { HopHandler, HopRequest } from '../../protocol/elsewhere.js';
import type { Principal } from '../../protocol/ports.js';
import { objectOf, readJson, textOf } from '../../wire/json.js';
import type { Across, ApiAnswer, ApiProblem, ApiRoute } from './api.js';
import { hopAnswer } from './hop-answer.js';
import { API_HEADERS, problemStatus, sendProblem } from './problem.js';
import type { PassedStreams } from './passed-streams.js';
import type { LiveReplica, Replicas } from './replicas.js';
import { breakOff } from './respond.js';

/** How long one replica may take to answer, and to do something; a stream may go on. */
const ANSWER_MS = 30_000;
/** How long each of all replicas may take to tell something. */
const READ_MS = 2000;
/** The largest answer of each of all replicas, in bytes. */
const MAX_ANSWER_BYTES = 4_194_304;
/** Longest reason in a row, in characters. */
const MAX_REASON = 1024;
/** Replicas that an error names, at the most. */
const MOST_NAMED = 16;
const MAX_SHOWN = 64;

/** Headers of requests and answers that go on, in lower case. */
const REQUEST_HEADERS = ['content-type', 'accept', 'if-match'];
const ANSWER_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'cache-control',
  'etag',
  'retry-after',
  'x-accel-buffering',
  'x-content-type-options',
]);

export interface AcrossDeps {
  readonly replicas?: Replicas | undefined;
  readonly budget: Budget;
  readonly wheel: Wheel;
  readonly boundary: Boundary;
  readonly passed: PassedStreams;
}

/** An admitted request. */
export interface AcrossRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly path: string;
  /** Without `replica`. */
  readonly query: string;
  readonly principal: Principal;
}

export interface Chosen {
  /** `own`: this replica alone; otherwise those that are asked. */
  readonly target: 'own' | LiveReplica | readonly LiveReplica[];
  /** The query without `replica`. */
  readonly query: string;
}

/** Which replicas a query asks for. `isSent`: another replica has sent the request here. */
export function chooseReplicas(
  query: string,
  { replicas: allowed }: Pick<ApiRoute, 'replicas'>,
  replicas: Replicas | undefined,
  isSent: boolean,
): Chosen | ApiProblem {
  if (query === '') return { target: 'own', query };
  const members = new URLSearchParams(query);
  if (!members.has('replica')) return { target: 'own', query };
  const [wanted = '', ...more] = members.getAll('replica');
  members.delete('replica');
  const rest = members.toString();
  if (wanted === '' && more.length === 0) return { target: 'own', query: rest };
  if (isSent) return refused('a replica sent this request on: it is not sent on again', 'leave out ?replica');
  if (!replicas)
    return refused(
      'this gateway is alone: it has no replicas to choose from',
      'leave out ?replica, or set fleet.store in the configuration',
    );
  if (more.length > 0) return refused('the query names replica more than once', 'name one replica, or all');
  if (allowed === 'none')
    return refused('this route has the same answer at every replica', 'leave out ?replica');
  const live = replicas.live();
  if (wanted === 'all') {
    if (allowed === 'all') return { target: live, query: rest };
    return refused(
      'this route does not take replica=all: streams, and what one replica does, are for one replica',
      'name one replica; POST /-/reload?fleet reloads all of them',
    );
  }
  const found = live.find(({ id }) => id === wanted);
  if (found) return { target: found.id === replicas.self ? 'own' : found, query: rest };
  const shown = live.slice(0, MOST_NAMED).map(({ id, name }) => `${id} (${name.slice(0, MAX_SHOWN)})`);
  if (live.length > MOST_NAMED) shown.push(`${live.length - MOST_NAMED} more`);
  return {
    error: new GatewayError(
      'not_found',
      `there is no live replica '${wanted.slice(0, MAX_SHOWN)}': the live ones are ${shown.join(', ')}`,
    ),
    action: 'choose one of them: a replica has another id after each start',
  };
}

export function isProblem(chosen: Chosen | ApiProblem): chosen is ApiProblem {
  return 'error' in chosen;
}

function refused(message: string, action: string): ApiProblem {
  return { error: new GatewayError('invalid_request', message), action };
}

/** What answers in place of the route; undefined: this replica alone answers. */
export function acrossTo({ target }: Chosen, deps: AcrossDeps, request: AcrossRequest): Across | undefined {
  const { replicas } = deps;
  if (target === 'own' || !replicas) return undefined;
  if ('id' in target) return (body) => passOn({ ...deps, replicas }, request, target, body);
  return (body, own) => askAll({ ...deps, replicas }, request, target, body, own);
}

type Deps = AcrossDeps & { readonly replicas: Replicas };

function hopRequest(
  { replicas }: Deps,
  { req, path, query, principal }: AcrossRequest,
  to: string,
  body: Buffer | undefined,
): HopRequest {
  const headers = replicas.introduce(to, { principal, remote: req.socket, headers: undefined });
  for (const name of REQUEST_HEADERS) {
    const value = req.headers[name];
    if (typeof value === 'string') headers.push(name, value);
  }
  return {
    method: req.method ?? 'GET',
    path: query === '' ? path : `${path}?${query}`,
    headers,
    body: body ?? null,
  };
}

/** Sends a request to one replica, and its answer back as it comes. Never rejects. */
function passOn(
  deps: Deps,
  request: AcrossRequest,
  to: LiveReplica,
  body: Buffer | undefined,
): Promise<void> {
  const { replicas, wheel } = deps;
  const { res } = request;
  return new Promise((resolve) => {
    // The exchange may fail before `send` returns.
    let isOver = false;
    const done = (): void => {
      isOver = true;
      timer.cancel();
      res.off('close', closed);
      resolve();
    };
    const failed = (why: string): void => {
      if (isOver) return;
      done();
      // A partial answer must not look complete.
      if (res.headersSent) breakOff(res);
      else sendProblem(res, new GatewayError('unavailable', `replica ${named(to)} ${why}`), [], UNANSWERED);
    };
    const closed = (): void => {
      leave?.();
      done();
    };
    const timer = wheel.after(ANSWER_MS, () => {
      leave?.();
      failed(`did not answer within ${ANSWER_MS / 1000} s${mayHaveRun(request)}`);
    });
    const handler: HopHandler = {
      ...hopAnswer(deps, res, {
        keeps: (name) => ANSWER_HEADERS.has(name),
        streams: () => {
          timer.cancel();
        },
        ended: done,
        left: closed,
      }),
      said() {
        failed('did not take the request');
      },
      failed(sent) {
        failed(sent ? `broke off${mayHaveRun(request)}` : 'cannot be reached');
      },
    };
    const leave = replicas.send(to.id, hopRequest(deps, request, to.id, body), handler);
    if (!leave) failed('cannot be reached');
    else if (res.destroyed) closed();
    else if (!isOver) res.once('close', closed);
  });
}

const UNANSWERED = { action: 'see which replicas there are: GET /-/api/v1/fleet' };

function named({ id, name }: LiveReplica): string {
  return `${id} (${name.slice(0, MAX_SHOWN)})`;
}

function mayHaveRun({ req }: AcrossRequest): string {
  return isRead(req) ? '' : ': it may have done what was asked';
}

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** What a replica said. `status`: null: nothing. */
type Said =
  | { readonly status: number; readonly body: string }
  | { readonly status: number | null; readonly error: string };

/** Asks all replicas at the same time, and sends an answer with a row for each. */
async function askAll(
  deps: Deps,
  request: AcrossRequest,
  targets: readonly LiveReplica[],
  body: Buffer | undefined,
  own: () => Promise<ApiAnswer>,
): Promise<void> {
  const { req, res } = request;
  const held = new Held(deps.budget);
  try {
    const rows = await Promise.all(
      targets.map(async (target) => {
        const isOwn = target.id === deps.replicas.self;
        const said = isOwn ? saidHere(await own()) : await askOne(deps, request, target, body, held);
        return { target, said };
      }),
    );
    if (res.destroyed) return;
    const texts = rows.map(({ target, said }) => rowOf(target, said));
    const text = `{"replicas":[${texts.join(',')}]}`;
    const isDone = isRead(req) || wasDone(rows.map(({ said }) => said));
    const ownHeaders = [
      'Content-Type',
      'application/json',
      'Content-Length',
      String(Buffer.byteLength(text)),
    ];
    res.writeHead(isDone ? 200 : 409, [...ownHeaders, ...API_HEADERS]);
    if (req.method === 'HEAD') res.end();
    else res.end(text);
  } finally {
    held.release();
  }
}

/** Whether an action was done: by one replica at least, and no other one failed. Those refuse that do not have what it is about. */
function wasDone(all: readonly Said[]): boolean {
  return all.some((said) => 'body' in said) && all.every(({ status }) => status !== null && status < 500);
}

function rowOf({ id, name }: LiveReplica, said: Said): string {
  const head = JSON.stringify({ replica: id, name, status: said.status }).slice(0, -1);
  return 'body' in said ? `${head},"body":${said.body}}` : `${head},"error":${JSON.stringify(said.error)}}`;
}

function saidHere(answer: ApiAnswer): Said {
  if ('body' in answer) return { status: answer.status, body: answer.body };
  if ('problem' in answer) {
    const { error, status } = answer.problem;
    return { status: problemStatus(error.code, status), error: error.message };
  }
  return { status: null, error: 'this route does not answer for all replicas' };
}

/** The bytes of answers that are held together. */
class Held {
  readonly #budget: Budget;
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** false: there is no room. */
  take(bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  release(): void {
    this.#budget.give(this.#bytes);
    this.#bytes = 0;
  }
}

/** Asks one of all replicas. Never rejects. */
async function askOne(
  deps: Deps,
  request: AcrossRequest,
  target: LiveReplica,
  body: Buffer | undefined,
  held: Held,
): Promise<Said> {
  const answer = await collect(deps, request, target, body, held);
  if (typeof answer === 'string') return { status: null, error: answer };
  // Long answers are read one after another, with other work in between.
  await new Promise(setImmediate);
  const { status, bytes } = answer;
  const isOk = status >= 200 && status < 300;
  if (request.req.method === 'HEAD')
    return isOk ? { status, body: 'null' } : { status, error: `HTTP ${status}` };
  const value = readJson(bytes, MAX_ANSWER_BYTES);
  if (!isOk) {
    const detail = textOf(objectOf(value)?.['detail']) ?? `HTTP ${status}`;
    return { status, error: detail.slice(0, MAX_REASON) };
  }
  // Anything but JSON could look like the row of another replica.
  if (value === undefined) return { status: null, error: 'its answer is not JSON' };
  return { status, body: bytes.toString('utf8') };
}

interface Collected {
  readonly status: number;
  readonly bytes: Buffer;
}

/** Resolves with an answer, or why there is none. */
function collect(
  deps: Deps,
  request: AcrossRequest,
  target: LiveReplica,
  body: Buffer | undefined,
  held: Held,
): Promise<Collected | string> {
  const { replicas, wheel } = deps;
  const { req, res } = request;
  const ms = isRead(req) ? READ_MS : ANSWER_MS;
  return new Promise((resolve) => {
    const pieces = new Pieces();
    let bytes = 0;
    let status = 0;
    let isOver = false;
    const done = (answer: Collected | string): void => {
      isOver = true;
      timer.cancel();
      res.off('close', closed);
      resolve(answer);
    };
    const stop = (why: string): void => {
      leave?.();
      if (!isOver) done(why);
    };
    const closed = (): void => {
      stop('the client is gone');
    };
    const timer = wheel.after(ms, () => {
      stop(`it did not answer within ${ms / 1000} s${mayHaveRun(request)}`);
    });
    const leave = replicas.send(target.id, hopRequest(deps, request, target.id, body), {
      head(code) {
        status = code;
      },
      data(chunk) {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES)
          stop(
            `its answer is larger than ${MAX_ANSWER_BYTES} bytes: ask it alone, with ?replica=${target.id}`,
          );
        else if (!held.take(chunk.length)) stop('too much is being buffered (limits.buffered_bytes)');
        else pieces.push(chunk);
        return true;
      },
      end() {
        if (!isOver) done({ status, bytes: pieces.taken() });
      },
      said() {
        if (!isOver) done('it did not take the request');
      },
      failed(sent) {
        if (!isOver) done(sent ? `it broke off${mayHaveRun(request)}` : 'it cannot be reached');
      },
    });
    if (!leave) stop('it cannot be reached');
    else if (res.destroyed) closed();
    else if (!isOver) res.once('close', closed);
  });
}
