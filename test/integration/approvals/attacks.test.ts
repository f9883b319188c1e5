/** Attacks on held calls: by their callers, by those who may see them but not vote, and by changes at the wrong moment. */
import { describe, expect, it } from 'vitest';
import type { ConfigInput } from '../../../src/index.js';
import { tool } from '../../fixtures/servers/http-upstream.js';
import { startReplicas } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import { logInAt, startGuarded } from '../../helpers/guarded.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import {
  AGENT,
  AL,
  api,
  AUTH,
  bankOf,
  BY_CALLER,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  KEYS,
  listed,
  startHeld,
  VIEWER,
  vote,
  waiting,
  type Shown,
} from '../../helpers/held.js';
import { post, textOf, type JsonRpc } from '../../helpers/http.js';
import { connect, heard } from '../../helpers/legacy.js';
import { call, needs, only } from '../../helpers/modern.js';
import { startStore } from '../../helpers/store.js';

const ASK = { name: 'ask', hold: [BY_FINANCE] };

describe('a yes', () => {
  it('is given back if the server could not be reached', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 0));
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const pay = (): Promise<JsonRpc> => client.request('tools/call', { name: 'bank__pay' });
    await pay();
    await vote(gateway, AL, (await listed(gateway, AL))[0] as Shown);
    await bank.upstream.stop();
    expect((await pay()).error?.message).toContain('ECONNREFUSED');
    expect((await listed(gateway, AL)).map(({ state }) => state)).toEqual(['approved']);
  });
});

describe('a waiting call', () => {
  it('ends when the rule that holds it is taken away', async () => {
    const bank = await bankOf();
    const config = heldConfig(bank, [ASK], 60);
    const gateway = await startHeld(config);
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const answered = client.request('tools/call', { name: 'bank__pay' });
    await waiting(gateway, AL);
    await gateway.gateway.reload({ ...config, policy: { default: 'allow', rules: [] } });
    expect(codeOf(await answered)).toEqual([-32000, 'policy_changed']);
    expect(bank.calls).toEqual([]);
  });

  it('shows in the form what is sent besides, though it is not part of the yes', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_CALLER] }], 30, { mcp: {} }));
    const client = await connect(gateway.url, { capabilities: { elicitation: { form: {} } } });
    const stream = await client.stream('bank__pay', { a: 1 }, { meta: { 'claudecode/x': 'all of it' } });
    const [form] = await heard(stream, 'elicitation/create');
    expect(form?.params?.['message']).toContain('not part of the yes:\n{\n  "claudecode/x": "all of it"\n}');
  });

  it('takes no answer of a form that can be read in two ways', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_CALLER] }], 0));
    const client = await connect(gateway.url, {
      headers: keyed(AGENT),
      capabilities: { elicitation: { form: {} } },
    });
    const stream = await client.stream('bank__pay');
    const [form] = await heard(stream, 'elicitation/create');
    const result = '{"action":"decline","action":"accept","content":{"send":true}}';
    await post(client.url, `{"jsonrpc":"2.0","id":${String(form?.id)},"result":${result}}`, client.headers);
    expect((await listed(gateway, CONSOLE_KEY)).map(({ state }) => state)).toEqual(['open']);
    expect(bank.calls).toEqual([]);
  });
});

describe('who sees a call and has shown no person', () => {
  it.each([
    ['a viewer', VIEWER],
    ['the key that made it', AGENT],
  ])('neither approves nor denies it, nor takes back its yes: %s', async (_, key) => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 0));
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    const pay = (): Promise<JsonRpc> => client.request('tools/call', { name: 'bank__pay' });
    expect(codeOf(await pay())).toEqual([-32000, 'pending']);
    const [shown] = (await listed(gateway, AL)) as [Shown];
    expect((await vote(gateway, key, shown)).status).toBe(403);
    expect((await vote(gateway, key, shown, 'deny')).status).toBe(403);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    expect((await api(gateway, `approvals/${shown.id}`, key, undefined, 'DELETE')).status).toBe(403);
    expect(textOf(await pay())).toBe('paid');
    expect(bank.calls).toHaveLength(1);
  });
});

describe.each(['legacy', 'modern'] as const)('while a call of a %s client waits', (era) => {
  const cases: [string, object][] = [
    [
      'another rule holds it too',
      { rules: [ASK, { name: 'more', hold: [{ tools: ['pay'], by: [{ ids: ['key:al-ok'] }] }] }] },
    ],
    ['a rule denies it', { rules: [ASK, { name: 'no', deny: [{ tools: ['pay'] }] }] }],
    [
      'its caller comes into a group that may not make it',
      {
        rules: [ASK, { name: 'no', who: { groups: ['guests'] }, deny: [{ tools: ['pay'] }] }],
        keys: [{ ...KEYS[0], groups: ['guests'] }, ...KEYS.slice(1)],
      },
    ],
  ];

  it.each(cases)('it is judged again: %s', async (_, change) => {
    const { rules, keys = KEYS } = change as { rules: object[]; keys?: object[] };
    const bank = await bankOf();
    const config = heldConfig(bank, [ASK], 30);
    const gateway = await startHeld(config);
    const answered =
      era === 'modern'
        ? call(gateway.url, 'bank__pay', {}, { headers: keyed(AGENT) })
        : connect(gateway.url, { headers: keyed(AGENT), capabilities: {} }).then((client) =>
            client.request('tools/call', { name: 'bank__pay' }),
          );
    const shown = await waiting(gateway, AL);
    const auth = { ...AUTH.mcp.auth, keys };
    await gateway.gateway.reload({
      ...config,
      policy: { default: 'allow', rules },
      mcp: { auth },
    } as ConfigInput);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    expect((await answered).error).toBeDefined();
    expect(bank.calls).toEqual([]);
  });
});

describe('a yes', () => {
  it('is for one of many equal calls at once', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 0));
    const options = { headers: keyed(AGENT), capabilities: {} };
    const clients = [await connect(gateway.url, options), await connect(gateway.url, options)] as const;
    const pay = (n: number): Promise<JsonRpc> =>
      (clients[n % 2] ?? clients[0]).request('tools/call', { name: 'bank__pay' });
    await pay(0);
    await vote(gateway, AL, ((await listed(gateway, AL)) as [Shown])[0]);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => pay(n)));
    expect(answers.filter(({ result }) => result)).toHaveLength(1);
    expect(bank.calls).toHaveLength(1);
  });

  it('is for one of many equal calls at two replicas', async () => {
    const bank = await bankOf();
    const { state: _, ...config } = heldConfig(bank, [ASK], 0);
    const store = await startStore();
    const [a, b] = (await startReplicas(2, store, config, { wait: [] })) as [RunningGateway, RunningGateway];
    const options = { headers: keyed(AGENT), capabilities: {} };
    const clients = [await connect(a.url, options), await connect(b.url, options)] as const;
    const pay = (n: number): Promise<JsonRpc> =>
      (clients[n % 2] ?? clients[0]).request('tools/call', { name: 'bank__pay' });
    await pay(0);
    expect((await vote(b, AL, ((await listed(b, AL)) as [Shown])[0])).status).toBe(200);
    const answers = await Promise.all(Array.from({ length: 12 }, (_each, n) => pay(n)));
    expect(answers.filter(({ result }) => result)).toHaveLength(1);
    expect(bank.calls).toHaveLength(1);
  });

  it('is for what was shown: header lines of a client that its tool does not declare are not sent', async () => {
    const bank = await bankOf('modern');
    const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_CALLER] }], 0, { mcp: {} }));
    const forms = { capabilities: { elicitation: { form: {} } }, headers: { 'mcp-param-amount': '9' } };
    const { requestState } = needs(await call(gateway.url, 'bank__pay', { amount: 1 }, forms));
    const inputResponses = { hold: { action: 'accept', content: { send: true } } };
    const more = { requestState, inputResponses };
    expect(textOf(await call(gateway.url, 'bank__pay', { amount: 1 }, { ...forms, more }))).toBe('paid');
    await call(gateway.url, 'bank__look', {}, forms);
    const lines = bank.upstream.requests
      .filter(({ message }) => message.method === 'tools/call')
      .map(({ message, headers }) => [message.params?.name, headers['mcp-param-amount']]);
    expect(lines).toEqual([
      ['pay', undefined],
      ['look', '9'],
    ]);
  });
});

describe('a hold of a tool', () => {
  it('holds names that its server may take for it', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 0));
    const client = await connect(gateway.url, { headers: keyed(AGENT), capabilities: {} });
    for (const name of ['PAY', 'pay ', '\uff50ay', 'pay\u200b', 'p\u0430y', 'pay\u0001'])
      expect(codeOf(await client.request('tools/call', { name: `bank__${name}` }))).toEqual([
        -32000,
        'pending',
      ]);
    expect(bank.calls).toEqual([]);
    expect(await client.tool('bank__look')).toBe('paid');
  });
});

describe('a modern client whose user logs in to the server first', () => {
  it('is asked for its yes when it repeats the call, and then it is sent', async () => {
    const { upstream } = await startGuarded({ legacy: { tools: [tool('pay')] } });
    const config = heldConfig({ upstream, calls: [] }, [{ name: 'ask', hold: [BY_CALLER] }], 0, {
      servers: [upstream.entry('bank')],
      mcp: {},
    });
    const gateway = await startHeld(config);
    const options = { capabilities: { elicitation: { form: {}, url: {} } } };
    const pay = (more: object): Promise<JsonRpc> =>
      call(gateway.url, 'bank__pay', { a: 1 }, { ...options, more });
    const login = needs(await pay({}));
    await logInAt(only(login).params['url'] as string);
    const { requestState } = login;
    const held = needs(await pay({ requestState, inputResponses: { login: { action: 'accept' } } }));
    expect(only(held).key).toBe('hold');
    const yes = { hold: { action: 'accept', content: { send: true } } };
    const answer = await pay({ requestState: held.requestState, inputResponses: yes });
    expect(textOf(answer)).toBe('{"a":1}');
  });
});

describe('a client that opens pages', () => {
  it('is told once that a call has its yes, however often it was made', async () => {
    const bank = await bankOf();
    const hold = { ...BY_CALLER, confirm: 'page' };
    const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [hold] }], 0, { mcp: {} }));
    const client = await connect(gateway.url, { capabilities: { elicitation: { url: {} } } });
    const stream = await client.listen();
    const pay = (n: number): Promise<JsonRpc> =>
      client.request('tools/call', { name: 'bank__pay', arguments: { n } });
    for (let tries = 0; tries < 5; tries++) expect((await pay(1)).error?.code).toBe(-32042);
    await pay(2);
    // The notifications come in order: that of the second call is the last.
    const [one, two] = (await listed(gateway, CONSOLE_KEY)) as [Shown, Shown];
    await vote(gateway, CONSOLE_KEY, one);
    await heard(stream, 'notifications/elicitation/complete');
    await vote(gateway, CONSOLE_KEY, two);
    const told = await heard(stream, 'notifications/elicitation/complete', 2);
    expect(told.map(({ params }) => params?.['elicitationId'])).toEqual([one.id, two.id]);
  });
});
