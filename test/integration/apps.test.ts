/** Apps of real servers in a real host: their pages are shown through the gateway and call the tools of their servers. */
import { beforeEach, describe, expect, test } from 'vitest';
import { appServer, openHost, serveHost, startForHost } from '../helpers/app-host.js';

let origin = '';
beforeEach(async () => {
  origin = await serveHost();
});

describe.each(['legacy', 'modern'] as const)('on the route of a server, for a %s client', (era) => {
  test('the system monitor polls', async () => {
    const gateway = await startForHost(origin, { servers: [appServer('mon', 'system-monitor')] });
    const host = await openHost(origin, gateway.server('mon'), era);
    const app = await host.show('get-system-info');
    expect(app.uri).toBe('ui://system-monitor/mcp-app.html');
    await app.called('poll-system-stats', 2);
    await expect.poll(() => app.frame.textContent('#memory-percent')).toMatch(/\d%/);
  });
});
