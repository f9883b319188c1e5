/** What waits for a client that does not read, on a channel that it shares with others. */
import { expect, test } from 'vitest';
import { createUpstream, tool } from '../../fixtures/servers/http-upstream.js';
import { startGateway } from '../../helpers/gateway.js';
import { callBody, callTool, rawPost, tcp, textOf } from '../../helpers/http.js';
import { until } from '../../helpers/wait.js';

const COUNT = 30_000;

test('an answer waits behind the notifications before it, in the budget, and all come in their order', async () => {
  const upstream = await createUpstream({
    transport: 'sse',
    tools: [tool('flood'), tool('a')],
    onCall: (call) => {
      if (call.params.name === 'flood')
        for (let n = 0; n < COUNT; n++) call.progress(n, undefined, 'x'.repeat(300));
      call.text('done');
    },
  });
  const gateway = await startGateway({ servers: [upstream.entry('s')] });
  const slow = await tcp(gateway.base);
  slow.socket.pause();
  slow.write(rawPost(gateway.url, callBody('s__flood', {}, 7, { progressToken: 'p' })));
  await until(() => upstream.calls('flood').length === 1);
  // What comes after the flood on the same channel: all of the flood has been read by then.
  expect(textOf(await callTool(gateway.url, 's__a'))).toBe('done');
  // Every notification that waits, and more, is accounted for.
  expect(await gateway.metric('mcpstead_buffered_bytes')).toBeGreaterThan(1_000_000);
  expect(await gateway.metric('mcpstead_requests_in_flight{server="s"}')).toBe(1);
  slow.socket.resume();
  await until(() => slow.text.includes('"done"'));
  const told = [...slow.text.matchAll(/"progress":(\d+)|"(done)"/g)].map(([, n, done]) => done ?? Number(n));
  expect(told).toEqual([...Array.from({ length: COUNT }, (_, n) => n), 'done']);
  await until(async () => (await gateway.metric('mcpstead_requests_in_flight{server="s"}')) === 0);
});
