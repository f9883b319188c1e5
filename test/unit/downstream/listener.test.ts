import { request } from 'node:http';
import { expect, it, vi } from 'vitest';
import { createListener } from '../../../src/downstream/http/listener.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { Tally } from '../../../src/observe/stats.js';
import { atEnd } from '../../helpers/cleanup.js';

it('a busy process ends its connections within the grace period as well', async () => {
  let now = 0;
  let ended: number | undefined;
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const options = {
    ...{ host: '127.0.0.1', port: 0, tls: undefined, idleMs: 60_000, maxConnections: undefined },
    ...{ log: silent, boundary: new Boundary(silent, new Tally()) },
  };
  const listener = createListener(options, () => {
    begin();
  });
  atEnd(() => {
    listener.destroy();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const { port } = await listener.listen();
  request({ host: '127.0.0.1', port })
    .on('error', () => undefined)
    .end();
  await begun;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  // Each turn of the event loop takes 10 ms.
  const turn = (): void => {
    if (ended !== undefined) return;
    now += 10;
    vi.advanceTimersByTime(10);
    setImmediate(turn);
  };
  const closed = listener.close(1000, true).then(() => (ended = now));
  turn();
  await closed;
  expect(ended).toBeGreaterThanOrEqual(1000);
  expect(ended).toBeLessThan(1200);
});
