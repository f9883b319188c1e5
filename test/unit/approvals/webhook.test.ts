import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { ApprovalEvent } from '../../../src/approvals/desk.js';
import { Webhook, type WebhookResult } from '../../../src/approvals/webhook.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import type { Guard, SmallAnswer, SmallRequest } from '../../../src/protocol/small-request.js';
import { createGuardedFetch } from '../../../src/upstream/http/guarded-fetch.js';
import { ask, FakeTime, held, listEntry, office, turns } from '../../helpers/approvals.js';
import { until } from '../../helpers/wait.js';
import { atEnd } from '../../helpers/cleanup.js';

const KEY = Buffer.alloc(24, 3);
const SECRET = `whsec_${KEY.toString('base64')}`;

interface Sent {
  readonly request: SmallRequest;
  readonly guard: Guard;
}

interface Hook {
  readonly hook: Webhook;
  readonly time: FakeTime;
  readonly sent: Sent[];
  readonly results: WebhookResult[];
  /** Of the requests to come; a promise keeps them under way. */
  answer: () => number | Promise<number>;
}

function hook(more: Partial<ConstructorParameters<typeof Webhook>[0]> = {}): Hook {
  const time = new FakeTime();
  const made: Hook = { time, sent: [], results: [], answer: () => 200, hook: undefined as never };
  const webhook = new Webhook({
    url: 'https://hooks.example/x',
    secret: SECRET,
    arguments: 'none',
    fetch: async (request, guard): Promise<SmallAnswer> => {
      made.sent.push({ request, guard });
      return { status: await made.answer(), headers: {}, body: Buffer.alloc(0) };
    },
    now: () => time.now,
    timer: time.timer,
    random: () => 1,
    counted: (result) => made.results.push(result),
    boundary: new Boundary(silent, { add: () => undefined }),
    ...more,
  });
  return Object.assign(made, { hook: webhook });
}

async function eventOf(kind: ApprovalEvent['kind'] = 'asked'): Promise<ApprovalEvent> {
  const policy = [listEntry('finance')];
  const at = office(policy);
  const asked = await ask(at, held(policy, { amount: 7, password: 'hunter2' }));
  if (kind !== 'asked') {
    const fay = { principal: { ...asked, id: 'corp:op' } as never, way: 'operator' as const };
    await at.book.vote(asked.view.id, fay, { yes: false, digest: asked.view.digest });
  }
  const found = at.events.find((event) => event.kind === kind);
  if (!found) throw new Error(`no ${kind}`);
  return found;
}

describe('the webhook', () => {
  it('sends what has happened, signed, without arguments', async () => {
    const { hook: webhook, sent, results, time } = hook();
    const event = await eventOf();
    webhook.happened(event);
    await turns();
    const [{ request, guard }] = sent as [Sent];
    const { headers, body = '' } = request;
    const { 'webhook-id': id, 'webhook-timestamp': timestamp } = headers;
    expect(timestamp).toBe(String(time.now / 1000));
    const signature = createHmac('sha256', KEY).update(`${id}.${timestamp}.${body}`).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${signature}`);
    expect(JSON.parse(body)).toEqual({
      type: 'approval.asked',
      timestamp: new Date(time.now).toISOString(),
      data: {
        id: event.approval.id,
        server: 'billing',
        tool: 'refund',
        rules: ['finance decides'],
        digest: event.approval.digest,
        url: event.approval.url,
        state: 'open',
        expires: '2026-11-28T10:15:00.000Z',
      },
    });
    expect(request).toMatchObject({ url: 'https://hooks.example/x', method: 'POST', timeoutMs: 10_000 });
    expect(guard).toMatchObject({ redirects: 0, isLoopback: false });
    expect(results).toEqual(['sent']);
  });

  it('sends arguments without secrets, if it is to', async () => {
    const { hook: webhook, sent } = hook({ arguments: 'masked' });
    webhook.happened(await eventOf());
    webhook.happened(await eventOf('ended'));
    await turns();
    expect(sent[0]?.request.body).toContain('\\"amount\\": 7');
    expect(sent[0]?.request.body).not.toContain('hunter2');
    expect(JSON.parse(sent[1]?.request.body ?? '')).toMatchObject({
      type: 'approval.ended',
      data: { result: 'denied', reason: 'denied' },
    });
  });

  it('tries five times, with the same id, and longer and longer apart', async () => {
    const at = hook();
    at.answer = () => 302;
    at.hook.happened(await eventOf());
    await turns();
    const times = [at.time.now];
    for (const ms of [3000, 5000, 9000, 17_000]) {
      await at.time.pass(ms - 1);
      expect(at.sent).toHaveLength(times.length);
      await at.time.pass(1);
      times.push(at.time.now);
      expect(at.sent).toHaveLength(times.length);
    }
    expect(at.results).toEqual(['failed']);
    expect(new Set(at.sent.map(({ request }) => request.headers['webhook-id'])).size).toBe(1);
    expect(at.time.pending).toBe(0);
  });

  it('drops the oldest when too many wait, and ends with its owner', async () => {
    const at = hook();
    at.answer = () => new Promise(() => undefined);
    const event = await eventOf();
    for (let n = 0; n < 1010; n++) at.hook.happened(event);
    await turns();
    expect(at.sent).toHaveLength(4);
    expect(at.results).toEqual(Array.from({ length: 6 }, () => 'dropped'));
    at.hook.close();
    at.hook.happened(event);
    await turns();
    expect(at.sent).toHaveLength(4);
    const waits = hook();
    waits.answer = () => 500;
    waits.hook.happened(event);
    await turns();
    expect(waits.time.pending).toBe(1);
    waits.hook.close();
    await turns();
    expect(waits.time.pending).toBe(0);
    expect(waits.results).toEqual([]);
  });

  it('refuses a secret that is none', () => {
    for (const secret of ['', 'whsec_', 'whsec_***', `whsec_${Buffer.alloc(23).toString('base64')}`])
      expect(() => hook({ secret })).toThrow('the secret of the webhook');
  });

  it('reaches this machine over http, and no other one', async () => {
    let posts = 0;
    const server = createServer((request, response) => {
      posts++;
      request.resume();
      response.writeHead(204).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    atEnd(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const fetch = createGuardedFetch({}, silent);
    const done = hook({ url: `http://127.0.0.1:${port}/x`, fetch });
    done.hook.happened(await eventOf());
    await until(() => done.results.length > 0, 'an answer');
    expect([posts, done.results]).toEqual([1, ['sent']]);
    const other = hook({ url: 'http://192.0.2.1/x', fetch });
    other.hook.happened(await eventOf());
    await until(() => other.time.pending > 0, 'a refusal');
    other.hook.close();
    expect(other.results).toEqual([]);
  });
});
