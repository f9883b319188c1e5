import { expect, it } from 'vitest';
import type { Exchange } from '../../../src/protocol/ports.js';
import type { Incoming } from '../../../src/proxy/incoming.js';
import { forget, inUse, remember } from '../../../src/proxy/under-way.js';
import type { Session } from '../../../src/session/store.js';

const exchange = (): Exchange => ({ resume: () => undefined, cancel: () => undefined });
const sessionOf = (): Session => ({ inFlight: undefined }) as unknown as Session;
const of = (session: Session | undefined, key = '1'): Incoming =>
  ({ session, key: session && key, message: { kind: 'request', id: key } }) as unknown as Incoming;

it('a request keeps its id from a second one until it has ended', () => {
  const session = sessionOf();
  const first = exchange();
  expect(inUse(of(session))).toBeUndefined();
  remember(of(session), first);
  expect(inUse(of(session))).toMatchObject({ kind: 'refused', error: { code: 'invalid_request' }, id: '1' });
  expect(inUse(of(session, '2'))).toBeUndefined();
  expect(inUse(of(sessionOf()))).toBeUndefined();
  forget(of(session), first);
  expect(inUse(of(session))).toBeUndefined();
});

it('a request that was taken over is not forgotten by the one before it', () => {
  const session = sessionOf();
  const [waiting, sent] = [exchange(), exchange()];
  remember(of(session), waiting);
  remember(of(session), sent);
  forget(of(session), waiting);
  expect(session.inFlight?.get('1')).toBe(sent);
  forget(of(session), sent);
  forget(of(session), sent);
  expect(session.inFlight).toBeUndefined();
});

it('nothing is kept of a session whose requests have ended, or that has ended itself', () => {
  const session = sessionOf();
  const many = Array.from({ length: 100 }, (_, i) => ({ key: String(i), exchange: exchange() }));
  for (const { key, exchange } of many) remember(of(session, key), exchange);
  expect(session.inFlight?.size).toBe(100);
  for (const { key, exchange } of many) forget(of(session, key), exchange);
  expect(session.inFlight).toBeUndefined();
  forget(of(session), exchange());
  expect(session.inFlight).toBeUndefined();
});

it('a request without a session has no id in use', () => {
  const alone = exchange();
  remember(of(undefined), alone);
  expect(inUse(of(undefined))).toBeUndefined();
  forget(of(undefined), alone);
});

it('the refusal of a long id shows its beginning', () => {
  const session = sessionOf();
  const key = `"${'x'.repeat(1000)}"`;
  remember(of(session, key), exchange());
  const handled = inUse(of(session, key)) as { error: Error };
  expect(handled.error.message.length).toBeLessThan(130);
});
