/** Limits for calls, on the wire: docs/limits.md. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createApiKey } from '../../src/lib/api-key.js';
import { createUpstream, tool, type Call } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, JSON_ONLY, post, type JsonRpc } from '../helpers/http.js';
import * as modern from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

describe('a rate limit', () => {
  it('answers the call after the burst with rate_limited, HTTP 200 and a true Retry-After, in both eras', async () => {
    const upstream = await createUpstream({ tools: [tool('t')] });
    const running = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      limits: { rules: [{ name: 'slow', per_second: 1, burst: 2 }] },
    });
    const { url } = running;
    const before = upstream.received('tools/call').length;
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await post(url, callBody('s__t'), JSON_ONLY));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const refused = answers[2];
    expect(refused?.headers['retry-after']).toBe('1');
    const error = {
      code: -32000,
      message: "too many calls: rule 'slow' allows 1 a second; try again in 1 s",
    };
    expect(refused?.json()).toMatchObject({ id: 1, error: { ...error, data: { retryAfter: 1 } } });
    const other = await modern.ask(url, 'tools/call', { name: 's__t', arguments: {} });
    expect([other.status, other.headers['retry-after']]).toEqual([200, '1']);
    expect(other.json<JsonRpc>().error).toMatchObject({ ...error, code: -32603 });
    // Only admitted calls reached the server; what is no call is not limited.
    expect(upstream.received('tools/call').length - before).toBe(2);
    const list = await post(url, { jsonrpc: '2.0', id: 2, method: 'tools/list' }, JSON_ONLY);
    expect(list.json().result).toBeDefined();
    expect(await running.metric('mcpstead_rate_limited_total{rule="slow"}')).toBe(2);
    expect(await running.metric('mcpstead_policy_decisions_total{decision="limit"}')).toBe(2);
    await until(async () => (await post(url, callBody('s__t'), JSON_ONLY)).json().result);
  });

  it('ends with the call: the next one is let in however the last one ended', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('t')], onCall: (call) => held.push(call) });
    const { url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      limits: { rules: [{ name: 'one', per_second: 1000, burst: 1000, concurrent: 1 }] },
    });
    const endings: ((call: Call) => void)[] = [
      (call) => call.text('fine'),
      (call) => call.error(-32000, 'broken'),
      (call) => call.res.destroy(),
    ];
    for (const end of endings) {
      const answer = post(url, callBody('s__t'), JSON_ONLY);
      const call = await until(() => held.shift());
      const second = await post(url, callBody('s__t'), JSON_ONLY);
      expect(second.json().error?.message).toContain("rule 'one' allows 1 at a time");
      end(call);
      await answer;
    }
    const gone = new AbortController();
    const lost = modern.ask(url, 'tools/call', { name: 's__t' }, { signal: gone.signal });
    lost.catch(() => undefined);
    await until(() => held.shift());
    gone.abort();
    // The gateway learns of the disconnect on its own time.
    const last = await until(async () => {
      const answer = post(url, callBody('s__t'), JSON_ONLY);
      return Promise.race([
        answer.then(() => undefined),
        until(() => held.shift()).then((call) => ({ call, answer })),
      ]);
    });
    last.call.text('fine');
    expect((await last.answer).json().result).toBeDefined();
  });
});

describe('a fair share', () => {
  it('leaves room: one at its share waits, another is served', async () => {
    const held: Call[] = [];
    const upstream = await createUpstream({ tools: [tool('t')], onCall: (call) => held.push(call) });
    const [ann, bob] = ['ann', 'bob'].map((name) => {
      const key = createApiKey();
      return { name, key, sha256: [createHash('sha256').update(key).digest('base64url')] };
    }) as [{ name: string; key: string; sha256: string[] }, { name: string; key: string; sha256: string[] }];
    const { url } = await startGateway({
      servers: [{ name: 's', url: upstream.url }],
      mcp: { auth: { keys: [ann, bob].map(({ name, sha256 }) => ({ name, sha256 })) } },
      limits: { in_flight: 4, share: 0.5 },
    });
    const call = (key: string) =>
      post(url, callBody('s__t'), { ...JSON_ONLY, authorization: `Bearer ${key}` });
    const running = [call(bob.key), call(ann.key), call(ann.key)];
    await until(() => held.length === 3);
    const third = await call(ann.key);
    expect(third.status).toBe(200);
    expect(third.json().error?.message).toContain('limits.share');
    running.push(call(bob.key));
    await until(() => held.length === 4);
    for (const each of held) each.text('fine');
    for (const answer of await Promise.all(running)) expect(answer.json().result).toBeDefined();
  });
});
