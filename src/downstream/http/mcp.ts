/** An MCP endpoint over HTTP: POST a message, GET the stream of a session, DELETE the session. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/types.js';
import { errorMessage, GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Wheel } from '../../lib/wheel.js';
import type { Logger } from '../../observe/log.js';
import { MessageError, readMessages, type Message } from '../../protocol/message.js';
import type { Exchange, Principal } from '../../protocol/ports.js';
import type { Gate, Route, Source } from '../../proxy/gate.js';
import { readBody } from './body.js';
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

const RETRY_AFTER = ['Retry-After', '1'];
const CLOSE = ['Connection', 'close'];

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

export function createMcp(deps: McpDeps) {
  const { gate } = deps;

  function sourceOf(req: IncomingMessage, principal: Principal, route: Route): Source {
    return {
      principal,
      route,
      sessionId: one(req.headers['mcp-session-id']),
      version: one(req.headers['mcp-protocol-version']),
    };
  }

  function post(req: IncomingMessage, res: ServerResponse, source: Source): void {
    const refusal = refuseBody(req);
    if (refusal) {
      gate.countInvalid('invalid');
      return sendError(res, refusal, 'null', CLOSE);
    }
    readBody(req, deps.config().limits.body_bytes, deps.budget, (body, error) => {
      if (error) {
        gate.countInvalid('invalid');
        return sendError(res, error, 'null', error.code === 'body_too_large' ? CLOSE : []);
      }
      if (!body) return;
      let messages: ReturnType<typeof readMessages>;
      try {
        messages = readMessages(body);
      } catch (failure) {
        if (!(failure instanceof MessageError)) throw failure;
        gate.countInvalid('invalid');
        return sendError(res, failure, failure.id);
      }
      const accepts = acceptsOf(req.headers.accept);
      if (Array.isArray(messages)) batch(res, source, messages, accepts);
      else single(res, source, messages, accepts);
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
        ? (sink = new PostSink(res, accepts, message.id as string, deps.wheel, times, gate.resumable(source)))
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
    const answers: (Buffer | undefined)[] = [];
    const exchanges: Exchange[] = [];
    const max = Math.floor(deps.config().limits.message_bytes / messages.length);
    let open = messages.length;
    let finished = false;
    const done = (index: number, answer: Buffer | undefined): void => {
      answers[index] = answer;
      if (--open > 0 || finished) return;
      finished = true;
      const all = answers.filter((item) => item !== undefined);
      if (all.length === 0) res.writeHead(202).end();
      else sendAnswer(res, joined(all), accepts);
    };
    res.on('close', () => {
      if (finished) return;
      finished = true;
      for (const exchange of exchanges) exchange.cancel('client gone');
    });
    messages.forEach((message, index) => {
      if (message instanceof MessageError) {
        gate.countInvalid('invalid');
        return done(index, Buffer.from(errorMessage(message, message.id)));
      }
      const sink = new BatchSink(message.id ?? 'null', max, (answer) => {
        done(index, answer);
      });
      const handled = gate.handle(source, message, sink);
      if (handled.kind === 'exchange') exchanges.push(handled.exchange);
      else if (handled.kind === 'answer') done(index, handled.bytes);
      else if (handled.kind === 'refused') done(index, Buffer.from(errorMessage(handled.error, handled.id)));
      else done(index, undefined);
    });
  }

  function listen(req: IncomingMessage, res: ServerResponse, source: Source): void {
    const accept = req.headers.accept ?? '*/*';
    if (!/text\/event-stream|\*\/\*|text\/\*/i.test(accept))
      return sendError(
        res,
        new GatewayError('method_not_allowed', 'GET answers with text/event-stream alone'),
        'null',
        ALLOW,
      );
    if (gate.state === 'draining')
      return sendError(res, new GatewayError('unavailable', 'gateway shutting down'), 'null', [
        ...RETRY_AFTER,
        ...CLOSE,
      ]);
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
    switch (req.method) {
      case 'POST':
        return post(req, res, source);
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

const ALLOW = ['Allow', 'GET, POST, DELETE, OPTIONS'];
/** Requests whose answer never comes later. */
const ANSWERED_AT_ONCE = new Set(['initialize', 'ping', 'logging/setLevel']);
const NO_SINK = new BatchSink('null', 0, () => undefined);

function refuseBody(req: IncomingMessage): GatewayError | undefined {
  const type = req.headers['content-type'];
  if (type === undefined || !/^application\/json\s*(;|$)/i.test(type))
    return new GatewayError(
      'unsupported_media_type',
      `Content-Type must be application/json, not ${type === undefined ? 'missing' : `'${type.slice(0, 64)}'`}`,
    );
  const coding = req.headers['content-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'identity')
    return new GatewayError(
      'unsupported_media_type',
      `a body coded as '${coding.slice(0, 32)}' is not taken: send it plain`,
    );
  return undefined;
}

function joined(answers: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  answers.forEach((answer, i) => parts.push(Buffer.from(i === 0 ? '[' : ','), answer));
  parts.push(Buffer.from(']'));
  return Buffer.concat(parts);
}
