/** An MCP endpoint over HTTP: POST a message, GET the stream of a session, DELETE the session. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import { classify } from '../../protocol/classify.js';
import type { Message, MessageError, Messages } from '../../protocol/message.js';
import { methodOf } from '../../protocol/methods.js';
import type { Principal } from '../../protocol/ports.js';
import { CLIENT_HEADER, isElsewhere, type Introduced } from '../../protocol/elsewhere.js';
import { isModernRevision } from '../../protocol/revisions.js';
import { NO_SINK } from '../../protocol/sinks.js';
import type { Found, FoundSession, Gate, Route, Settled, Origin } from '../../proxy/gate.js';
import { runBatch } from '../batch.js';
import { belongsTo, hasState } from './belongs.js';
import { EventStream } from './event-stream.js';
import { answerReplica, forward, type Forwarded } from './forward.js';
import type { PassedStreams } from './passed-streams.js';
import type { Replicas } from './replicas.js';
import { CLOSE, firstValue, readPost, refuseListen, RETRY_AFTER } from './requests.js';
import {
  acceptsOf,
  PostSink,
  errorHeaders,
  sendAnswer,
  sendError,
  sendFailure,
  type Accepts,
} from './respond.js';

export interface McpDeps {
  readonly gate: Gate;
  readonly config: () => Config;
  readonly wheel: Wheel;
  readonly budget: Budget;
  readonly boundary: Boundary;
  /** The other replicas of the fleet; undefined: the gateway is alone. */
  readonly replicas?: Replicas | undefined;
}

export function createMcp(deps: McpDeps, passed: PassedStreams) {
  const { gate, boundary } = deps;

  /** Calls `go` with the value, immediately if it is not a promise. Calls do not use it, because each would need a closure. */
  function whenKnown<T>(res: ServerResponse, value: T | Promise<T>, go: (value: T) => void): void {
    if (value instanceof Promise)
      boundary.detach('client_request', value.then(go), (error) => {
        sendFailure(res, error);
      });
    else go(value);
  }

  /** The era is legacy until the body of a POST says otherwise: see `post`. `peer`: the replica that sent it. */
  function originOf(req: IncomingMessage, principal: Principal, route: Route, peer?: Introduced): Origin {
    const origin: Origin = {
      principal,
      route,
      sessionId: firstValue(req.headers['mcp-session-id']),
      version: firstValue(req.headers['mcp-protocol-version']),
      remote: req.socket,
      era: 'legacy',
      headers: req.headers,
    };
    return peer ? sentOn(req, origin, peer) : origin;
  }

  /** Calls `go` with the session of a request that is handled here: others are sent to the replica that has it. */
  function settle(request: Forwarded, found: Found, go: (found: FoundSession) => void): void {
    if (!isElsewhere(found)) return go(found);
    if (!deps.replicas || request.origin.peer) return answerReplica(request.res, found);
    const sent = forward({ ...deps, replicas: deps.replicas, passed }, request, found);
    whenKnown(request.res, sent, (settled) => {
      if (settled !== 'answered') go(settled);
    });
  }

  function post(req: IncomingMessage, res: ServerResponse, origin: Origin): void {
    readPost(deps, req, res, origin.sessionId ?? req.socket, (messages, body) => {
      const isModern = !Array.isArray(messages) && classify(origin.version, messages) === 'modern';
      const here: Origin = isModern ? { ...origin, era: 'modern', sessionId: undefined } : origin;
      const request = { req, res, origin: here, body, messages };
      if (here.peer || here.sessionId !== undefined) return postHere(request);
      const placed = placedOf(here, messages);
      if (placed !== undefined)
        return whenKnown(res, placed, (there) => {
          postThere(request, there);
        });
      const to = deps.replicas && belongsTo(deps.replicas, gate, here, messages);
      if (!to) return postHere(request);
      const { replica, client } = to;
      const sent = { ...request, origin: client === undefined ? here : { ...here, client } };
      settle(sent, { kind: 'replica', replica }, () => postHere(request));
    });
  }

  /** Handles a request for a placed server where the server runs; undefined: here. */
  function postThere(
    request: Forwarded & { readonly messages: Messages },
    to: string | undefined | GatewayError,
  ): void {
    const { res, origin, messages } = request;
    if (res.destroyed) return;
    const found = typeof to === 'string' ? ({ kind: 'replica', replica: to } as const) : to;
    settle(request, found, (settled) => {
      if (!(settled instanceof GatewayError)) return postHere(request);
      const id = !Array.isArray(messages) && messages.kind === 'request' ? messages.id : 'null';
      sendError(res, settled, id, retryAfter(settled), origin.era);
    });
  }

  /** Where the server of a route runs that one process runs for several; undefined: here. */
  function placedOf({ route: { server } }: Origin, messages: Messages): ReturnType<PlacedFn> {
    return server === undefined || hasState(messages) ? undefined : deps.replicas?.placed?.(server);
  }

  function postHere(request: Forwarded & { readonly messages: Messages }): void {
    const { req, res, origin, messages } = request;
    if (!Array.isArray(messages) && origin.era === 'modern')
      // Modern requests have no session; a session id is ignored.
      return single(
        res,
        origin,
        undefined,
        messages,
        // A stream of notifications cannot be JSON.
        messages.method === 'subscriptions/listen' ? STREAM : acceptsOf(req.headers.accept),
      );
    const found = gate.find(origin);
    if (found instanceof Promise) takeLater(request, found, messages);
    else if (isElsewhere(found))
      settle(request, found, (session) => {
        take(req, res, origin, session, messages);
      });
    else take(req, res, origin, found, messages);
  }

  function take(
    req: IncomingMessage,
    res: ServerResponse,
    origin: Origin,
    found: FoundSession,
    messages: Messages,
  ): void {
    const accepts = acceptsOf(req.headers.accept);
    if (Array.isArray(messages)) batch(res, origin, found, messages, accepts);
    else single(res, origin, found, messages, accepts);
  }

  function takeLater(request: Forwarded, looked: Promise<Found>, messages: Messages): void {
    const { req, res, origin } = request;
    whenKnown(res, looked, (found) => {
      // The client has disconnected. Its notifications and responses are handled nevertheless.
      if (res.destroyed && (Array.isArray(messages) || messages.kind === 'request')) return;
      settle(request, found, (session) => {
        take(req, res, origin, session, messages);
      });
    });
  }

  function single(
    res: ServerResponse,
    origin: Origin,
    found: FoundSession,
    message: Message,
    accepts: Accepts,
  ): void {
    const { http } = deps.config();
    const times = { streamAfterMs: http.stream_after_ms, keepAliveMs: http.keep_alive_ms };
    let sink: PostSink | undefined;
    try {
      const handled = gate.handle(
        origin,
        found,
        message,
        // The sink is created only for messages that need one.
        message.kind === 'request' && !methodOf(message.method)?.atOnce
          ? (sink = new PostSink(
              res,
              accepts,
              message.id as string,
              origin.era,
              deps.wheel,
              boundary,
              times,
              gate.resumable(found),
            ))
          : NO_SINK,
      );
      if (handled.kind === 'opening') answerOpened(res, origin, handled.opened, accepts);
      else reply(res, origin, handled, accepts, sink);
    } catch (thrown) {
      const error = boundary.caught('client_request', thrown);
      if (sink) sink.fail(error);
      else sendFailure(res, error, message.kind === 'request' ? message.id : 'null', origin.era);
    }
  }

  function answerOpened(
    res: ServerResponse,
    origin: Origin,
    opened: Promise<Settled>,
    accepts: Accepts,
  ): void {
    whenKnown(res, opened, (handled) => {
      if (!res.destroyed) reply(res, origin, handled, accepts, undefined);
      else if (handled.kind === 'answer' && handled.session) gate.abandon(handled.session);
    });
  }

  function reply(
    res: ServerResponse,
    origin: Origin,
    handled: Settled,
    accepts: Accepts,
    sink: PostSink | undefined,
  ): void {
    switch (handled.kind) {
      case 'exchange':
        if (sink) sink.exchange = handled.exchange;
        return;
      case 'accepted':
        sink?.release();
        res.writeHead(202).end();
        return;
      case 'answer':
        sink?.release();
        return sendAnswer(
          res,
          handled.bytes,
          accepts,
          handled.session ? ['Mcp-Session-Id', handled.session.id] : [],
        );
      case 'refused': {
        sink?.release();
        const { error } = handled;
        const headers = retryAfter(error);
        return sendError(
          res,
          error,
          handled.id,
          gate.state === 'draining' ? [...headers, ...CLOSE] : headers,
          origin.era,
        );
      }
    }
  }

  function batch(
    res: ServerResponse,
    origin: Origin,
    found: FoundSession,
    messages: readonly (Message | MessageError)[],
    accepts: Accepts,
  ): void {
    const refusal = gate.admitBatch(origin, found, messages);
    if (refusal) {
      gate.countInvalid('invalid');
      return sendError(res, refusal, 'null', retryAfter(refusal));
    }
    const cancel = runBatch(
      { gate, boundary, budget: deps.budget },
      origin,
      found,
      messages,
      deps.config().limits.message_bytes,
      (answer) => {
        if (answer) sendAnswer(res, answer, accepts);
        else res.writeHead(202).end();
      },
    );
    res.on('close', () => {
      cancel('client gone');
    });
  }

  function listen(req: IncomingMessage, res: ServerResponse, origin: Origin): void {
    if (refuseListen(gate, req, res, ALLOW, deps.replicas?.another() !== undefined)) return;
    whenKnown(res, gate.find(origin), (found) => {
      if (res.destroyed) return;
      settle(bodiless(req, res, origin), found, (session) => {
        openListen(req, res, origin, session);
      });
    });
  }

  function openListen(req: IncomingMessage, res: ServerResponse, origin: Origin, found: FoundSession): void {
    const lastEventId = firstValue(req.headers['last-event-id']);
    const { keep_alive_ms } = deps.config().http;
    const listening = gate.listen(
      origin,
      found,
      lastEventId,
      () => new EventStream(res, deps.wheel, boundary, keep_alive_ms),
    );
    if (listening instanceof GatewayError)
      return sendError(
        res,
        listening,
        'null',
        listening.code === 'method_not_allowed' ? ALLOW : retryAfter(listening),
      );
    res.on('close', boundary.guard('client_request', listening));
  }

  /** Answers once the session has been deleted from its store. The deletion continues if the client disconnects. */
  function end(req: IncomingMessage, res: ServerResponse, origin: Origin): void {
    whenKnown(res, gate.find(origin), (found) => {
      settle(bodiless(req, res, origin), found, (session) => {
        whenKnown(res, gate.end(origin, session), (error) => {
          if (error) sendError(res, error, 'null', retryAfter(error));
          else res.writeHead(200, ['Content-Length', '0']).end();
        });
      });
    });
  }

  return function handle(
    req: IncomingMessage,
    res: ServerResponse,
    principal: Principal,
    route: Route,
    peer?: Introduced,
  ): void {
    const origin = originOf(req, principal, route, peer);
    if (req.method === 'POST') return post(req, res, origin);
    if (origin.version !== undefined && isModernRevision(origin.version))
      return sendError(
        res,
        new GatewayError('method_not_allowed', `revision ${origin.version.slice(0, 32)} supports only POST`),
        'null',
        ['Allow', 'POST, OPTIONS'],
      );
    switch (req.method) {
      case 'GET':
        return listen(req, res, origin);
      case 'DELETE':
        return end(req, res, origin);
      default:
        sendError(
          res,
          new GatewayError('method_not_allowed', `${req.method ?? ''} is not served here`),
          'null',
          ALLOW,
        );
    }
  };
}

type PlacedFn = NonNullable<Replicas['placed']>;

function bodiless(req: IncomingMessage, res: ServerResponse, origin: Origin): Forwarded {
  return { req, res, origin, body: undefined, messages: undefined };
}

/** The origin of a request that another replica sent on. */
function sentOn(req: IncomingMessage, origin: Origin, { from, headers }: Introduced): Origin {
  const resumes = firstValue(req.headers['last-event-id']) ?? '';
  return {
    ...origin,
    remote: { remoteAddress: firstValue(req.headers[CLIENT_HEADER]) },
    headers: { ...req.headers, ...headers },
    peer: { replica: from, listens: req.method === 'GET' && resumes === '' },
  };
}

/** The Retry-After header of an error: one second if the gateway is unavailable, otherwise what the server of the call asked for. */
function retryAfter(error: GatewayError): string[] {
  return error.code === 'unavailable' ? RETRY_AFTER : errorHeaders(error);
}

const STREAM: Accepts = { json: false, sse: true };

const ALLOW = ['Allow', 'GET, POST, DELETE, OPTIONS'];
