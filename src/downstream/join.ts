/**
 * Between a client that speaks stdio and a gateway that runs already: each line becomes a POST, what the gateway says becomes lines. No
 * message is changed; of its content only what the way needs is read. A request of 2026-07-28 gets the headers that HTTP wants of it.
 */
import { isUtf8 } from 'node:buffer';
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable, Writable } from 'node:stream';
import { errorMessage, GatewayError } from '../errors.js';
import { Boundary } from '../observe/boundary.js';
import { silent, type Logger } from '../observe/log.js';
import { isHeaderText } from '../protocol/header-text.js';
import { objectOf, readObject, textOf } from '../wire/json.js';
import { createBudget } from '../lib/budget.js';
import { splitLines } from '../lib/lines.js';
import { Pace } from '../lib/pace.js';
import { classify } from '../protocol/classify.js';
import { readListPage, type ParamHeader } from '../protocol/lists.js';
import { find, idKey, MessageError, readMessages, type Message } from '../protocol/message.js';
import { methodOf } from '../protocol/methods.js';
import { nameOf, readEnvelope } from '../protocol/modern/meta.js';
import { encodeHeaderValue, paramHeaders } from '../protocol/modern/param-headers.js';
import type { Era } from '../protocol/revisions.js';
import { membersOf } from '../wire/walk.js';
import { EventLines, MAX_HEAD } from './event-lines.js';
import { Lane } from './lane.js';
import { LineOutlet } from './line-outlet.js';

export interface JoinOptions {
  /** The endpoint of the gateway: `.../mcp` or `.../servers/<name>/mcp`. */
  readonly url: URL;
  readonly token: string | undefined;
  /** Tells people what the client is not told. */
  readonly log: (text: string) => void;
}

export interface Joined {
  /** Resolves when the client has left. */
  readonly left: Promise<void>;
  /** Waits `graceMs` for answers, ends the session and the output. */
  close(graceMs: number): Promise<void>;
}

const MAX_LINE = 67_108_864;
const MAX_BUFFERED = 268_435_456;
/** With so many requests open, or so much waiting for the client, its input waits. */
const MAX_OPEN = 256;
const MAX_WAITING = 4_194_304;
/** What is read of a refusal, and of the answer to initialize. */
const MAX_READ = 1_048_576;
/** A cancel must not overtake its request, which may go another way. */
const CANCEL_AFTER_MS = 20;
const RETRY_MS = 1000;
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 30_000;
/** Attempts to go on with an answer that bring nothing new. */
const MAX_TRIES = 10;
/** A stream that ends in good order with a wait of at least this is meant to be polled. */
const POLL_MS = 1000;
const MAX_POLL_MS = 300_000;
/** More than any `"protocolVersion"` member takes. */
const VERSION_TAIL = 128;
const DELETE_MS = 1000;

type Headers = Record<string, string>;

export function joinGateway(options: JoinOptions, input: Readable, output: Writable): Joined {
  const { url, token, log } = options;
  const boundary = new Boundary(faultsOnly(log), { add: () => undefined });
  const secure = url.protocol === 'https:';
  const agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const budget = createBudget(MAX_BUFFERED);
  const pace = new Pace();
  let session: { id: string | undefined; version: string | undefined } = {
    id: undefined,
    version: undefined,
  };
  /** Requests whose answer has not come. */
  const open = new Set<() => void>();
  /** Those of the modern era, by their id: there a closed connection is the cancel. */
  const cancels = new Map<string, () => void>();
  /** Parameters of tools that are mirrored into headers; learnt when the gateway asks for them. */
  const mirrored = new Map<string, readonly ParamHeader[]>();
  let sending: Promise<void> = Promise.resolve();
  let queued = 0;
  let ended = false;
  let listening: (() => void) | undefined;
  let idle: (() => void) | undefined;
  let leave: () => void = () => undefined;
  let closed: () => void = () => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const outputEnded = new Promise<void>((resolve) => (closed = resolve));

  const lane = new Lane(new LineOutlet(output), budget, () => {
    log('the client does not read: too much waits for it');
    output.destroy();
  });
  lane.room = regulate;
  const lines = splitLines({
    maxBytes: MAX_LINE,
    budget,
    onLine: boundary.guard('client_line', read, (error) => {
      complain('null', error);
    }),
    onDropped: ({ bytes }) => {
      complain('null', new GatewayError('body_too_large', `a line of ${bytes} bytes is too large`));
    },
  });

  function complain(rawId: string, error: GatewayError, era: Era = 'legacy'): void {
    lane.send(Buffer.from(errorMessage(error, rawId, era)));
  }

  function regulate(): void {
    const wait = lane.waiting > MAX_WAITING || open.size + queued > MAX_OPEN;
    if (wait === input.isPaused()) return;
    if (wait) input.pause();
    else input.resume();
  }

  function read(line: Buffer): void {
    let messages: ReturnType<typeof readMessages>;
    try {
      if (!isUtf8(line)) throw new MessageError('parse_error', 'Parse error: the line is not UTF-8');
      messages = readMessages(line);
    } catch (failure) {
      if (!(failure instanceof MessageError)) throw failure;
      return complain(failure.id, failure);
    }
    queued++;
    // One after the other, so that the gateway gets them in their order.
    const before = sending;
    sending = (async () => {
      await before;
      // What the gateway closed while nothing was said is seen now: a call is not sent twice.
      await new Promise(setImmediate);
      queued--;
      const message = Array.isArray(messages) ? undefined : messages;
      try {
        await send(line, message);
      } catch (thrown) {
        const error = thrown instanceof GatewayError ? thrown : boundary.caught('client_line', thrown);
        if (!message) complain('null', error);
        else if (message.id !== undefined) complain(message.id, error);
      }
      regulate();
    })();
  }

  /** Resolves when the next message may go. `message`: undefined for a batch. */
  async function send(body: Buffer, message: Message | undefined): Promise<void> {
    const method = message?.method;
    if (method === 'initialize') void endSession();
    if (message && method === 'notifications/cancelled' && cancelled(message)) return;
    if (method === 'notifications/cancelled')
      await new Promise((resolve) => setTimeout(resolve, CANCEL_AFTER_MS));
    const posted = post(body, message);
    // What follows needs the session that this one opens.
    await (method === 'initialize' ? posted.answered : posted.sent);
    if (method === 'notifications/initialized') void posted.answered.then(() => listen());
  }

  /** `alone`: of a request that belongs to no session. */
  function headersOf(alone: boolean): Headers {
    const headers: Headers = {};
    if (token !== undefined) headers['Authorization'] = `Bearer ${token}`;
    if (alone) return headers;
    if (session.id !== undefined) headers['Mcp-Session-Id'] = session.id;
    if (session.version !== undefined) headers['MCP-Protocol-Version'] = session.version;
    return headers;
  }

  /** Cancels a request of the modern era; false: it names none. */
  function cancelled(message: Message): boolean {
    const id = find(message.params, 'requestId');
    const key = id && idKey(message.body.toString('utf8', id.start, id.end));
    const cancel = key === undefined ? undefined : cancels.get(key);
    cancel?.();
    return cancel !== undefined;
  }

  /** What HTTP wants of a request of the modern era (2026-07-28, basic/transports/streamable-http, "Request Metadata"). */
  function metadataOf(message: Message): Headers {
    const envelope = readEnvelope(message);
    const headers: Headers = {};
    if (!isHeaderText(message.method) || (typeof envelope !== 'string' && !isHeaderText(envelope.version)))
      throw new GatewayError('invalid_params', 'the method, or the revision, cannot be named in a header');
    if (typeof envelope !== 'string') headers['MCP-Protocol-Version'] = envelope.version;
    headers['Mcp-Method'] = message.method;
    const name = methodOf(message.method)?.name === undefined ? undefined : nameOf(message);
    if (name === undefined) return headers;
    headers['Mcp-Name'] = encodeHeaderValue(name);
    const lines = paramHeaders(mirrored.get(name) ?? [], message.body, find(message.params, 'arguments'));
    for (let i = 0; i < lines.length; i += 2) headers[lines[i] as string] = lines[i + 1] as string;
    return headers;
  }

  /** Reads which parameters of tools go into headers. */
  async function learn(message: Message): Promise<void> {
    const meta = find(message.params, '_meta');
    const params = meta ? `{"_meta":${message.body.toString('utf8', meta.start, meta.end)}}` : '{}';
    const body = Buffer.from(`{"jsonrpc":"2.0","id":"tools","method":"tools/list","params":${params}}`);
    const asked = readMessages(body) as Message;
    const res = await new Promise<IncomingMessage | undefined>((resolve) => {
      const req = request('POST', { ...typesOf(body), ...metadataOf(asked) }, true);
      req.on('response', resolve).on('error', () => {
        resolve(undefined);
      });
      req.end(body);
    });
    const answer = res && (await whole(res));
    try {
      // Members are read from proven text alone.
      const result = answer && readObject(answer) && membersOf(answer).find(({ key }) => key === 'result');
      if (!answer || !result) return;
      mirrored.clear();
      for (const { key, tool } of readListPage('tools', answer.subarray(result.start, result.end))
        .definitions)
        if (tool && tool.headers.length > 0) mirrored.set(key, tool.headers);
    } catch (error) {
      log(`cannot read which parameters of tools go into headers: ${String(error)}`);
    }
  }

  const typesOf = (body: Buffer): Headers => ({
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'Content-Length': String(body.length),
  });

  function request(method: string, headers: Headers, alone = false): ClientRequest {
    const all = { ...headersOf(alone), ...headers };
    return (secure ? httpsRequest : httpRequest)(url, { method, agent, headers: all });
  }

  function post(
    body: Buffer,
    message: Message | undefined,
    again = false,
  ): { sent: Promise<void>; answered: Promise<void> } {
    const rawId = message ? (message.kind === 'request' ? message.id : undefined) : 'null';
    let over: () => void = () => undefined;
    let sent: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (over = resolve));
    const isSent = new Promise<void>((resolve) => (sent = resolve));
    const era = message ? classify(undefined, message) : 'legacy';
    const isModern = message !== undefined && era === 'modern';
    const req = request('POST', { ...typesOf(body), ...(isModern ? metadataOf(message) : {}) }, isModern);
    let givenUp = false;
    const abort = (): void => {
      req.destroy();
    };
    const key = isModern && message.kind === 'request' ? idKey(message.id as string) : undefined;
    const done = (why?: string): void => {
      open.delete(abort);
      if (key !== undefined && cancels.get(key) === cancel) cancels.delete(key);
      if (why !== undefined && !ended && !givenUp) {
        if (rawId !== undefined) complain(rawId, new GatewayError('upstream_disconnected', why), era);
        else log(why);
      }
      over();
      if (open.size === 0) idle?.();
      regulate();
    };
    const cancel = (): void => {
      givenUp = true;
      abort();
    };
    if (key !== undefined) cancels.set(key, cancel);
    open.add(abort);
    let answeredAtAll = false;
    req.on('finish', sent);
    const failed = (error: GatewayError): void => {
      abort();
      sent();
      done(error.message);
    };
    const refused = (error: NodeJS.ErrnoException): void => {
      sent();
      if (answeredAtAll) return;
      // An idle socket that the gateway had closed: a new one will do, unless running it twice could do harm.
      if (req.reusedSocket && error.code === 'ECONNRESET' && !again && message?.method !== 'tools/call') {
        open.delete(abort);
        void post(body, message, true).answered.then(() => {
          over();
        });
        return;
      }
      done(`cannot reach ${url.href}: ${error.message || error.code || 'no answer'}`);
    };
    req.on('error', boundary.guard('answer', refused, failed));
    const responded = (res: IncomingMessage): void => {
      answeredAtAll = true;
      sent();
      if (message?.method === 'initialize') greet(res);
      if (isModern && message.method === 'tools/call' && res.statusCode === 400 && !again) {
        const seen = learnt(message, res).then((answer) => {
          if (answer === undefined) {
            open.delete(abort);
            void post(body, message, true).answered.then(() => {
              over();
            });
          } else {
            if (!givenUp) lane.send(answer);
            done();
          }
        });
        boundary.detach('answer', seen, failed);
        return;
      }
      const whenOver = (why?: string): void => {
        // On a shared stream this is how a subscription ends (2026-07-28, basic/patterns/cancellation).
        if (why === undefined && message?.method === 'subscriptions/listen' && !givenUp && !ended) {
          const params = `{"requestId":${rawId ?? 'null'},"reason":"the subscription has ended"}`;
          lane.send(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`));
        }
        done(why);
      };
      receive(res, rawId, whenOver, (target) => {
        open.delete(abort);
        open.add(target);
      });
    };
    req.on('response', boundary.guard('answer', responded, failed));
    req.end(body);
    return { sent: isSent, answered };
  }

  /** A refused call: undefined where it lacked headers that are known now; else what the client gets. */
  async function learnt(message: Message, res: IncomingMessage): Promise<Buffer | undefined> {
    const answer = await whole(res);
    if (!/"code"\s*:\s*-32020\b/.test(answer.toString('utf8', 0, MAX_HEAD))) return answer;
    await learn(message);
    const name = nameOf(message);
    return name !== undefined && mirrored.has(name) ? undefined : answer;
  }

  /** The answer to a POST on its way to the client. `held`: who waits can now be given up by this instead. */
  function receive(
    res: IncomingMessage,
    rawId: string | undefined,
    done: (why?: string) => void,
    held: (abort: () => void) => void,
  ): void {
    const status = res.statusCode ?? 0;
    if (status < 200 || status > 299) {
      const read = whole(res).then((body) => {
        const refusal = refusalOf(body, rawId);
        if (refusal === 'pass') {
          lane.send(body);
          done();
        } else done(`${url.href} answered ${status}${refusal === '' ? '' : `: ${refusal}`}`);
      });
      boundary.detach('answer', read, (error) => {
        done(error.message);
      });
      return;
    }
    if (String(res.headers['content-type']).startsWith('text/event-stream')) {
      const events = new EventLines(lane);
      follow(res, events, () => {
        if (events.answered || rawId === undefined) return done();
        resume(events, done, held, { isClean: res.complete, heardBefore: 0, tries: 0 });
      });
      return;
    }
    if (status === 202 || rawId === undefined) {
      res.resume();
      res.on('close', () => {
        done();
      });
      return;
    }
    const answer = lane.message(() => res.resume());
    const failed = (error: GatewayError): void => {
      res.destroy();
      done(error.message);
    };
    const more = (chunk: Buffer): void => {
      if (!answer.write(chunk)) res.pause();
    };
    const ended = (): void => {
      if (res.complete) {
        answer.end();
        done();
      } else {
        answer.cut();
        done(`${url.href} broke off its answer`);
      }
    };
    res.on('data', boundary.guard('answer', more, failed));
    res.on('error', () => undefined);
    res.on('close', boundary.guard('answer', ended, failed));
  }

  /**
   * Goes on where the stream of an answer ended (2025-11-25, basic/transports, "Resumability and Redelivery"). `last`: how the connection
   * before went.
   */
  function resume(
    events: EventLines,
    done: (why?: string) => void,
    held: (abort: () => void) => void,
    last: { readonly isClean: boolean; readonly heardBefore: number; readonly tries: number },
  ): void {
    const { lastId, retryMs, heard } = events;
    if (lastId === undefined) return done(`${url.href} broke off its answer`);
    const polls = last.isClean && retryMs !== undefined && retryMs >= POLL_MS;
    const tries = (heard > last.heardBefore ? 0 : last.tries) + (polls ? 0 : 1);
    if (tries > MAX_TRIES)
      return done(
        `${url.href} broke off its answer, and ${MAX_TRIES} attempts to go on with it brought nothing new`,
      );
    const again = (isClean: boolean): void => {
      resume(events, done, held, { isClean, heardBefore: heard, tries });
    };
    const failed = (error: GatewayError): void => {
      done(error.message);
    };
    const goOn = (): void => {
      const req = request('GET', { Accept: 'text/event-stream', 'Last-Event-ID': lastId });
      held(() => req.destroy());
      const refused = (): void => {
        again(false);
      };
      const responded = (res: IncomingMessage): void => {
        if (res.statusCode !== 200) {
          res.resume();
          if ((res.statusCode ?? 0) >= 500) return again(false);
          return done(`${url.href} broke off its answer, and answered ${res.statusCode} to who came back`);
        }
        follow(res, events, () => {
          if (events.answered) done();
          else again(res.complete);
        });
      };
      req.on('error', boundary.guard('answer', refused, failed));
      req.on('response', boundary.guard('answer', responded, failed));
      req.end();
    };
    const timer = setTimeout(boundary.guard('timer', goOn, failed), waitBefore(retryMs, polls, tries));
    held(() => {
      clearTimeout(timer);
    });
  }

  function follow(res: IncomingMessage, events: EventLines, closed: () => void): void {
    const failed = (): void => {
      res.destroy();
    };
    /** The client does not read; enough was read for this turn. */
    let isFull = false;
    let resting = false;
    const goOn = (): void => {
      if (isFull || resting) res.pause();
      else res.resume();
    };
    events.onto(() => {
      isFull = false;
      goOn();
    });
    const rested = boundary.guard('server_stream', () => {
      resting = false;
      goOn();
    });
    const more = (chunk: Buffer): void => {
      isFull = !events.push(chunk);
      if (pace.spend(chunk.length) && !resting) {
        resting = true;
        setImmediate(rested);
      }
      if (isFull || resting) res.pause();
    };
    const over = (): void => {
      events.broken();
      if (!ended) closed();
    };
    res.on('data', boundary.guard('server_stream', more, failed));
    res.on('error', () => undefined);
    res.on('close', boundary.guard('server_stream', over));
  }

  /** What the answer to initialize says about the session: its id, its revision. */
  function greet(res: IncomingMessage): void {
    const id = res.headers['mcp-session-id'];
    const opened = {
      id: typeof id === 'string' && isHeaderText(id) ? id : undefined,
      version: undefined as string | undefined,
    };
    session = opened;
    let tail = '';
    let bytes = 0;
    const look = (chunk: Buffer): void => {
      if (opened.version !== undefined || bytes > MAX_READ) return;
      bytes += chunk.length;
      const text = tail + chunk.toString('latin1');
      opened.version = /"protocolVersion"\s*:\s*"(\d{4}-\d{2}-\d{2})"/.exec(text)?.[1];
      tail = text.slice(-VERSION_TAIL);
    };
    res.on('data', boundary.guard('answer', look));
  }

  /** The server-to-client stream, for as long as the session lives. */
  function listen(): void {
    if (ended || listening || session.id === undefined) return;
    const mine = session;
    const events = new EventLines(lane);
    let req: ClientRequest | undefined;
    let timer: NodeJS.Timeout | undefined;
    let failures = 0;
    const again = (ms: number): void => {
      if (!ended && session === mine) timer = setTimeout(boundary.guard('timer', connect), ms);
    };
    const backOff = (): void => {
      again(Math.min(RETRY_MS * 2 ** failures++, MAX_RETRY_MS));
    };
    const connect = (): void => {
      const more: Headers = events.lastId === undefined ? {} : { 'Last-Event-ID': events.lastId };
      req = request('GET', { Accept: 'text/event-stream', ...more });
      req.on('error', boundary.guard('server_stream', backOff));
      const responded = (res: IncomingMessage): void => {
        if (res.statusCode !== 200) {
          res.resume();
          // Too old to come back to, it is begun anew; without a session or a stream there is nothing to wait for.
          if (res.statusCode === 400 && events.lastId !== undefined) {
            events.lastId = undefined;
            again(RETRY_MS);
          } else if ((res.statusCode ?? 0) >= 500) backOff();
          return;
        }
        const { heard } = events;
        follow(res, events, () => {
          const polls = res.complete && (events.retryMs ?? 0) >= POLL_MS;
          failures = polls || events.heard > heard ? 0 : failures + 1;
          again(waitBefore(events.retryMs, polls || failures === 0, failures));
        });
      };
      req.on('response', boundary.guard('server_stream', responded));
      req.end();
    };
    listening = () => {
      clearTimeout(timer);
      req?.destroy();
    };
    connect();
  }

  /** Resolves when the gateway knows, or does not answer. */
  function endSession(): Promise<void> {
    listening?.();
    listening = undefined;
    if (session.id === undefined) return Promise.resolve();
    const req = request('DELETE', {});
    session = { id: undefined, version: undefined };
    return new Promise((resolve) => {
      req.setTimeout(DELETE_MS, () => req.destroy());
      req.on('response', (res) => {
        res.resume();
        res.on('close', resolve);
      });
      req.on('error', () => {
        resolve();
      });
      req.end();
    });
  }

  let closing: Promise<void> | undefined;

  async function end(graceMs: number): Promise<void> {
    leave();
    input.pause();
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, graceMs)));
    await Promise.race([grace, sending]);
    if (open.size > 0) await Promise.race([grace, new Promise<void>((resolve) => (idle = resolve))]);
    clearTimeout(timer);
    ended = true;
    for (const abort of open) abort();
    open.clear();
    await endSession();
    agent.destroy();
    lane.end();
    await Promise.race([outputEnded, new Promise((resolve) => setTimeout(resolve, graceMs))]);
  }

  const typed = (chunk: Buffer): void => {
    lines.push(chunk);
    regulate();
  };
  input.on('data', boundary.guard('client_line', typed));
  input.on('end', leave).on('error', leave).on('close', leave);
  output.on('finish', closed).on('error', gone).on('close', gone);

  function gone(): void {
    closed();
    leave();
  }

  return { left, close: (graceMs) => (closing ??= end(graceMs)) };
}

/** How long to wait before a stream is gone on with; `tries`: attempts since it last told something. */
function waitBefore(retryMs: number | undefined, polls: boolean, tries: number): number {
  if (polls) return Math.min(Math.max(retryMs ?? RETRY_MS, MIN_RETRY_MS), MAX_POLL_MS);
  return Math.min(Math.max(retryMs ?? RETRY_MS, MIN_RETRY_MS) * 2 ** Math.max(0, tries - 1), MAX_RETRY_MS);
}

/** `pass`: the body is the answer to this very request. Else the text of the refusal. */
function refusalOf(body: Buffer, rawId: string | undefined): string {
  const message = readObject(body);
  const error = objectOf(message?.['error']);
  if (!message || !error) return '';
  if (rawId !== undefined && JSON.stringify(message['id']) === rawId) return 'pass';
  return (textOf(error['message']) ?? '').slice(0, 2048);
}

/** Only faults of the program itself are told, with their stack. */
function faultsOnly(log: (text: string) => void): Logger {
  return {
    ...silent,
    error: (text, more) => {
      log(`${text}: ${JSON.stringify(more)}`);
    },
  };
}

async function whole(res: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return await new Promise((resolve) => {
    res.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_READ) chunks.push(chunk);
    });
    res.on('error', () => undefined);
    res.on('close', () => {
      resolve(Buffer.concat(chunks));
    });
  });
}
