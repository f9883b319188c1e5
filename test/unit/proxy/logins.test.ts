/** Sessions that are told of the end of a login that they were asked to open. */
import { expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { needsLogin } from '../../../src/errors.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { CallerLogins } from '../../../src/proxy/logins.js';
import type { Incoming } from '../../../src/proxy/incoming.js';
import type { Session } from '../../../src/session/store.js';

it('sessions that come and go wait together, and those that are open hear of it', async () => {
  let over: (done: boolean) => void = () => undefined;
  let waits = 0;
  const told: Session[] = [];
  const logins = new CallerLogins({
    offers: {
      offer: () => ({ id: 'o', url: 'http://127.0.0.1/-/login/o' }),
      done: () => {
        waits++;
        return new Promise<boolean>((resolve) => (over = resolve));
      },
    },
    boundary: new Boundary(silent, { add: () => undefined }),
    streams: { notifyOnceOpen: (session) => void told.push(session) },
    bridge: () => undefined as never,
    isPerUser: () => false,
    mayOperate: () => true,
  });
  const caller = {
    principal: LOCAL,
    era: 'legacy',
    revision: '2025-11-25',
    capabilities: { elicitation: { url: {} } },
  };
  const ask = (): Session => {
    const session = { open: true } as Session;
    const incoming = {
      caller,
      session,
      message: { method: 'tools/call' },
      origin: { route: { path: '/mcp' } },
    };
    logins.answer(incoming as unknown as Incoming, 'x__echo', needsLogin('x', 'never'));
    return session;
  };
  const first = ask();
  for (let n = 0; n < 1000; n++) {
    const session = ask();
    session.open = false;
  }
  const last = ask();
  expect(waits).toBe(1);
  over(true);
  await new Promise(setImmediate);
  expect(told).toEqual([first, last]);
  // The next login is waited for anew.
  ask();
  expect(waits).toBe(2);
});
