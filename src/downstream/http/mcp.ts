/** An MCP endpoint over HTTP: POST a message, GET the stream of a session, DELETE the session. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Boundary } from '../../observe/boundary.js';
import type { Logger } from '../../observe/log.js';
import { classify } from '../../protocol/classify.js';
import type { Message, MessageError } from '../../protocol/message.js';
import { methodOf } from '../../protocol/methods.js';
import type { Principal } from '../../protocol/ports.js';
import { isModernRevision } from '../../protocol/revisions.js';
import type { Found, Gate, Route, Settled, Source } from '../../proxy/gate.js';
import { runBatch } from '../batch.js';
import { CLOSE, one, readPost, refuseListen, RETRY_AFTER } from './incoming.js';
import { EventStream } from './event-stream.js';
import {
  acceptsOf,
  BatchSink,
  PostSink,
  retryHeader,
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
  readonly log: Logger;
  readonly boundary: Boundary;
}

export function createMcp(deps: McpDeps) {
  const { gate, boundary } = deps;

  /** Continues at once if there is nothing to wait for. Calls do not use it, to avoid a closure each. */
  function whenKnown<T>(res: ServerResponse, value: T | Promise<T>, go: (value: T) => void): void {
    if (value instanceof Promise)
      boundary.detach('client_request', value.then(go), (error) => {
        sendFailure(res, error);
      });
    else go(value);
  }

  function sourceOf(req: IncomingMessage, principal: Principal, route: Route): Source {
    return {
      principal,
      route,
      sessionId: one(req.headers['mcp-session-id']),
      version: one(req.headers['mcp-protocol-version']),
      remote: req.socket,
      era: 'legacy',
      headers: req.headers,
    };
  }

  function post(req: IncomingMessage, res: ServerResponse, source: Source): void {
    readPost(deps, req, res, source.sessionId ?? req.socket, (messages) => {
      if (!Array.isArray(messages) && classify(source.version, messages) === 'modern')
        // Modern requests have no session; a session id is ignored.
        return single(
          res,
          { ...source, era: 'modern', sessionId: undefined },
          undefined,
          messages,
          // A stream of notifications cannot be JSON.
          messages.method === 'subscriptions/listen' ? STREAM : acceptsOf(req.headers.accept),
        );
      const found = gate.find(source);
      if (found instanceof Promise) takeLater(req, res, source, found, messages);
      else take(req, res, source, found, messages);
    });
  }

  function take(
    req: IncomingMessage,
    res: ServerResponse,
    source: Source,
    found: Found,
    messages: Messages,
  ): void {
    const accepts = acceptsOf(req.headers.accept);
    if (Array.isArray(messages)) batch(res, source, found, messages, accepts);
    else single(res, source, found, messages, accepts);
  }

  function takeLater(
    req: IncomingMessage,
    res: ServerResponse,
    source: Source,
    looked: Promise<Found>,
    messages: Messages,
  ): void {
    whenKnown(res, looked, (found) => {
      // The client has gone. Notifications and responses count even if it does not wait for the 202.
      if (res.destroyed && (Array.isArray(messages) || messages.kind === 'request')) return;
      take(req, res, source, found, messages);
    });
  }

  function single(
    res: ServerResponse,
    source: Source,
    found: Found,
    message: Message,
    accepts: Accepts,
  ): void {
    const { http } = deps.config();
    const times = { streamAfterMs: http.stream_after_ms, keepAliveMs: http.keep_alive_ms };
    let sink: PostSink | undefined;
    try {
      const handled = gate.handle(
        source,
        found,
        message,
        // The sink is created only for messages that need one.
        message.kind === 'request' && !methodOf(message.method)?.atOnce
          ? (sink = new PostSink(
              res,
              accepts,
              message.id as string,
              source.era,
              deps.wheel,
              boundary,
              times,
              gate.resumable(found),
            ))
          : NO_SINK,
      );
      if (handled.kind === 'opening') answerOpened(res, source, handled.opened, accepts);
      else reply(res, source, handled, accepts, sink);
    } catch (thrown) {
      const error = boundary.caught('client_request', thrown);
      if (sink) sink.fail(error);
      else sendFailure(res, error, message.kind === 'request' ? message.id : 'null', source.era);
    }
  }

  function answerOpened(
    res: ServerResponse,
    source: Source,
    opened: Promise<Settled>,
    accepts: Accepts,
  ): void {
    whenKnown(res, opened, (handled) => {
      if (!res.destroyed) reply(res, source, handled, accepts, undefined);
      else if (handled.kind === 'answer' && handled.session) gate.abandon(handled.session);
    });
  }

  function reply(
    res: ServerResponse,
    source: Source,
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
          source.era,
        );
      }
    }
  }

  function batch(
    res: ServerResponse,
    source: Source,
    found: Found,
    messages: readonly (Message | MessageError)[],
    accepts: Accepts,
  ): void {
    const refusal = gate.admitBatch(source, found, messages);
    if (refusal) {
      gate.countInvalid('invalid');
      return sendError(res, refusal, 'null', retryAfter(refusal));
    }
    const cancel = runBatch(
      { gate, boundary, budget: deps.budget },
      source,
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

  function listen(req: IncomingMessage, res: ServerResponse, source: Source): void {
    if (refuseListen(gate, req, res, ALLOW)) return;
    whenKnown(res, gate.find(source), (found) => {
      if (!res.destroyed) openListen(req, res, source, found);
    });
  }

  function openListen(req: IncomingMessage, res: ServerResponse, source: Source, found: Found): void {
    const lastEventId = one(req.headers['last-event-id']);
    const { keep_alive_ms } = deps.config().http;
    // The stream opens only after the subscription was accepted.
    const listening = gate.listen(
      source,
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

  /** Answered once the session has been deleted from its store, which continues if the client disconnects. */
  function end(res: ServerResponse, source: Source): void {
    whenKnown(res, gate.find(source), (found) => {
      whenKnown(res, gate.end(source, found), (error) => {
        if (error) sendError(res, error, 'null', retryAfter(error));
        else res.writeHead(200, ['Content-Length', '0']).end();
      });
    });
  }

  return function handle(
    req: IncomingMessage,
    res: ServerResponse,
    principal: Principal,
    route: Route,
  ): void {
    const source = sourceOf(req, principal, route);
    if (req.method === 'POST') return post(req, res, source);
    if (source.version !== undefined && isModernRevision(source.version))
      return sendError(
        res,
        new GatewayError('method_not_allowed', `revision ${source.version.slice(0, 32)} supports only POST`),
        'null',
        ['Allow', 'POST, OPTIONS'],
      );
    switch (req.method) {
      case 'GET':
        return listen(req, res, source);
      case 'DELETE':
        return end(res, source);
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

type Messages = Message | (Message | MessageError)[];

function retryAfter(error: GatewayError): string[] {
  return error.code === 'unavailable' ? RETRY_AFTER : retryHeader(error);
}

const STREAM: Accepts = { json: false, sse: true };

const ALLOW = ['Allow', 'GET, POST, DELETE, OPTIONS'];
const NO_SINK = new BatchSink(
  'null',
  { room: () => false, tooMuch: () => new GatewayError('internal', 'an answer that was not asked for') },
  () => undefined,
);
