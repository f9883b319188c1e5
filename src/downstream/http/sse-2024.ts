/**
 * HTTP+SSE of 2024-11-05 (basic/transports, "HTTP with SSE"): GET opens the stream and names the URL to POST to; everything for
 * the client is sent on the stream. When it closes, the client's requests are cancelled.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { Message, MessageError } from '../../protocol/message.js';
import type { Introduced } from '../../protocol/elsewhere.js';
import type { Principal } from '../../protocol/ports.js';
import type { Origin, Route } from '../../proxy/gate.js';
import { OneStream } from '../one-stream.js';
import { EventStream } from './event-stream.js';
import { answerReplica, forward } from './forward.js';
import type { Replicas } from './replicas.js';
import { firstValue, readPost, refuseListen, RETRY_AFTER } from './requests.js';
import type { McpDeps } from './mcp.js';
import { sendError, sendFailure } from './respond.js';

export interface Sse2024 {
  /** `/sse` */
  stream(request: Streamed): void;
  /** `/messages?sessionId=`; `route` is the route of the stream. */
  messages(request: PostedTo): void;
  /** Ends each stream once its client has no running requests. */
  drain(): void;
}

type Placed = ReturnType<NonNullable<Replicas['placed']>>;

/** A GET that opens a stream. `peer`: the replica that sent it on. */
export type Streamed = Omit<PostedTo, 'query'>;

/** A POST to a stream. */
interface PostedTo {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly principal: Principal;
  readonly route: Route;
  readonly query: string;
  /** The replica that sent it on. */
  readonly peer: Introduced | undefined;
}

interface Open {
  readonly address: string;
  readonly principal: Principal;
  readonly route: string;
  readonly stream: OneStream;
}

/** 192 bits, because the id authenticates the client. */
const ID_BYTES = 24;

export interface Sse2024Deps extends McpDeps {
  readonly log: Logger;
}

export function createSse2024(deps: Sse2024Deps): Sse2024 {
  const { gate, boundary } = deps;
  const streams = new Map<string, Open>();

  function open(res: ServerResponse, principal: Principal, route: Route): void {
    const id = deps.replicas?.makeId() ?? randomBytes(ID_BYTES).toString('base64url');
    const outlet = new EventStream(res, deps.wheel, boundary, deps.config().http.keep_alive_ms);
    // An absolute URL, because clients resolve relative ones differently. http.public_url has the prefix that a proxy adds.
    const { public_url } = deps.config().http;
    const front = public_url === null ? '' : new URL(public_url).pathname.replace(/\/$/, '');
    const place = route.path.slice(0, -'/mcp'.length);
    res.write(`event: endpoint\ndata: ${front}${place}/messages?sessionId=${id}\n\n`);
    const stream = new OneStream({
      gate,
      outlet,
      origin: { principal, route, remote: res.socket ?? undefined },
      budget: deps.budget,
      log: deps.log,
      boundary,
      modern: false,
      messageBytes: () => deps.config().limits.message_bytes,
    });
    streams.set(id, { address: res.socket?.remoteAddress ?? '', principal, route: route.key, stream });
    gate.countListen();
    res.on(
      'close',
      boundary.guard('client_request', () => {
        streams.delete(id);
        stream.left();
      }),
    );
  }

  /**
   * Makes room for a stream of `address`. If another address would still have more streams, ends the stream of that address which has been
   * idle longest; if none is idle, the least recently used one.
   */
  function makeRoom(address: string): boolean {
    const counts = new Map<string, number>();
    for (const open of streams.values()) counts.set(open.address, (counts.get(open.address) ?? 0) + 1);
    const [most, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), [address, 0] as const);
    if (count <= (counts.get(address) ?? 0) + 1) return false;
    const [victim] = [...streams]
      .filter(([, open]) => open.address === most)
      .sort(
        ([, { stream: a }], [, { stream: b }]) => Number(b.idle) - Number(a.idle) || a.lastSeen - b.lastSeen,
      );
    if (!victim) return false;
    const [id, { stream }] = victim;
    streams.delete(id);
    stream.close('session evicted');
    return true;
  }

  function unknown({ res, route, peer }: PostedTo): void {
    if (peer) return answerReplica(res, { kind: 'moved', to: undefined });
    gate.countInvalid('unknown');
    const why = `unknown or ended session: open ${route.key} again`;
    sendError(res, new GatewayError('unknown_session', why));
  }

  function post({ req, res, principal }: PostedTo, stream: OneStream): void {
    readPost(deps, req, res, stream, (messages) => {
      if (stream.full && [messages].flat().some(isRequest)) {
        gate.countInvalid('invalid');
        const slow = new GatewayError(
          'unavailable',
          'too many bytes are queued on the stream: read it first',
        );
        return sendError(res, slow, 'null', RETRY_AFTER);
      }
      stream.show(principal);
      const taken = stream.take(messages, firstValue(req.headers['mcp-protocol-version']));
      if (!(taken instanceof Promise)) return reply(res, taken);
      const replied = taken.then((error) => {
        reply(res, error);
      });
      boundary.detach('client_request', replied, (error) => {
        sendFailure(res, error);
      });
    });
  }

  function openHere({ req, res, principal, route }: Streamed): void {
    if (streams.size >= deps.config().limits.sessions && !makeRoom(req.socket.remoteAddress ?? '')) {
      gate.countInvalid('listen');
      const full = new GatewayError('unavailable', 'too many streams are open (limits.sessions)');
      return sendError(res, full, 'null', RETRY_AFTER);
    }
    open(res, principal, route);
  }

  /** Opens a stream where the server of its route runs: `placed` says where; undefined: here. */
  function streamThere(request: Streamed, placed: Placed): void {
    const { req, res, principal, route } = request;
    const { replicas } = deps;
    if (!replicas) return openHere(request);
    const origin: Origin = {
      ...{ principal, route, sessionId: undefined, version: undefined, remote: req.socket },
      ...{ era: 'legacy', headers: req.headers },
    };
    const opened = async (): Promise<void> => {
      const to = await placed;
      const found =
        typeof to === 'string'
          ? await forward(
              { ...deps, replicas },
              { req, res, origin, body: undefined, messages: undefined },
              { kind: 'replica', replica: to },
            )
          : to;
      if (found === 'answered' || res.destroyed) return;
      if (found instanceof GatewayError) sendError(res, found, 'null', RETRY_AFTER);
      else openHere(request);
    };
    boundary.detach('client_request', opened(), (error) => {
      sendFailure(res, error);
    });
  }

  /** The stream is in another replica, and ends with it. */
  function postTo(request: PostedTo, replica: string): void {
    const { req, res, principal, route } = request;
    const { replicas } = deps;
    if (!replicas) return;
    const origin: Origin = {
      ...{ principal, route, sessionId: undefined, version: undefined, remote: req.socket },
      ...{ era: 'legacy', headers: req.headers },
    };
    readPost(deps, req, res, req.socket, (messages, body) => {
      const sent = forward(
        { ...deps, replicas },
        { req, res, origin, body, messages },
        { kind: 'replica', replica },
      );
      boundary.detach(
        'client_request',
        sent.then((settled) => {
          if (settled !== 'answered') unknown(request);
        }),
        (error) => {
          sendFailure(res, error);
        },
      );
    });
  }

  return {
    stream(request) {
      const { req, res, route, peer } = request;
      if (req.method !== 'GET') return notAllowed(req, res, ALLOW_STREAM);
      if (refuseListen(gate, req, res, ALLOW_STREAM)) return;
      const placed = peer || route.server === undefined ? undefined : deps.replicas?.placed?.(route.server);
      if (placed !== undefined) return streamThere(request, placed);
      openHere(request);
    },
    messages(request) {
      const { req, res, principal, route, query } = request;
      if (req.method !== 'POST') return notAllowed(req, res, ALLOW_MESSAGES);
      const id = new URLSearchParams(query).get('sessionId') ?? '';
      const found = streams.get(id);
      if (found && found.route === route.key && found.principal.id === principal.id)
        return post(request, found.stream);
      const home = found || request.peer ? undefined : deps.replicas?.homeOf(id);
      if (home !== undefined) return postTo(request, home);
      unknown(request);
    },
    drain() {
      for (const { stream } of streams.values()) stream.finish();
    },
  };
}

function reply(res: ServerResponse, error: GatewayError | undefined): void {
  if (error) sendError(res, error);
  else res.writeHead(202).end();
}

/** Responses and cancels are accepted from slow clients, too, because they end waiting requests. */
function isRequest(message: Message | MessageError): boolean {
  return 'kind' in message && message.kind === 'request';
}

const ALLOW_STREAM = ['Allow', 'GET, OPTIONS'];
const ALLOW_MESSAGES = ['Allow', 'POST, OPTIONS'];

function notAllowed(req: IncomingMessage, res: ServerResponse, allow: string[]): void {
  const error = new GatewayError('method_not_allowed', `${req.method ?? ''} is not served here`);
  sendError(res, error, 'null', allow);
}
