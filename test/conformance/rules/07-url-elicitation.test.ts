import { describe, expect, it } from 'vitest';
import { createUpstream, tool, type Upstream } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { textOf, type JsonRpc } from '../../helpers/http.js';
import { connect, final, heard, messagesOf } from '../../helpers/legacy.js';
import { call, createModernUpstream, EVERYTHING, needs, only } from '../../helpers/modern.js';
import { sleep, timer, until } from '../../helpers/wait.js';

const URL_ONE = 'https://login.test/one';
const able = { capabilities: EVERYTHING };
const ELICITATION = { mode: 'url', elicitationId: 'e-1', url: URL_ONE, message: 'Sign in', extra: 1 };

/** Answers with the error until it was visited. `waits`: what must have gone by between a call and the next one. */
async function needing(
  visits = 1,
  waits: readonly number[] = [],
): Promise<{ upstream: Upstream; url: string; merged: string; early: boolean[] }> {
  let asked = 0;
  const early: boolean[] = [];
  let least = timer(0);
  const upstream = await createUpstream({
    tools: [tool('need')],
    onCall(request) {
      early.push(asked > 0 && !least.rung);
      least = timer(waits[asked] ?? 0);
      if (asked++ < visits) request.error(-32042, 'go there', { elicitations: [ELICITATION] });
      else request.text('welcome');
    },
  });
  const running = await startGateway({ servers: [upstream.entry('s')] });
  return { upstream, url: running.server('s'), merged: running.url, early };
}

describe('7: the error -32042 of a legacy server to a modern client', () => {
  it('asks to open the URLs, parks nothing, and makes the call anew once they are opened', async () => {
    const { upstream, url } = await needing();
    const { inputRequests, requestState } = needs(await call(url, 'need', { a: 1 }, able));
    expect(Object.values(inputRequests)).toEqual([
      {
        method: 'elicitation/create',
        params: { mode: 'url', url: URL_ONE, message: 'Sign in', extra: 1 },
      },
    ]);
    const [key] = Object.keys(inputRequests) as [string];
    const inputResponses = { [key]: { action: 'accept' } };
    const answer = await call(url, 'need', { a: 1 }, { ...able, more: { requestState, inputResponses } });
    expect(textOf(answer)).toBe('welcome');
    const [first, second] = upstream.calls('need').map(({ message }) => message.params);
    expect([first?.arguments, second?.arguments]).toEqual([{ a: 1 }, { a: 1 }]);
    expect(JSON.stringify(second)).not.toMatch(/requestState|inputResponses/);
  });

  it('says on the merged endpoint who asks', async () => {
    const { merged } = await needing();
    const { inputRequests } = needs(await call(merged, 's__need', {}, able));
    expect(Object.values(inputRequests)[0]?.params['message']).toBe('[s] Sign in');
  });

  it('ends where the client does not accept', async () => {
    const { upstream, url } = await needing();
    const { inputRequests, requestState } = needs(await call(url, 'need', {}, able));
    const [key] = Object.keys(inputRequests) as [string];
    for (const inputResponses of [{ [key]: { action: 'decline' } }, {}]) {
      const answer = await call(url, 'need', {}, { ...able, more: { requestState, inputResponses } });
      expect(answer.error?.code).toBe(-32603);
    }
    expect(upstream.calls('need')).toHaveLength(1);
  });

  it('is -32021 where the client cannot be sent to a URL', async () => {
    const { url } = await needing();
    const answer = await call(url, 'need', {}, { capabilities: { elicitation: { form: {} } } });
    expect(answer.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { elicitation: { url: {} } } },
    });
  });

  it('does not show a URL a second time that was opened: it asks the server again, slower and slower', async () => {
    const { url, early } = await needing(3, [0, 950, 1950]);
    const { inputRequests, requestState } = needs(await call(url, 'need', {}, able));
    const [key] = Object.keys(inputRequests) as [string];
    const more = { requestState, inputResponses: { [key]: { action: 'accept' } } };
    expect(textOf(await call(url, 'need', {}, { ...able, more }))).toBe('welcome');
    expect(early).toEqual([false, false, false, false]);
  });

  it('passes as it is to a legacy client', async () => {
    const { url } = await needing();
    const client = await connect(url);
    const answer = await final(await client.stream('need'));
    expect(answer.error).toMatchObject({ code: -32042, data: { elicitations: [ELICITATION] } });
  });
});

describe('7: a legacy server that asks for a URL during a call', () => {
  it('is told of the answer; a modern client knows no id, and hears of no completion', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      async onCall(request) {
        const answer = await request.ask('elicitation/create', ELICITATION);
        request.notify('notifications/elicitation/complete', { elicitationId: 'e-1' });
        await sleep(50);
        request.text(JSON.stringify(answer.result));
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const needed = needs(await call(running.server('s'), 'ask', {}, able));
    const { requestState } = needed;
    const { key, params } = only(needed);
    expect(params).not.toHaveProperty('elicitationId');
    const more = { requestState, inputResponses: { [key]: { action: 'accept' } } };
    const answer = await call(running.server('s'), 'ask', {}, { ...able, more });
    expect(JSON.parse(textOf(answer))).toEqual({ action: 'accept' });
  });

  it('tells the legacy client that was asked, and no other, of the completion', async () => {
    const upstream = await createUpstream({
      tools: [tool('ask')],
      getStream: true,
      async onCall(request) {
        await request.ask('elicitation/create', ELICITATION);
        request.text('asked');
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const [asked, other] = [await connect(running.url), await connect(running.url)];
    const ears = [await asked.listen(), await other.listen()] as const;
    const stream = await asked.stream('s__ask');
    const [question] = await heard(stream, 'elicitation/create');
    await asked.say({ id: question?.id, result: { action: 'accept' } });
    await final(stream);
    upstream.announce({ method: 'notifications/elicitation/complete', params: { elicitationId: 'e-1' } });
    await heard(ears[0], 'notifications/elicitation/complete');
    expect(messagesOf(ears[1]).map(({ method }) => method)).not.toContain(
      'notifications/elicitation/complete',
    );
  });
});

describe('7: a modern server that needs a URL opened, and a legacy client', () => {
  async function waiting(rounds: number): Promise<{ upstream: Upstream; url: string }> {
    let asked = 0;
    const upstream = await createModernUpstream({
      tools: [tool('need')],
      onCall(request) {
        const params = { mode: 'url', url: URL_ONE, message: 'Sign in' };
        if (asked++ < rounds)
          request.result({
            resultType: 'input_required',
            inputRequests: { u: { method: 'elicitation/create', params } },
            requestState: 'waiting',
          });
        else request.text('welcome', { resultType: 'complete' });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s')] });
    return { upstream, url: running.server('s') };
  }

  it('is asked under an id of the gateway, and hears of the completion with the result', async () => {
    const { url } = await waiting(1);
    const client = await connect(url);
    const stream = await client.stream('need');
    const [question] = await heard(stream, 'elicitation/create');
    const id = question?.params?.['elicitationId'];
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    await client.say({ id: question?.id, result: { action: 'accept' } });
    expect(textOf(await final(stream))).toBe('welcome');
    const methods = messagesOf(stream).map(({ method, params }) => [method, params?.['elicitationId']]);
    expect(methods.slice(-2)).toEqual([
      ['notifications/elicitation/complete', id],
      [undefined, undefined],
    ]);
  });

  it('is not asked a second time for what it has opened', async () => {
    const { upstream, url } = await waiting(2);
    const client = await connect(url);
    const stream = await client.stream('need');
    const [question] = await heard(stream, 'elicitation/create');
    await client.say({ id: question?.id, result: { action: 'accept' } });
    expect(textOf(await final(stream))).toBe('welcome');
    expect(messagesOf(stream).filter(({ method }) => method === 'elicitation/create')).toHaveLength(1);
    expect(upstream.calls('need').map(({ message }) => message.params?.['inputResponses'])).toEqual([
      undefined,
      { u: { action: 'accept' } },
      { u: { action: 'accept' } },
    ]);
  });

  it('cannot be asked where its revision has no URLs', async () => {
    const { upstream, url } = await waiting(1);
    const client = await connect(url, { protocolVersion: '2025-06-18' });
    const answer: JsonRpc = await final(await client.stream('need'));
    expect(answer.error?.code).toBe(-32603);
    await until(() => upstream.calls('need').length === 1);
  });
});
