/** Common parts of POST and GET on MCP routes: reads the body of a POST, refuses a GET that cannot have a stream. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Budget, Owner } from '../../lib/budget.js';
import type { Boundary } from '../../observe/boundary.js';
import { MessageError, messagesInSteps, readMessages, type Messages } from '../../protocol/message.js';
import type { Gate } from '../../proxy/gate.js';
import { readBody } from './body.js';
import { sendError, sendFailure } from './respond.js';

export const RETRY_AFTER = ['Retry-After', '1'];
export const CLOSE = ['Connection', 'close'];

/** The first value of a repeated header. */
export function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** Smaller bodies have few values and are read in one step. */
const LARGE = 65_536;

/** Reads the messages of a POST and passes them to `take`, with the whole body. Answers invalid bodies itself. `client`: the owner of the bytes. */
export function readPost(
  deps: {
    readonly gate: Gate;
    readonly config: () => Config;
    readonly budget: Budget;
    readonly boundary: Boundary;
  },
  req: IncomingMessage,
  res: ServerResponse,
  client: Owner,
  take: (messages: Messages, body: Buffer) => void,
): void {
  const refuse = (error: GatewayError, id: string, headers: string[]): void => {
    deps.gate.countInvalid('invalid');
    sendError(res, error, id, headers);
  };
  const failed = (failure: unknown): void => {
    if (failure instanceof MessageError) refuse(failure, failure.id, []);
    else sendFailure(res, deps.boundary.caught('client_request', failure));
  };
  /** Runs one step per turn of the event loop. */
  const readStep = (steps: Generator<void, Messages>, body: Buffer): void => {
    // The client has disconnected.
    if (res.destroyed) return;
    try {
      const { done, value } = steps.next();
      if (done) take(value, body);
      else setImmediate(readStep, steps, body);
    } catch (failure) {
      failed(failure);
    }
  };
  const refusal = refuseBody(req);
  if (refusal) return refuse(refusal, 'null', CLOSE);
  readBody(req, res, deps.config().limits.body_bytes, deps.budget, client, (body, error, held) => {
    if (held) res.once('close', () => held.release());
    try {
      if (error) return refuse(error, 'null', error.code === 'body_too_large' ? CLOSE : []);
      if (body && body.length > LARGE) readStep(messagesInSteps(body), body);
      else if (body) take(readMessages(body), body);
    } catch (failure) {
      failed(failure);
    }
  });
}

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
      `the content encoding '${coding.slice(0, 32)}' is not supported: send it uncompressed`,
    );
  return undefined;
}

/**
 * Answers a GET that cannot have a stream. Returns whether it did. `goesOn`: other replicas go on with the sessions of one that shuts down: SDKs
 * give up a stream whose GET has failed twice.
 */
export function refuseListen(
  gate: Gate,
  req: IncomingMessage,
  res: ServerResponse,
  allow: string[],
  goesOn = false,
): boolean {
  const accept = req.headers.accept ?? '*/*';
  if (!/text\/event-stream|\*\/\*|text\/\*/i.test(accept))
    sendError(
      res,
      new GatewayError('method_not_allowed', 'GET answers only with text/event-stream'),
      'null',
      allow,
    );
  else if (gate.state === 'draining' && !goesOn)
    sendError(res, new GatewayError('unavailable', 'gateway shutting down'), 'null', [
      ...RETRY_AFTER,
      ...CLOSE,
    ]);
  else return false;
  return true;
}
