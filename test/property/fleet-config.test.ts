import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readStore } from '../../src/config/fleet.js';

const scheme = fc.constantFrom(
  'redis',
  'rediss',
  'valkey',
  'valkeys',
  'redis+sentinel',
  'rediss+sentinel',
  'redis+cluster',
  'rediss+cluster',
);
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
const node = fc.record({
  host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
  port: fc.integer({ min: 1, max: 65_535 }),
});

it('reads what it is written from, with any user and password', () => {
  fc.assert(
    fc.property(
      scheme,
      fc.option(text, { nil: undefined }),
      fc.option(text, { nil: undefined }),
      fc.array(node, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 0, max: 99_999 }),
      (scheme, username, password, nodes, number) => {
        const single = !scheme.includes('+');
        const sentinel = scheme.endsWith('sentinel');
        const used = single ? nodes.slice(0, 1) : nodes;
        const db = scheme.endsWith('cluster') ? 0 : number;
        const hosts = used.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
        const user = `${encodeURIComponent(username ?? '')}:${encodeURIComponent(password ?? '')}@`;
        expect(readStore(`${scheme}://${user}${hosts.join(',')}/${sentinel ? 'main/' : ''}${db}`)).toEqual({
          kind: single ? 'single' : sentinel ? 'sentinel' : 'cluster',
          tls: /^(rediss|valkeys)/.test(scheme),
          nodes: used,
          ...(sentinel && { name: 'main' }),
          db,
          username,
          password,
        });
      },
    ),
  );
});

it('says nothing about a URL that holds what somebody wrote as the password', () => {
  // No message has capitals and digits in a row, so that none contains it by chance.
  const password = fc.stringMatching(/^[A-Z]{4}[0-9]{4}[@/?#:%, [\]]{0,3}[A-Z0-9]{0,4}$/);
  const around = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(fc.oneof(scheme, around), around, password, around, (scheme, user, password, rest) => {
      const found = readStore(`${scheme}://${user}:${password}@${rest}`);
      if (typeof found === 'string') expect(found).not.toContain(password.slice(0, 8));
    }),
  );
});

it('answers anything with parts in their bounds, or with one line', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.tuple(scheme, fc.string()).map(([scheme, rest]) => `${scheme}://${rest}`),
      ),
      (written) => {
        const found = readStore(written);
        if (typeof found === 'string') {
          expect(found).toMatch(/^(?:must|has|names|does) .{1,200}$/);
          return;
        }
        expect(found.nodes.length).toBeGreaterThan(0);
        for (const { host, port } of found.nodes) {
          expect(host).not.toBe('');
          expect(port).toBeGreaterThan(0);
          expect(port).toBeLessThan(65_536);
        }
      },
    ),
  );
});
