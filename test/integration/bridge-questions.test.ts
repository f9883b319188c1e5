import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { startGateway } from '../helpers/gateway.js';
import { connect, final, heard } from '../helpers/legacy.js';
import { sleep } from '../helpers/wait.js';

describe('a question that its upstream took back', () => {
  it('keeps the silence clock of its call still no longer', async () => {
    const upstream = await createUpstream({
      tools: [tool('hangs')],
      async onCall(asked) {
        void asked.ask('roots/list', {}).catch(() => undefined);
        await sleep(50);
        asked.notify('notifications/cancelled', { requestId: `ask-${asked.upstream.asked}` });
      },
    });
    const running = await startGateway({ servers: [upstream.entry('s', { timeouts: { request_ms: 500 } })] });
    const client = await connect(running.server('s'));
    const stream = await client.stream('hangs');
    await heard(stream, 'roots/list');
    expect((await final(stream)).error?.message).toContain('timed out');
  });
});
