/** A server of 2026-07-28 breaks off its answer: the stream of the client breaks too, but the gateway has answered, as balancers want it. */
import { describe, expect, it } from 'vitest';
import type { Call } from '../fixtures/servers/http-upstream.js';
import { tool } from '../fixtures/servers/http-upstream.js';
import { startReplicas, together } from '../helpers/fleet.js';
import type { RunningGateway } from '../helpers/gateway.js';
import { startGateway } from '../helpers/gateway.js';
import { createModernUpstream, call, stream } from '../helpers/modern.js';
import { startStore } from '../helpers/store.js';
import { until } from '../helpers/wait.js';

const sent = (asked: Call): Promise<unknown> => until(() => asked.res.writableLength === 0, 'what was sent');

const HOW: Record<string, (asked: Call) => void | Promise<void>> = {
  'after its headers': async (asked) => {
    asked.open();
    await sent(asked);
    asked.destroy();
  },
  'in its first event': async (asked) => {
    asked.open();
    asked.write('event: message\ndata: {"jsonrpc":"2.0","method":"notif');
    await sent(asked);
    asked.destroy();
  },
  'after progress': async (asked) => {
    asked.progress(1);
    await sent(asked);
    asked.destroy();
  },
  'within its result': async (asked) => {
    asked.open();
    asked.write(
      `data: {"jsonrpc":"2.0","id":${asked.id},"result":{"resultType":"complete","content":[{"type":"text","text":"half`,
    );
    await sent(asked);
    asked.destroy();
  },
  'within a result of JSON': async (asked) => {
    const head = { 'content-type': 'application/json', 'content-length': '100000' };
    asked.res.writeHead(200, head);
    asked.res.write(
      `{"jsonrpc":"2.0","id":${asked.id},"result":{"resultType":"complete","content":[{"type":"text","text":"half`,
    );
    await sent(asked);
    asked.destroy();
  },
};

const upstreamThat = (breaks: (asked: Call) => void | Promise<void>) =>
  createModernUpstream({ tools: [tool('t')], onCall: breaks });

const asks = { name: 't', arguments: {}, _meta: { progressToken: 1 } };

describe.each(Object.entries(HOW))('a server that breaks off %s', (_how, breaks) => {
  it('breaks the stream of its client, which has begun', async () => {
    const upstream = await upstreamThat(breaks);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    for (let n = 0; n < 3; n++) {
      const answer = await stream(running.server('s'), 'tools/call', asks);
      expect(answer.status).toBe(200);
      await answer.done();
      expect(answer.complete).toBe(false);
    }
  });

  it('is an error for a client that takes no streams, or its answer is cut', async () => {
    const upstream = await upstreamThat(breaks);
    const running = await startGateway({ servers: [upstream.entry('s')] });
    const headers = { accept: 'application/json' };
    for (let n = 0; n < 3; n++) {
      const code = await call(running.server('s'), 't', {}, { headers }).then(
        ({ error }) => error?.code,
        () => 'cut',
      );
      expect([-32603, 'cut']).toContain(code);
    }
  });
});

it('the same holds through another replica', async () => {
  const upstream = await upstreamThat(HOW['in its first event'] as (asked: Call) => Promise<void>);
  const store = await startStore();
  const replicas = (await startReplicas(2, store, { servers: [upstream.entry('s')] })) as [
    RunningGateway,
    RunningGateway,
  ];
  await together(replicas[0].base, replicas[1].base);
  for (const replica of replicas) {
    const answer = await stream(replica.server('s'), 'tools/call', asks);
    expect(answer.status).toBe(200);
    await answer.done();
    expect(answer.complete).toBe(false);
  }
});
