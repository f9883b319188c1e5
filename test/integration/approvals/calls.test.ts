/** Held calls, as their callers see them: clients of both eras, over every door; and that nothing is sent without its yes, or twice for one. */
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import {
  AGENT,
  AL,
  bankOf,
  BO,
  BY_CALLER,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  KEYS,
  listed,
  OTHER,
  OWN,
  startHeld,
  vote,
  waiting,
  type Bank,
  type Shown,
} from '../../helpers/held.js';
import { JSON_ONLY, MCP_HEADERS, message, post, send, textOf, type JsonRpc } from '../../helpers/http.js';
import { connect, final, messagesOf } from '../../helpers/legacy.js';
import { call, needs, only } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

type Json = Record<string, unknown>;

/** `auth`: callers and voters have keys. */
function start(
  bank: Bank,
  hold: object,
  { auth = false, approvals, ...more }: { auth?: boolean } & Partial<ConfigInput> = {},
): Promise<RunningGateway> {
  const mcp = auth ? { auth: { keys: KEYS } } : {};
  const waits = approvals && { approvals };
  return startHeld(heldConfig(bank, [{ name: 'ask', hold: [hold] }], 30, { mcp, ...waits, ...more }));
}

describe('a legacy client that takes forms', () => {
  const FORMS = { capabilities: { elicitation: { form: {} } } };

  async function asked(stream: Awaited<ReturnType<Awaited<ReturnType<typeof connect>>['stream']>>) {
    return until(() => messagesOf(stream).find(({ method }) => method === 'elicitation/create'), 'the form');
  }

  it('gets the form of a call that another session has asked for, and that one loses it', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const [first, second] = [await connect(gateway.url, FORMS), await connect(gateway.url, FORMS)];
    const before = await first.stream('bank__pay', { amount: 1 });
    const lost = await asked(before);
    const stream = await second.stream('bank__pay', { amount: 1 });
    const form = await asked(stream);
    await final(before);
    expect(messagesOf(before)[1]?.params).toMatchObject({ requestId: lost.id });
    await first.say({ id: lost.id, result: { action: 'accept', content: { send: false } } });
    await second.say({ id: form.id, result: { action: 'accept', content: { send: true } } });
    expect(textOf(await final(stream))).toBe('paid');
  });

  it.each(['approve', 'deny'] as const)(
    'hears that its form is gone when others decide: %s',
    async (decision) => {
      const bank = await bankOf();
      const gateway = await start(bank, BY_CALLER);
      const client = await connect(gateway.url, FORMS);
      const stream = await client.stream('bank__pay', { amount: 1 });
      const form = await asked(stream);
      expect((await vote(gateway, CONSOLE_KEY, await waiting(gateway, CONSOLE_KEY), decision)).status).toBe(
        200,
      );
      await final(stream);
      const methods = messagesOf(stream).map(({ method, params }) => [method, params?.['requestId']]);
      expect(methods).toEqual([
        ['elicitation/create', undefined],
        ['notifications/cancelled', form.id],
        [undefined, undefined],
      ]);
    },
  );

  it('sends the call once its user has said yes, with the bytes of the client', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const client = await connect(gateway.url, FORMS);
    const stream = await client.stream('bank__pay', { amount: 12.5, to: 'ann\u202e' });
    const form = await asked(stream);
    expect(form.params?.['message']).toContain('[mcpstead]');
    expect(form.params?.['message']).toContain('"amount": 12.5');
    expect(form.params?.['message']).toContain('ann\\u{202e}');
    expect(bank.calls).toEqual([]);
    await client.say({ id: form.id, result: { action: 'accept', content: { send: true } } });
    expect(textOf(await final(stream))).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 12.5, to: 'ann\u202e' }]);
    // Tools that are not held go on as before.
    expect(await client.tool('bank__look')).toBe('paid');
  });

  it.each([
    ['declines', { action: 'decline' }],
    ['does not check the box', { action: 'accept', content: { send: false } }],
  ])('sends nothing if he %s, nor the same call again', async (_, result) => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const client = await connect(gateway.url, FORMS);
    const stream = await client.stream('bank__pay', { amount: 1, to: 'x' });
    const form = await asked(stream);
    await client.say({ id: form.id, result });
    expect(codeOf(await final(stream))).toEqual([-32000, 'denied']);
    // The same call in another order is refused without a question.
    const again = await client.request('tools/call', {
      arguments: { to: 'x', amount: 1 },
      name: 'bank__pay',
    });
    expect(codeOf(again)).toEqual([-32000, 'denied']);
    expect(bank.calls).toEqual([]);
  });

  it.each([
    ['accepts without an answer', { action: 'accept' }],
    ['accepts with something else', { action: 'accept', content: { send: 'true' } }],
    ['closes the form', { action: 'cancel' }],
  ])('sends nothing if he %s', async (_, result) => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER, { approvals: { wait_seconds: { default: 1 } } });
    const client = await connect(gateway.url, FORMS);
    const stream = await client.stream('bank__pay');
    const form = await asked(stream);
    await client.say({ id: form.id, result });
    expect(codeOf(await final(stream))).toEqual([-32000, 'pending']);
    expect(bank.calls).toEqual([]);
  });

  it('counts an answer after the client has given up, for the same call', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const client = await connect(gateway.url, FORMS);
    const stream = await client.stream('bank__pay', { amount: 1 }, { id: 7 });
    const form = await asked(stream);
    await client.say({ method: 'notifications/cancelled', params: { requestId: 7 } });
    await client.say({ id: form.id, result: { action: 'accept', content: { send: true } } });
    expect(bank.calls).toEqual([]);
    expect(await client.tool('bank__pay', { amount: 1 })).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 1 }]);
    // One yes, one call.
    const next = await client.stream('bank__pay', { amount: 1 });
    await asked(next);
    expect(bank.calls).toHaveLength(1);
  });

  it('ends an earlier call when the same one is made again', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const client = await connect(gateway.url, FORMS);
    const first = await client.stream('bank__pay', { amount: 1 });
    const form = await asked(first);
    const second = client.request('tools/call', { name: 'bank__pay', arguments: { amount: 1 } });
    expect(codeOf(await final(first))).toEqual([-32000, 'superseded']);
    await client.say({ id: form.id, result: { action: 'accept', content: { send: true } } });
    expect(textOf(await second)).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 1 }]);
  });

  it('takes no answer of another session', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const [client, other] = [await connect(gateway.url, FORMS), await connect(gateway.url, FORMS)];
    const stream = await client.stream('bank__pay');
    const form = await asked(stream);
    const answer = await other.say({ id: form.id, result: { action: 'accept', content: { send: true } } });
    expect(answer.status).toBe(400);
    expect((await listed(gateway, CONSOLE_KEY)).map(({ state }) => state)).toEqual(['open']);
    expect(bank.calls).toEqual([]);
  });
});

describe('a call that others decide about', () => {
  it('waits, and is sent after the vote of another person', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_FINANCE, { auth: true });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const answered = client.request('tools/call', { name: 'bank__pay', arguments: { amount: 3 } });
    const shown = await waiting(gateway, AL);
    expect(shown).toMatchObject({
      may_vote: true,
      arguments: expect.stringContaining('"amount": 3') as string,
    });
    expect(bank.calls).toEqual([]);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    expect(textOf(await answered)).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 3 }]);
    expect((await vote(gateway, BO, shown, 'deny')).status).toBe(409);
  });

  it('is not sent after a no, whose note the caller reads', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_FINANCE, { auth: true });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const answered = client.request('tools/call', { name: 'bank__pay' });
    await vote(gateway, BO, await waiting(gateway, BO), 'deny', { note: 'ask Ann first' });
    const { error } = await answered;
    expect([error?.code, error?.message]).toEqual([
      -32000,
      expect.stringContaining('not sent: ask Ann first'),
    ]);
    expect(bank.calls).toEqual([]);
  });

  it('needs two persons, not two votes', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, { ...BY_FINANCE, need: 2 }, { auth: true });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const answered = client.request('tools/call', { name: 'bank__pay' });
    const shown = await waiting(gateway, AL);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    await vote(gateway, AL, shown);
    expect((await listed(gateway, AL))[0]).toMatchObject({ state: 'open' });
    expect(bank.calls).toEqual([]);
    await vote(gateway, BO, shown);
    expect(textOf(await answered)).toBe('paid');
  });

  it('is decided by nobody else: not its caller, nor his key, nor who only has the link, nor with another digest', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_FINANCE, { auth: true });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    void client.request('tools/call', { name: 'bank__pay' }).catch(() => undefined);
    const shown = await waiting(gateway, AL);
    const statuses = [
      await vote(gateway, AGENT, shown),
      await vote(gateway, OWN, shown),
      await vote(gateway, OTHER, shown),
      await send(
        `${gateway.base}/-/api/v1/approvals/${shown.id}`,
        { decision: 'approve', digest: shown.digest },
        { headers: { 'content-type': 'application/json' } },
      ),
      await vote(gateway, AL, { ...shown, digest: `${shown.digest.slice(1)}x` }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([403, 403, 404, 401, 409]);
    const foreign = await send(
      `${gateway.base}/-/api/v1/approvals/${shown.id}`,
      { decision: 'approve', digest: shown.digest },
      { headers: { ...keyed(AL), 'content-type': 'application/json', origin: 'https://evil.example' } },
    );
    expect(foreign.status).toBe(403);
    expect(await waiting(gateway, AL)).toMatchObject({ state: 'open' });
    expect(bank.calls).toEqual([]);
  });

  it('is seen by its caller, and by nobody who has nothing to do with it', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_FINANCE, { auth: true });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    void client.request('tools/call', { name: 'bank__pay' }).catch(() => undefined);
    await waiting(gateway, AL);
    expect(await listed(gateway, AGENT)).toMatchObject([{ may_vote: false }]);
    expect(await listed(gateway, OTHER)).toEqual([]);
  });

  it('is refused to callers that nobody can be', async () => {
    const bank = await bankOf();
    const nobody = { name: 'nobody', sha256: [hashApiKey(NOBODY)] };
    const machine = { name: 'robot', sha256: [hashApiKey(ROBOT)], owner: 'none' };
    const gateway = await start(bank, BY_FINANCE, { mcp: { auth: { keys: [...KEYS, nobody, machine] } } });
    const one = await connect(gateway.url, { headers: keyed(NOBODY), capabilities: {} });
    expect((await one.request('tools/call', { name: 'bank__pay' })).error?.message).toContain(
      'refused by policy',
    );
    const two = await connect(gateway.url, { headers: keyed(ROBOT), capabilities: {} });
    const answered = two.request('tools/call', { name: 'bank__pay' });
    await vote(gateway, AL, await waiting(gateway, AL));
    expect(textOf(await answered)).toBe('paid');
  });

  it('fails in time with the page, and is sent once it is repeated after the vote', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_FINANCE, {
      auth: true,
      approvals: { wait_seconds: { default: 0 } },
    });
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const { error } = await client.request('tools/call', { name: 'bank__pay', arguments: { b: 1, a: 'é' } });
    expect(error?.code).toBe(-32000);
    const data = error?.data as Json;
    expect(data).toMatchObject({
      reason: 'pending',
      url: `${gateway.base}/-/approvals/${String(data['id'])}`,
    });
    expect(error?.message).toContain('repeat exactly this call');
    const [shown] = await listed(gateway, AL);
    await vote(gateway, AL, shown as Shown);
    expect(bank.calls).toEqual([]);
    const params =
      '{"arguments":{"a":"\\u00e9","b":1},"name":"bank__pay","_meta":{"claudecode/toolUseId":"t"}}';
    const again = await post(
      gateway.url,
      `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":${params}}`,
      client.headers,
    );
    expect(textOf(message(again))).toBe('paid');
    expect(bank.calls).toEqual([{ a: 'é', b: 1 }]);
    // Used.
    const third = await client.request('tools/call', { name: 'bank__pay', arguments: { b: 1, a: 'é' } });
    expect(codeOf(third)).toEqual([-32000, 'pending']);
    expect(bank.calls).toHaveLength(1);
  });
});

const [NOBODY, ROBOT] = [createApiKey(), createApiKey()];

describe('a key for votes', () => {
  it('opens no endpoint of MCP', async () => {
    const gateway = await start(await bankOf(), BY_FINANCE, { auth: true });
    const init = { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} };
    for (const path of ['/mcp', '/servers/bank/mcp', '/servers/bank/sse'])
      expect(
        (
          await send(`${gateway.base}${path}`, path.endsWith('sse') ? undefined : init, {
            headers: { ...MCP_HEADERS, ...keyed(AL) },
          })
        ).status,
      ).toBe(403);
  });
});

describe('a client that can hear nothing before the answer', () => {
  it('gets the error at once: JSON alone, and in a batch', async () => {
    const bank = await bankOf();
    const gateway = await start(bank, BY_CALLER);
    const client = await connect(gateway.url, { protocolVersion: '2025-03-26' });
    const body = {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'bank__pay', arguments: { n: 1 } },
    };
    const alone = await post(client.url, body, { ...client.headers, ...JSON_ONLY });
    expect(codeOf(alone.json())).toEqual([-32000, 'pending']);
    const batch = await post(
      client.url,
      JSON.stringify([body, { ...body, id: 2, params: { name: 'bank__look' } }]),
      client.headers,
    );
    const answers = batch.json<JsonRpc[]>();
    expect(answers.map((each) => (each.error ? codeOf(each) : textOf(each)))).toEqual([
      [-32000, 'pending'],
      'paid',
    ]);
    expect(bank.calls).toHaveLength(1);
  });
});

describe.each(['legacy', 'modern'] as const)('a client of 2026-07-28, with a %s server', (era) => {
  const FORMS = { capabilities: { elicitation: { form: {} } } };
  const YES = { hold: { action: 'accept', content: { send: true } } };

  it('asks its user, and repeats the call', async () => {
    const bank = await bankOf(era);
    const gateway = await start(bank, BY_CALLER);
    const first = needs(await call(gateway.url, 'bank__pay', { amount: 2 }, FORMS));
    expect(only(first)).toMatchObject({
      key: 'hold',
      method: 'elicitation/create',
      params: { mode: 'form' },
    });
    expect(bank.calls).toEqual([]);
    const more = { requestState: first.requestState, inputResponses: YES };
    expect(textOf(await call(gateway.url, 'bank__pay', { amount: 2 }, { ...FORMS, more }))).toBe('paid');
    expect(bank.calls).toEqual([{ amount: 2 }]);
    // The state was used.
    const again = needs(await call(gateway.url, 'bank__pay', { amount: 2 }, { ...FORMS, more }));
    expect(only(again).key).toBe('hold');
    expect(bank.calls).toHaveLength(1);
  });

  it('sends nothing for a state that was altered, given for other arguments, or invented', async () => {
    const bank = await bankOf(era);
    const gateway = await start(bank, BY_CALLER);
    const { requestState } = needs(await call(gateway.url, 'bank__pay', { amount: 2 }, FORMS));
    const tried = async (args: object, state: string): Promise<unknown> => {
      const answer = await call(gateway.url, 'bank__pay', args, {
        ...FORMS,
        more: { requestState: state, inputResponses: YES },
      });
      return answer.error?.code ?? answer.result?.['resultType'];
    };
    expect(await tried({ amount: 2 }, `${requestState.slice(0, -2)}AA`)).toBe(-32602);
    expect(await tried({ amount: 3 }, requestState)).toBe(-32602);
    expect(await tried({ amount: 2 }, 'invented')).toBe(-32602);
    expect(bank.calls).toEqual([]);
  });

  it('sends nothing if he says no', async () => {
    const bank = await bankOf(era);
    const gateway = await start(bank, BY_CALLER);
    const { requestState } = needs(await call(gateway.url, 'bank__pay', {}, FORMS));
    const more = { requestState, inputResponses: { hold: { action: 'decline' } } };
    expect(codeOf(await call(gateway.url, 'bank__pay', {}, { ...FORMS, more }))).toEqual([-32603, 'denied']);
    expect(bank.calls).toEqual([]);
  });

  it('is not asked again by an empty answer to its form: it waits with its state alone', async () => {
    const gateway = await start(await bankOf(era), BY_CALLER, {
      approvals: { wait_seconds: { default: 0 } },
    });
    const { requestState } = needs(await call(gateway.url, 'bank__pay', {}, FORMS));
    const more = { requestState, inputResponses: { hold: { action: 'accept', content: {} } } };
    expect(needs(await call(gateway.url, 'bank__pay', {}, { ...FORMS, more })).inputRequests).toEqual({});
  });

  it('repeats its request while it waits for others, and the ninth time gets the error', async () => {
    const bank = await bankOf(era);
    const gateway = await start(bank, BY_FINANCE, {
      auth: true,
      approvals: { wait_seconds: { default: 0 } },
    });
    const options = { ...FORMS, headers: keyed(AGENT) };
    let state = needs(await call(gateway.url, 'bank__pay', {}, options)).requestState;
    for (let round = 1; round <= 8; round++) {
      const next = needs(
        await call(gateway.url, 'bank__pay', {}, { ...options, more: { requestState: state } }),
      );
      expect(next.inputRequests).toEqual({});
      state = next.requestState;
    }
    const last = await call(gateway.url, 'bank__pay', {}, { ...options, more: { requestState: state } });
    expect(codeOf(last)).toEqual([-32603, 'pending']);
    await vote(gateway, AL, (await listed(gateway, AL))[0] as Shown);
    expect(textOf(await call(gateway.url, 'bank__pay', {}, options))).toBe('paid');
    expect(bank.calls).toHaveLength(1);
  });
});
