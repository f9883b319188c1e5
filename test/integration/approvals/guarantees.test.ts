/** What a hold promises, each at a real gateway: what is held is sent by its yes alone, and as it was shown. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { tool } from '../../fixtures/servers/http-upstream.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import {
  agent,
  AGENT,
  AL,
  ASK,
  asked,
  bankOf,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  listed,
  only,
  OTHER,
  pay,
  PAY,
  PENDING,
  startHeld,
  TOOLS,
  vote,
  waiting,
  type Bank,
} from '../../helpers/held.js';
import { openSse, post, textOf, type JsonRpc } from '../../helpers/http.js';
import { until } from '../../helpers/wait.js';

/** The bodies of the calls as they came to the bank. */
const bodies = ({ upstream }: Bank): string[] =>
  upstream.requests.filter(({ message }) => message.method === 'tools/call').map(({ text }) => text);

/** Moves the clock of the gateway, which is in this process. */
function later(seconds: number): void {
  vi.setSystemTime(Date.now() + seconds * 1000);
}

describe('a call', () => {
  it('is the same bytes on both sides, whether no rule holds, a rule holds another tool, or it had its yes', async () => {
    const spelled = '{"arguments": {"b":1.50,  "a":"\\u00e9", "n":1e2}, "name":"bank__pay"}';
    const ways: [object[], boolean][] = [
      [[{ name: 'no', deny: [{ tools: ['x'] }] }], false],
      [[{ name: 'ask', hold: [{ ...BY_FINANCE, tools: ['look'] }] }], false],
      [[ASK], true],
    ];
    const seen = [];
    for (const [rules, isHeld] of ways) {
      const bank = await bankOf();
      const gateway = await startHeld(heldConfig(bank, rules, 30));
      const client = await agent(gateway);
      const body = `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":${spelled}}`;
      const answered = post(client.url, body, {
        ...client.headers,
        accept: 'application/json, text/event-stream',
      });
      if (isHeld) await vote(gateway, AL, await waiting(gateway, AL));
      const { text } = await answered;
      const sent = bodies(bank);
      expect(sent).toHaveLength(1);
      seen.push({
        sent: sent[0]?.slice(sent[0].indexOf('"params"')),
        answer: text.slice(text.indexOf('{')).trim(),
      });
    }
    expect(seen[0]?.sent).toContain('{"b":1.50,  "a":"\\u00e9", "n":1e2}');
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[2]).toEqual(seen[0]);
  });

  it('is listed like before while it is held', async () => {
    const lists = [];
    for (const rules of [[], [ASK]]) {
      const gateway = await startHeld(heldConfig(await bankOf(), rules, 0));
      lists.push(await (await agent(gateway)).list('tools/list', 'tools'));
    }
    expect(lists[0]).toHaveLength(TOOLS.length);
    expect(lists[1]).toEqual(lists[0]);
  });

  it('that two readers read in two ways, or that is huge, is refused without a question', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 0));
    const client = await agent(gateway);
    const ways = [
      '{"amount":1,"amount":900}',
      '{"amount":1,"\\u0061mount":900}',
      '{"amount":1,"AMOUNT":900}',
      '{"amount":1,"\\uff41mount":900}',
      '{"amount":9007199254740993}',
      '{"to":"\\ud800"}',
      `{"to":"${'x'.repeat(70_000)}"}`,
    ];
    for (const args of ways) {
      const params = `{"name":"bank__pay","arguments":${args}}`;
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
      const answer = (await post(client.url, body, client.headers)).json();
      expect([args.slice(0, 40), answer.error?.message]).toEqual([
        args.slice(0, 40),
        expect.stringContaining("refused by policy: rule 'ask'"),
      ]);
    }
    expect(await listed(gateway, CONSOLE_KEY)).toEqual([]);
    expect(bank.calls).toEqual([]);
  });

  it('of one who floods is busy, and others are served', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(
      heldConfig(bank, [ASK], 0, { approvals: { wait_seconds: { default: 0 }, per_principal: 3 } }),
    );
    const client = await agent(gateway);
    const answers = [];
    for (let n = 0; n < 6; n++) answers.push(await pay(client, { n }));
    expect(answers.map((each) => (each.error?.data as { reason?: string } | undefined)?.reason)).toEqual([
      ...['pending', 'pending', 'pending'],
      ...[undefined, undefined, undefined],
    ]);
    expect(answers[3]?.error?.message).toContain('too many calls wait for a yes');
    expect(codeOf(await pay(await agent(gateway, OTHER), { n: 1 }))).toEqual(PENDING);
    expect(await client.tool('bank__look')).toBe('paid');
    expect(bank.calls).toHaveLength(1);
  });
});

describe('every way to a held tool', () => {
  const PROFILE = {
    name: 'desk',
    search: 'on',
    overrides: { bank__pay: { name: 'give', arguments: { to: { value: 'ann' } } } },
  };

  it.each<[string, (gateway: RunningGateway) => string, string, object, string]>([
    ['the endpoint of its server', ({ base }) => `${base}/servers/bank/mcp`, 'pay', {}, '{}'],
    ['a profile', ({ base }) => `${base}/profiles/desk/mcp`, 'bank__give', { n: 1 }, '"to": "ann"'],
    [
      'the tool that calls what a search finds',
      ({ base }) => `${base}/profiles/desk/mcp`,
      'call_tool',
      { name: 'bank__give', arguments: { n: 1 } },
      '"to": "ann"',
    ],
  ])('waits, and is sent as it was shown: %s', async (_, urlOf, name, args, text) => {
    const properties = { to: { type: 'string' }, n: { type: 'number' } };
    const bank = await bankOf('legacy', [tool('pay', { inputSchema: { type: 'object', properties } })]);
    const gateway = await startHeld(heldConfig(bank, [ASK], 0, { profiles: [PROFILE] }));
    const client = await agent({ url: urlOf(gateway) });
    const made = (): Promise<JsonRpc> => client.request('tools/call', { name, arguments: args });
    const first = await made();
    expect([first.error?.code, bank.calls]).toEqual([-32000, []]);
    const shown = await only(gateway);
    expect(shown.arguments).toContain(text);
    await vote(gateway, AL, shown);
    expect(textOf(await made())).toBe('paid');
    expect(bank.calls).toEqual([JSON.parse(shown.arguments)]);
  });

  it('waits under its alias, where names are short', async () => {
    const long = `pay_${'x'.repeat(60)}`;
    const bank = await bankOf('legacy', [tool(long)]);
    const rule = { name: 'ask', hold: [{ ...BY_FINANCE, tools: ['pay_*'] }] };
    const gateway = await startHeld(heldConfig(bank, [rule], 0, { limits: { name_length: 40 } }));
    const client = await agent(gateway);
    const [listing] = await client.list('tools/list', 'tools');
    const name = String(listing?.['name']);
    expect(name.length).toBeLessThanOrEqual(40);
    for (const each of [name, `bank__${long}`])
      expect(codeOf(await client.request('tools/call', { name: each }))).toEqual(PENDING);
    await only(gateway);
    expect(bank.calls).toEqual([]);
  });

  it('waits over HTTP+SSE', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [ASK], 30));
    const stream = await openSse(`${gateway.base}/sse`, undefined, keyed(AGENT));
    const endpoint = new URL((await stream.next()).data, gateway.base).href;
    const say = (body: object) => post(endpoint, { jsonrpc: '2.0', ...body }, keyed(AGENT));
    const clientInfo = { name: 'old', version: '0' };
    const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo };
    await say({ id: 0, method: 'initialize', params });
    await say({ method: 'notifications/initialized' });
    await say({ id: 1, method: 'tools/call', params: { name: PAY, arguments: { n: 1 } } });
    const shown = await waiting(gateway, AL);
    expect(bank.calls).toEqual([]);
    await vote(gateway, AL, shown);
    const answer = await until(
      () => stream.events.map(({ data }) => data).find((data) => data.includes('"id":1')),
      'the answer',
    );
    expect(textOf(JSON.parse(answer) as JsonRpc)).toBe('paid');
    expect(bank.calls).toEqual([{ n: 1 }]);
  });
});

describe('a yes that came too late', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is refused once nobody has answered in time, and nothing is sent', async () => {
    const { bank, gateway, client, shown } = await asked();
    later(16 * 60);
    const late = await vote(gateway, AL, shown);
    expect([late.status, late.text]).toEqual([409, expect.stringContaining('nobody answered in time')]);
    // The record has ended: the same call is a new question.
    expect(codeOf(await pay(client, { amount: 7 }))).toEqual(PENDING);
    expect(bank.calls).toEqual([]);
  });

  it('ends a call that waits, which is told so', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(
      heldConfig(bank, [{ name: 'ask', hold: [{ ...BY_FINANCE, expires_seconds: 10 }] }], 3000),
    );
    const answered = pay(await agent(gateway));
    await waiting(gateway, AL);
    later(11);
    const answer = await answered;
    expect(codeOf(answer)).toEqual([-32000, 'expired']);
    expect(answer.error?.message).toContain('nobody answered in 10 s');
    expect(bank.calls).toEqual([]);
  });

  it('is not used after use_seconds', async () => {
    const { bank, gateway, client, shown } = await asked();
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    later(11 * 60);
    expect((await pay(client, { amount: 7 })).error?.code).toBe(-32000);
    expect(bank.calls).toEqual([]);
  });
});
