import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Crossing } from '../../../src/bridge/crossing.js';
import { createBudget } from '../../../src/lib/budget.js';
import { Boundary } from '../../../src/observe/boundary.js';
import type { Logger } from '../../../src/observe/log.js';
import type { BridgeDeps } from '../../../src/bridge/deps.js';
import { openParkedCall } from '../../../src/bridge/parked-call.js';
import type { Parked } from '../../../src/bridge/parked-calls.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Question, Sink } from '../../../src/protocol/ports.js';
import { until } from '../../helpers/wait.js';

const request = (id: string): Message =>
  readMessages(
    Buffer.from(`{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":{"name":"x"}}`),
  ) as Message;

class Told implements Sink {
  text = '';
  ends = 0;
  starts = 0;
  failed = 0;
  notify(): boolean {
    return true;
  }
  ask(): undefined {
    return undefined;
  }
  start(): void {
    this.starts++;
  }
  write(chunk: Buffer): boolean {
    this.text += chunk.toString('utf8');
    return true;
  }
  end(): void {
    this.ends++;
  }
  cancelled(): void {
    this.ends++;
  }
  fail(): void {
    this.failed++;
  }
}

/** A call that waits for its client, with both of its ends in the hands of the test. */
async function park() {
  let parked: Parked | undefined;
  let upstream: Sink | undefined;
  const cancelled: string[] = [];
  const settled: string[] = [];
  const link = {
    server: 's',
    stats: { inputRequests: { add: () => undefined } },
    timeouts: { request_ms: 0, total_ms: 0 },
    send(_out: unknown, sink: Sink) {
      upstream = sink;
      return {
        resume: () => undefined,
        readdress: () => undefined,
        parked: () => undefined,
        cancel: (why: string) => cancelled.push(why),
      };
    },
  };
  const timer = { cancel: () => undefined };
  const deps = {
    wheel: { after: () => timer },
    states: { ofCall: () => 'state' },
    parked: {
      hasRoom: () => true,
      nextId: () => 'id',
      add: (_id: string, call: Parked) => (parked = call),
      remove: () => undefined,
    },
    parkedMs: () => 1000,
    stats: {},
    budget: createBudget(1e9),
    boundary: new Boundary({} as Logger, { add: () => undefined }),
    limits: () => ({ body_bytes: 1e6, message_bytes: 1e6 }),
  } as unknown as BridgeDeps;
  const crossing = (id: string): Crossing =>
    ({
      out: { message: request(id), patches: [], repeatable: false, client: 'c', task: undefined },
      target: { link, name: 'x', definition: undefined },
      caller: { capabilities: { elicitation: {} } },
      merged: false,
      foreign: [],
      route: '/mcp',
      name: 'x',
    }) as unknown as Crossing;
  const first = new Told();
  openParkedCall(deps, crossing('first'), first);
  const question: Question = {
    method: 'elicitation/create',
    bytes: Buffer.from('{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}'),
    token: undefined,
    answer: () => settled.push('answered'),
    refuse: () => settled.push('refused'),
    progress: () => undefined,
  };
  (upstream as unknown as Sink).ask(question);
  await until(() => first.text.includes('input_required'), 'what is required');
  return {
    parked: parked as unknown as Parked,
    upstream: upstream as unknown as Sink,
    crossing,
    cancelled,
    settled,
  };
}

const HEAD = '{"jsonrpc":"2.0","id":"first","result":{"content":[';
const TAIL = ']}}';

describe('a retry, before it is under way', () => {
  it('gets what comes of the answer in this very moment, whole and in order', async () => {
    const { parked, upstream, crossing } = await park();
    upstream.start({ kind: 'result', bytes: undefined, value: 39, code: undefined });
    upstream.write(Buffer.from(HEAD));
    const told = new Told();
    parked.retry(crossing('second'), told, new Map());
    upstream.write(Buffer.from('1,2,3'));
    upstream.write(Buffer.from(TAIL));
    upstream.end({ isError: false });
    await turn();
    expect(JSON.parse(told.text)).toEqual({ jsonrpc: '2.0', id: 'second', result: { content: [1, 2, 3] } });
    expect([told.starts, told.ends, told.failed]).toEqual([1, 1, 0]);
  });

  it('gets an answer that begins in this very moment', async () => {
    const { parked, upstream, crossing, settled } = await park();
    const told = new Told();
    parked.retry(crossing('second'), told, new Map([['q1', Buffer.from('{"action":"accept"}')]]));
    upstream.start({ kind: 'result', bytes: undefined, value: 39, code: undefined });
    upstream.write(Buffer.from(HEAD));
    await turn();
    upstream.write(Buffer.from(TAIL));
    upstream.end({ isError: false });
    expect(JSON.parse(told.text)).toEqual({ jsonrpc: '2.0', id: 'second', result: { content: [] } });
    expect(told.ends).toBe(1);
    expect(settled).toEqual(['refused']);
  });

  it('may be cancelled: the call ends, and nothing stays open', async () => {
    const { parked, crossing, cancelled, settled } = await park();
    const told = new Told();
    const exchange = parked.retry(crossing('second'), told, new Map());
    expect(parked.isParked).toBe(false);
    exchange.cancel('client gone');
    await turn();
    expect(cancelled).toEqual(['client gone']);
    expect(settled).toEqual(['refused']);
    expect(told.text).toBe('');
  });
});
