/** The cookie of a login: found among whatever a browser sends. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { loginCookie, loginCookieIn } from '../../src/protocol/login-cookie.js';

const state = fc.stringMatching(/^[\w-]{16,43}$/);
const value = fc.stringMatching(/^[\w-]{22}$/);
const noise = fc.string({ maxLength: 60 }).map((text) => text.replaceAll(';', ' '));

const attemptOf = (of: string, origin: string) => ({
  url: `https://id.example/auth?client_id=x&state=${of}`,
  redirectUri: `${origin}/-/oauth/callback`,
});

it('is found again by its login alone, whatever else is there', () => {
  fc.assert(
    fc.property(
      fc.tuple(state, state).filter(([a, b]) => a !== b),
      value,
      fc.constantFrom('https://gw.example', 'http://127.0.0.1:8766'),
      fc.array(noise, { maxLength: 5 }),
      fc.array(noise, { maxLength: 5 }),
      ([own, other], secret, origin, before, after) => {
        const header = loginCookie(attemptOf(own, origin), secret);
        const pair = header.split(';')[0] as string;
        const sent = [...before, pair, ...after].join('; ');
        expect(loginCookieIn(sent, own)?.value).toBe(secret);
        expect(loginCookieIn(sent, other)).toBeUndefined();
        const removal = loginCookieIn(sent, own)?.removal ?? '';
        const path = / Path=[^;]+/.exec(header)?.[0];
        expect([removal.split('=')[0], / Path=[^;]+/.exec(removal)?.[0]]).toEqual([pair.split('=')[0], path]);
        expect(loginCookieIn(sent, own)?.isOfHost).toBe(origin.startsWith('https:'));
        // What another site of the domain sets does not hide it.
        const name = (pair.split('=')[0] as string).replace('__Host-', '');
        if (origin.startsWith('https:'))
          expect(loginCookieIn(`${name}=evil; ${sent}`, own)).toMatchObject({
            value: secret,
            isOfHost: true,
          });
        // Nor does it pose as it: browsers let any host of the domain set such a name.
        expect(loginCookieIn(`\u00a0${pair}; a=b; \u00a0${pair}`, own)).toBeUndefined();
        expect(header.startsWith('__Host-')).toBe(origin.startsWith('https:'));
        expect(header.includes('; Secure')).toBe(origin.startsWith('https:'));
        expect(header).toContain('; HttpOnly; SameSite=Lax; Max-Age=600');
      },
    ),
  );
});

it('is not found in what is no header, or too long', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), state, (header, of) => {
      expect(loginCookieIn(header, of)).toBeUndefined();
    }),
  );
  const cookie = loginCookie(attemptOf('s', 'https://gw.example'), 'v').split(';')[0] as string;
  expect(loginCookieIn(`${'a=b;'.repeat(5000)}${cookie}`, 's')).toBeUndefined();
  expect(loginCookieIn(undefined, 's')).toBeUndefined();
});
