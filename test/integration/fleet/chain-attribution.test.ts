/** Clients of one replica that use a server which another one runs: whose a question is, and what answers may be. */
import { describe, expect, it } from 'vitest';
import { useChain } from '../../helpers/chain.js';
import { createUpstream, tool, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway, type RunningGateway } from '../../helpers/gateway.js';
import { textOf } from '../../helpers/http.js';
import { connect, final, heard } from '../../helpers/legacy.js';
import { call, EVERYTHING, needs } from '../../helpers/modern.js';
import { until } from '../../helpers/wait.js';

useChain();

const FORM = { message: 'm', requestedSchema: { type: 'object', properties: {} } };

/** A server whose questions come on a channel that all calls share, as those of a stdio server do. */
async function shared(): Promise<{ upstream: Upstream; running: RunningGateway }> {
  const upstream = await createUpstream({
    tools: [tool('quick'), tool('ask')],
    sessions: true,
    getStream: true,
    async onCall(asked) {
      if (asked.params.name === 'quick') return asked.text('done');
      const id = `own-${String(asked.message.id)}`;
      asked.upstream.announce({ id, method: 'elicitation/create', params: FORM });
      const found = await until(
        () => asked.upstream.requests.find(({ message }) => message.id === id)?.message,
      );
      asked.text(JSON.stringify(found.error?.code ?? found.result));
    },
  });
  const running = await startGateway({ servers: [upstream.entry('s')] });
  await until(() => upstream.streams.size === 1);
  return { upstream, running };
}

describe('a late question about the call of one client', () => {
  it('is refused while another client of the same replica has a call, though both say the same of themselves', async () => {
    const { running } = await shared();
    const [x, y] = [await connect(running.url), await connect(running.url)];
    expect(await x.tool('s__quick')).toBe('done');
    // The question may be a late one about the call of the first client.
    expect(await y.tool('s__ask')).toBe('-32603');
  });

  it('is asked of a client that was alone with the server', async () => {
    const { running } = await shared();
    const x = await connect(running.url);
    const stream = await x.stream('s__ask');
    const [question] = await heard(stream, 'elicitation/create');
    await x.say({ id: question?.id, result: { action: 'decline' } });
    expect(textOf(await final(stream))).toBe('{"action":"decline"}');
  });

  it('is not asked of a client that names itself in its request as another one', async () => {
    const { upstream, running } = await shared();
    const who = { capabilities: EVERYTHING, clientInfo: { name: 'one', version: '1' } };
    await call(running.url, 's__quick', {}, who);
    const seen = upstream.calls('quick')[0]?.message.params?._meta ?? {};
    // The server itself is told nothing of it.
    expect(Object.keys(seen).filter((key) => key.startsWith('mcpstead/'))).toEqual([]);
    const forged = { _meta: { 'mcpstead/client': `l1.${'A'.repeat(22)}.${'A'.repeat(16)}` } };
    const other = { ...who, clientInfo: { name: 'other', version: '1' } };
    for (const base of [running.url, running.far.url])
      expect(textOf(await call(base, 's__ask', {}, { ...other, meta: forged._meta }))).toBe('-32603');
  });
});

describe('an error of a client as its answer', () => {
  it('reaches a legacy server as it is, and the call goes on', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      answer: 'sse',
      async onCall(asked) {
        const { error, result } = await asked.ask(String(asked.args['method']), FORM);
        asked.text(JSON.stringify(error ?? result));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const client = await connect(running.url);
    for (const method of ['elicitation/create', 'sampling/createMessage']) {
      const stream = await client.stream('s__ask', { method });
      const [question] = await heard(stream, method);
      const error = { code: -32050, message: 'no', data: { why: 1.5 } };
      await client.say({ id: question?.id, error });
      expect(JSON.parse(textOf(await final(stream)))).toEqual(error);
    }
    await until(async () => (await running.far.metric('mcpstead_parked_calls')) === 0);
  });

  it('has no such form for a modern client, whose answer stays a result', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      answer: 'sse',
      async onCall(asked) {
        const { error, result } = await asked.ask('elicitation/create', FORM);
        asked.text(JSON.stringify({ error, result }));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const who = { capabilities: EVERYTHING };
    const first = needs(await call(running.server('s'), 'ask', {}, who));
    const [key] = Object.keys(first.inputRequests) as [string];
    const answer = { error: { code: -32050, message: 'no' } };
    const more = { requestState: first.requestState, inputResponses: { [key]: answer } };
    expect(JSON.parse(textOf(await call(running.server('s'), 'ask', {}, { ...who, more })))).toEqual({
      result: answer,
    });
  });
});
