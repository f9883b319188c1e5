/** Sends a request to the replica that has its session, and its answer back: bytes pass through, and its end is the end of both. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorMessage, GatewayError, replicaGone } from '../../errors.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import {
  HANDED_HEADER,
  isElsewhere,
  MOVED_HEADER,
  type Declined,
  type Elsewhere,
} from '../../protocol/elsewhere.js';
import type { Messages } from '../../protocol/message.js';
import type { Found, FoundSession, Origin } from '../../proxy/gate.js';
import { hopAnswer } from './hop-answer.js';
import type { PassedStreams } from './passed-streams.js';
import type { Replicas } from './replicas.js';
import { acceptsOf, breakOff, sendAnswer, sendJson } from './respond.js';

/** How long replicas are asked, one after another, for one request. */
const ASKING_MS = 10_000;
/** Headers of requests that go on, besides those that begin with `mcp-`. */
const REQUEST_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'accept',
  'last-event-id',
  'traceparent',
  'tracestate',
  'baggage',
]);
/** Headers of answers that belong to one connection, or that this replica writes itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'date',
  'upgrade',
  'trailer',
  'vary',
]);
/** Requests that another replica may do once more. */
const REPEATABLE = /^(?:ping|resources\/read|(?:tools|prompts|resources|resources\/templates|skills)\/list)$/;

export interface ForwardDeps {
  readonly replicas: Replicas;
  readonly wheel: Wheel;
  readonly boundary: Boundary;
  /** Absent: the request opens no stream that lasts. */
  readonly passed?: PassedStreams | undefined;
}

/** A request whose body was read. */
export interface Forwarded {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly origin: Origin;
  readonly body: Buffer | undefined;
  /** undefined: it has none. */
  readonly messages: Messages | undefined;
}

type Outcome =
  | { readonly kind: 'answered' | 'unknown' | 'unreachable' }
  | { readonly kind: 'moved'; readonly to: string }
  | { readonly kind: 'handed'; readonly record: Buffer }
  /** `sent`: the replica may have done it. */
  | { readonly kind: 'lost' };

/** Resolves with the session if the request has to be handled here after all; `answered`: it has got its answer. */
export async function forward(
  deps: ForwardDeps,
  request: Forwarded,
  where: Elsewhere,
): Promise<FoundSession | 'answered'> {
  const { replicas } = deps;
  const { origin, res } = request;
  const declined: Declined = new Map();
  let found: Found = where;
  const until = performance.now() + ASKING_MS;
  do {
    if (!isElsewhere(found)) return onRoute(found, origin);
    // Other kinds are answers for replicas.
    if (found.kind !== 'replica') return undefined;
    const { replica } = found;
    const outcome = await hop(deps, request, replica);
    if (res.destroyed || outcome.kind === 'answered') return 'answered';
    switch (outcome.kind) {
      case 'handed':
        return onRoute(replicas.takeOver(origin, outcome.record), origin);
      case 'moved':
        declined.set(replica, 'unknown');
        if (origin.sessionId !== undefined) replicas.learn(origin.sessionId, outcome.to);
        break;
      case 'lost':
        if (!mayRepeat(request)) {
          sendGone(request);
          return 'answered';
        }
        declined.set(replica, 'unreachable');
        break;
      default:
        declined.set(replica, outcome.kind);
    }
    found = await replicas.next(origin, declined);
    if (res.destroyed) return 'answered';
  } while (performance.now() < until);
  return new GatewayError('unavailable', 'no replica has this session: try again');
}

/** A session that was opened with another profile of the key is unknown. */
function onRoute(found: FoundSession, { route }: Origin): FoundSession {
  const isOther = found && !(found instanceof GatewayError) && found.profile !== route.profile;
  return isOther ? undefined : found;
}

/** Sends a request to one replica. Never rejects. */
function hop(deps: ForwardDeps, request: Forwarded, replica: string): Promise<Outcome> {
  const { replicas } = deps;
  const { req, res, origin, body } = request;
  return new Promise((resolve) => {
    const done = (outcome: Outcome): void => {
      if (isOver) return;
      isOver = true;
      res.off('close', closed);
      replicas.count(COUNTED[outcome.kind]);
      resolve(outcome);
    };
    // The exchange may fail before `send` returns.
    let isOver = false;
    const closed = (): void => {
      leave?.();
      done({ kind: 'answered' });
    };
    const leave = replicas.send(
      replica,
      {
        method: req.method ?? 'GET',
        path: req.url ?? '/',
        headers: [...passedOn(req), ...replicas.introduce(replica, origin)],
        body: body ?? null,
      },
      {
        ...hopAnswer(deps, res, {
          keeps: goesOn,
          ended: () => {
            done({ kind: 'answered' });
          },
          left: lasts(request) ? closed : undefined,
        }),
        said({ to, record }) {
          if (record) done({ kind: 'handed', record });
          else if (to !== undefined) done({ kind: 'moved', to });
          else done({ kind: 'unknown' });
        },
        failed(sent, begun) {
          // A partial answer must not look complete.
          if (begun) breakOff(res);
          done({ kind: begun ? 'answered' : sent ? 'lost' : 'unreachable' });
        },
      },
    );
    if (!leave) done({ kind: 'unreachable' });
    else if (res.destroyed) closed();
    else if (!isOver) res.once('close', closed);
  });
}

const COUNTED = {
  answered: 'answered',
  unknown: 'moved',
  moved: 'moved',
  handed: 'moved',
  unreachable: 'refused',
  lost: 'lost',
} as const;

function passedOn({ headers }: IncomingMessage): string[] {
  const passed: string[] = [];
  for (const name in headers) {
    if (!name.startsWith('mcp-') && !REQUEST_HEADERS.has(name)) continue;
    const value = headers[name];
    if (typeof value === 'string') passed.push(name, value);
    else for (const each of value ?? []) passed.push(name, each);
  }
  return passed;
}

/** Whether a header of an answer goes on. `name`: in lower case. */
function goesOn(name: string): boolean {
  return !OWN_HEADERS.has(name) && !name.startsWith('access-control-');
}

function mayRepeat({ req, messages }: Forwarded): boolean {
  if (req.method !== 'POST' || !messages) return true;
  return !Array.isArray(messages) && messages.kind === 'request' && REPEATABLE.test(messages.method);
}

/** Whether a stream in answer ends only when one side closes it. */
function lasts({ req, messages }: Forwarded): boolean {
  if (!messages) return req.method === 'GET';
  return !Array.isArray(messages) && messages.method === 'subscriptions/listen';
}

/** The replica was lost with the request. */
function sendGone({ req, res, origin, messages }: Forwarded): void {
  const requests = [messages ?? []]
    .flat()
    .flatMap((message) => ('kind' in message && message.kind === 'request' ? [message.id as string] : []));
  if (requests.length === 0) return void res.writeHead(202).end();
  const errors = requests.map((id) => errorMessage(replicaGone(), id, origin.era));
  const bytes = Array.isArray(messages) ? `[${errors.join(',')}]` : (errors[0] as string);
  const accepts = acceptsOf(req.headers.accept);
  if (accepts.json) sendJson(res, 200, bytes);
  else sendAnswer(res, Buffer.from(bytes), accepts);
}

/** Tells a replica where the request belongs that it sent. */
export function answerReplica(res: ServerResponse, where: Elsewhere): void {
  if (where.kind === 'handed') {
    res.writeHead(421, [HANDED_HEADER, '1', 'Content-Length', String(where.record.length)]);
    res.end(where.record);
    return;
  }
  const to = where.kind === 'moved' ? where.to : undefined;
  res.writeHead(421, ['Content-Length', '0', ...(to === undefined ? [] : [MOVED_HEADER, to])]).end();
}
