/** Streams that broke off, at the edge of undici: what is resumed, in which session, and what is left of those that are not. */
import { beforeEach, expect, it, vi } from 'vitest';
import { resolveConfig } from '../../../src/config/index.js';
import type { HttpServerConfig } from '../../../src/config/types.js';
import type { GatewayError } from '../../../src/errors.js';
import { createBudget } from '../../../src/lib/budget.js';
import type { Wheel } from '../../../src/lib/wheel.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { ServerStats, Tally } from '../../../src/observe/stats.js';
import { NO_SINK } from '../../../src/protocol/sinks.js';
import { UpstreamCall, type CallOwner, type TransportEvents } from '../../../src/upstream/calls/calls.js';
import type { Controller, Dispatcher, UpstreamHandler } from '../../../src/upstream/http/dispatcher.js';
import { StreamableHttp } from '../../../src/upstream/http/streamable-http.js';
import { LinkObserver } from '../../../src/upstream/link/observer.js';
import { ScriptedCredential } from '../../helpers/scripted-credential.js';

const controller: Controller = { abort() {}, pause() {}, resume() {} };
const EVENTS = { 'content-type': 'text/event-stream' };
const POLL = Buffer.from('id: e1\nretry: 300000\ndata: \n\n');

type Sent = Parameters<Dispatcher['dispatch']>[0] & { readonly handler: UpstreamHandler };

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

function setUp(sessionId: string) {
  const sent: Sent[] = [];
  const failed: GatewayError[] = [];
  const credential = new ScriptedCredential('one');
  const nothing = (): undefined => undefined;
  const timer = { cancel: nothing, move: nothing, pause: nothing, resume: nothing };
  const owner = {
    ...{ server: 's', observer: new LinkObserver(new ServerStats('s'), true), log: silent },
    wheel: { after: () => timer, close: nothing } satisfies Wheel,
    boundary: new Boundary(silent, new Tally()),
    budget: createBudget(1e6),
    ...{ order: { seen: 'unknown' }, messageBytes: () => 1e6, timeouts: { request_ms: 0, total_ms: 0 } },
    answerLimits: { messageBytes: 1e6, questionBytes: 1e6, budget: createBudget(1e6) },
    ...{
      finished: nothing,
      sendCancel: nothing,
      refused: () => false,
      shown: (error: GatewayError) => error,
    },
  } as unknown as CallOwner;
  const dispatcher = {
    dispatch: (request, handler) => void sent.push({ ...request, handler }),
    ...{ lowerKeepAlive: nothing, destroy: nothing, close: () => Promise.resolve() },
  } satisfies Dispatcher;
  const events = { seen: nothing, doubt: nothing, unauthorized: nothing } as unknown as TransportEvents;
  const { config } = resolveConfig({ servers: [{ name: 's', url: 'http://127.0.0.1:1/mcp' }] }, {});
  const http = new StreamableHttp({
    ...{ config: config.servers[0] as HttpServerConfig, owner, events, dispatcher, credential },
  });
  http.opened(sessionId);
  const sink = { ...NO_SINK, fail: (error: GatewayError) => void failed.push(error) };
  const call = new UpstreamCall(owner, 1, 'tools/call', Buffer.from('1'), Buffer.from('{}'), sink, {
    ...{ repeatable: true, own: false },
  });
  /** The answer to what was sent last. */
  const answer = (status: number, body?: Buffer): void => {
    const { handler } = sent.at(-1) as Sent;
    handler.onRequestStart(controller);
    handler.onResponseStart(controller, status, status === 200 ? EVENTS : {});
    if (body) handler.onResponseData(controller, body);
    handler.onResponseEnd(controller);
  };
  http.send(call);
  answer(200, POLL);
  return { http, call, credential, sent, failed, answer, methods: () => sent.map(({ method }) => method) };
}

it('a call that is cancelled while it waits leaves nothing behind', () => {
  const { call, methods } = setUp('one');
  expect(vi.getTimerCount()).toBe(1);
  call.cancel('client gone');
  expect(vi.getTimerCount()).toBe(0);
  expect(methods()).toEqual(['POST']);
});

it('a server without sessions cannot lose one: its streams are resumed, at the time that it named', () => {
  const { http, failed, methods } = setUp('');
  http.reset();
  vi.advanceTimersByTime(299_999);
  expect(methods()).toEqual(['POST']);
  vi.advanceTimersByTime(1);
  expect(methods()).toEqual(['POST', 'GET']);
  expect(failed).toEqual([]);
});

it('a session that is lost while another credential is obtained: the stream is not resumed in the next one', async () => {
  const { http, credential, failed, answer, methods } = setUp('one');
  vi.advanceTimersByTime(300_000);
  let obtained = (): void => undefined;
  credential.onRefused = () => new Promise<void>((resolve) => (obtained = resolve));
  answer(401);
  http.reset();
  http.opened('two');
  credential.show('another');
  obtained();
  await vi.advanceTimersByTimeAsync(0);
  expect(methods()).toEqual(['POST', 'GET']);
  expect(failed.map(({ message }) => message)).toEqual(["upstream 's' lost the session of the call"]);
});
