/** An MCP endpoint over HTTP: POST a message, GET the stream of a session, DELETE the session. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Logger } from '../../observe/log.js';
import { classify } from '../../protocol/classify.js';
import type { Message, MessageError } from '../../protocol/message.js';
import type { Principal } from '../../protocol/ports.js';
import { isModernRevision } from '../../protocol/revisions.js';
import type { Gate, Route, Source } from '../../proxy/gate.js';
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
  type Accepts,
} from './respond.js';

export interface McpDeps {
  readonly gate: Gate;
  readonly config: () => Config;
  readonly wheel: Wheel;
  readonly budget: Budget;
  readonly log: Logger;
}

export function createMcp(deps: McpDeps) {
  const { gate } = deps;

  function sourceOf(req: IncomingMessage, principal: Principal, route: Route): Source {
    return {
      principal,
      route,
      sessionId: one(req.headers['mcp-session-id']),
      version: one(req.headers['mcp-protocol-version']),
      era: 'legacy',
      headers: req.headers,
    };
  }

  function post(req: IncomingMessage, res: ServerResponse, source: Source): void {
    readPost(deps, req, res, (messages) => {
      if (Array.isArray(messages)) batch(res, source, messages, acceptsOf(req.headers.accept));
      else if (classify(source.version, messages) === 'modern')
        // Sessions belong to the other era: whatever id comes with it is not looked at.
        single(
          res,
          { ...source, era: 'modern', sessionId: undefined },
          messages,
          // A stream of notifications is never JSON.
          messages.method === 'subscriptions/listen' ? STREAM : acceptsOf(req.headers.accept),
        );
      else single(res, source, messages, acceptsOf(req.headers.accept));
    });
  }

  function single(res: ServerResponse, source: Source, message: Message, accepts: Accepts): void {
    const { http } = deps.config();
    const times = { streamAfterMs: http.stream_after_ms, keepAliveMs: http.keep_alive_ms };
    let sink: PostSink | undefined;
    const handled = gate.handle(
      source,
      message,
      // Most messages need no stream: the sink is made for those that do.
      message.kind === 'request' && !ANSWERED_AT_ONCE.has(message.method)
        ? (sink = new PostSink(
            res,
            accepts,
            message.id as string,
            source.era,
            deps.wheel,
            times,
            gate.resumable(source),
          ))
        : NO_SINK,
    );
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
          handled.sessionId === undefined ? [] : ['Mcp-Session-Id', handled.sessionId],
        );
      case 'refused': {
        sink?.release();
        const { error } = handled;
        const headers = error.code === 'unavailable' ? RETRY_AFTER : retryHeader(error);
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
    messages: readonly (Message | MessageError)[],
    accepts: Accepts,
  ): void {
    const refusal = gate.admitBatch(source, messages);
    if (refusal) {
      gate.countInvalid('invalid');
      return sendError(res, refusal);
    }
    const cancel = runBatch(gate, source, messages, deps.config().limits.message_bytes, (answer) => {
      if (answer) sendAnswer(res, answer, accepts);
      else res.writeHead(202).end();
    });
    res.on('close', () => {
      cancel('client gone');
    });
  }

  function listen(req: IncomingMessage, res: ServerResponse, source: Source): void {
    if (refuseListen(gate, req, res, ALLOW)) return;
    const lastEventId = one(req.headers['last-event-id']);
    const { keep_alive_ms } = deps.config().http;
    // The stream is opened only once it is known that there is one.
    const listening = gate.listen(source, lastEventId, () => new EventStream(res, deps.wheel, keep_alive_ms));
    if (listening instanceof GatewayError)
      return sendError(res, listening, 'null', listening.code === 'method_not_allowed' ? ALLOW : []);
    res.on('close', listening);
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
        new GatewayError('method_not_allowed', `revision ${source.version.slice(0, 32)} has POST alone`),
        'null',
        ['Allow', 'POST, OPTIONS'],
      );
    switch (req.method) {
      case 'GET':
        return listen(req, res, source);
      case 'DELETE':
        if (gate.end(source)) res.writeHead(202).end();
        else sendError(res, new GatewayError('unknown_session', 'unknown or ended session'));
        return;
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

const STREAM: Accepts = { json: false, sse: true };

const ALLOW = ['Allow', 'GET, POST, DELETE, OPTIONS'];
/** Requests whose answer never comes later. */
const ANSWERED_AT_ONCE = new Set(['initialize', 'ping', 'logging/setLevel']);
const NO_SINK = new BatchSink('null', 0, () => undefined);
