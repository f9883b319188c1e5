/** Yeses that are void, and what is no yes at all, each at a real gateway: nothing is sent. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createGateway } from '../../../src/index.js';
import { createApiKey, hashApiKey } from '../../../src/lib/api-key.js';
import { tool } from '../../fixtures/servers/http-upstream.js';
import { atEnd } from '../../helpers/cleanup.js';
import { tempFile } from '../../helpers/cli.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { startReplicas } from '../../helpers/fleet.js';
import type { RunningGateway } from '../../helpers/gateway.js';
import {
  agent,
  AGENT,
  AL,
  approver,
  ASK,
  asked,
  AUTH,
  bankOf,
  BY_CALLER,
  BY_FINANCE,
  codeOf,
  heldConfig,
  keyed,
  KEYS,
  listed,
  only,
  OTHER,
  pay,
  PAY,
  PENDING,
  startHeld,
  TOOLS,
  type Shown,
  vote,
} from '../../helpers/held.js';
import { post, textOf, type JsonRpc } from '../../helpers/http.js';
import { call, needs } from '../../helpers/modern.js';
import { startStore } from '../../helpers/store.js';
import { until } from '../../helpers/wait.js';

/** What changes before the yes is used: the same call is a new question, or is refused. */
describe('a yes is void', () => {
  type Given = Awaited<ReturnType<typeof asked>>;
  const reload = ({ gateway, config }: Given, more: object): Promise<unknown> =>
    gateway.gateway.reload({ ...config, ...more });
  const changes: [string, string, (given: Given) => Promise<unknown>][] = [
    [
      'when the definition of the tool changes',
      'pending',
      async ({ bank, client }) => {
        await until(() => bank.upstream.streams.size > 0, 'the stream of the server');
        bank.upstream.setTools([tool('pay', { description: 'Pays twice.' })]);
        await until(async () => {
          const tools = await client.list('tools/list', 'tools');
          return tools.some(({ description }) => String(description).endsWith('Pays twice.'));
        }, 'the new definition');
      },
    ],
    [
      'when the entry changes',
      'pending',
      (given) =>
        reload(given, {
          policy: {
            default: 'allow',
            rules: [{ name: 'ask', hold: [{ ...BY_FINANCE, expires_seconds: 60 }] }],
          },
        }),
    ],
    [
      'when the server moves',
      'pending',
      async (given) => {
        // The old one and the new one count their calls together.
        const { upstream } = await bankOf('legacy', TOOLS, given.bank.calls);
        await reload(given, { servers: [{ name: 'bank', url: upstream.url }] });
      },
    ],
    [
      'when the key that gave it is withdrawn',
      'withdrawn',
      (given) =>
        reload(given, {
          mcp: { auth: { ...AUTH.mcp.auth, keys: KEYS.filter(({ name }) => name !== 'al-ok') } },
        }),
    ],
  ];

  it.each(changes)('%s: %s', async (_, reason, change) => {
    const given = await asked();
    const { bank, gateway, client, shown } = given;
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    await change(given);
    const answer = await pay(client, { amount: 7 });
    expect(answer.error?.code).toBe(-32000);
    expect(codeOf(answer)).toEqual([-32000, reason]);
    expect(bank.calls).toEqual([]);
  });

  it('when the key of its caller is withdrawn', async () => {
    const { bank, config, gateway, client, shown } = await asked();
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    const keys = KEYS.filter(({ name }) => name !== 'agent');
    await gateway.gateway.reload({ ...config, mcp: { auth: { ...AUTH.mcp.auth, keys } } });
    const body = {
      jsonrpc: '2.0',
      id: 5,
      method: 'tools/call',
      params: { name: PAY, arguments: { amount: 7 } },
    };
    expect((await post(client.url, body, client.headers)).status).toBe(401);
    expect(bank.calls).toEqual([]);
  });
});

describe('no vote', () => {
  it('is that of an operator, of the console key, or of a person for the second time', async () => {
    const AL_TOO = createApiKey();
    const more = approver('al-too', AL_TOO, 'corp:al');
    const BOSS = createApiKey();
    const boss = { name: 'boss', sha256: [hashApiKey(BOSS)], groups: ['finance'], owner: 'corp:boss' };
    const auth = { ...AUTH.mcp.auth, keys: [...KEYS, more, boss], admins: [{ ids: ['key:boss'] }] };
    const { bank, gateway, client, shown } = await asked(
      [{ name: 'ask', hold: [{ ...BY_FINANCE, need: 2 }] }],
      {
        mcp: { auth },
      },
    );
    for (const key of [CONSOLE_KEY, BOSS]) expect((await vote(gateway, key, shown)).status).toBe(403);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    const again = await vote(gateway, AL_TOO, shown);
    expect([again.status, again.text]).toEqual([409, expect.stringContaining('decided')]);
    expect(codeOf(await pay(client, { amount: 7 }))).toEqual(PENDING);
    expect(bank.calls).toEqual([]);
  });

  it('is that of the console key where others reach the gateway too; it is told the way on', async () => {
    const far = { mcp: {}, http: { public_url: 'https://mcp.example.com' } };
    const { bank, gateway, shown } = await asked([{ name: 'ask', hold: [BY_CALLER] }], far, CONSOLE_KEY);
    const { status, text } = await vote(gateway, CONSOLE_KEY, shown);
    expect([status, text]).toEqual([403, expect.stringContaining('a key with approver: true')]);
    expect(bank.calls).toEqual([]);
  });

  it('is what the receiver of the webhook answers', async () => {
    const heard: string[] = [];
    const hook = createServer((req, res) => {
      let text = '';
      req.on('data', (chunk: Buffer) => (text += chunk.toString()));
      req.on('end', () => {
        heard.push(text);
        const { id, digest } = (JSON.parse(text) as { data: { id: string; digest: string } }).data;
        res.writeHead(200, { 'content-type': 'application/json' });
        res.end(JSON.stringify({ decision: 'approve', approve: true, id, digest }));
      });
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    atEnd(() => hook.close());
    const { port } = hook.address() as AddressInfo;
    const secret = await tempFile('webhook.secret', `whsec_${Buffer.alloc(32, 7).toString('base64')}`);
    const webhook = { url: `http://127.0.0.1:${port}/x`, secret_file: secret };
    const { bank, gateway, client } = await asked([ASK], {
      ...{ approvals: { wait_seconds: { default: 0 }, webhook }, metrics: { auth: 'none' } },
    });
    const sent = 'mcpstead_approvals_webhook_total{result="delivered"} ';
    await until(async () => (await gateway.metrics()).includes(sent), 'the answer of the receiver');
    expect(heard[0]).not.toContain('amount');
    expect(codeOf(await pay(client, { amount: 7 }))).toEqual(PENDING);
    expect((await only(gateway)).state).toBe('open');
    expect(bank.calls).toEqual([]);
  });
});

describe('a state of a modern client', () => {
  it('is of no use to another caller, and not twice', async () => {
    const bank = await bankOf();
    const gateway = await startHeld(heldConfig(bank, [{ name: 'ask', hold: [BY_CALLER] }], 0));
    const forms = { capabilities: { elicitation: { form: {} } } };
    const made = (key: string, more: object = {}): Promise<JsonRpc> =>
      call(gateway.url, PAY, { n: 1 }, { ...forms, headers: keyed(key), more });
    const { requestState } = needs(await made(AGENT));
    const yes = { requestState, inputResponses: { hold: { action: 'accept', content: { send: true } } } };
    expect((await made(OTHER, yes)).error?.code).toBe(-32602);
    expect(bank.calls).toEqual([]);
    expect(textOf(await made(AGENT, yes))).toBe('paid');
    needs(await made(AGENT, yes));
    expect(bank.calls).toHaveLength(1);
  });
});

describe('without its store', () => {
  it('nothing is asked, voted or sent; what is not held goes on', async () => {
    const bank = await bankOf();
    const { state: _, ...config } = heldConfig(bank, [ASK], 0);
    const store = await startStore();
    const [gateway] = (await startReplicas(1, store, config, {
      wait: [],
      env: { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY },
    })) as [RunningGateway];
    const client = await agent(gateway);
    expect(codeOf(await pay(client, { amount: 7 }))).toEqual(PENDING);
    const shown = await only(gateway);
    expect((await vote(gateway, AL, shown)).status).toBe(200);
    expect(codeOf(await pay(client, { amount: 9 }))).toEqual(PENDING);
    const open = (await listed(gateway, AL)).find(({ state }) => state === 'open') as Shown;
    await store.kill();
    // With its yes, and without one.
    for (const args of [{ amount: 7 }, { amount: 8 }]) {
      const { error } = await pay(client, args);
      expect(error?.message).toContain('the records of approvals cannot be used now: nothing was sent');
    }
    expect((await vote(gateway, AL, open)).status).toBe(503);
    expect(bank.calls).toEqual([]);
    expect(await client.tool('bank__look')).toBe('paid');
  });
});

describe('a gateway with a rule that nobody can say yes to', () => {
  it('does not start', async () => {
    const { mcp: _, ...config } = heldConfig(await bankOf(), [ASK], 0);
    expect(() => createGateway({ ...config, host: '127.0.0.1', port: 0 })).toThrow(
      "rule 'ask': nobody can approve",
    );
  });
});
