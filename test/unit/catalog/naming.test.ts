import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describe as described, parse, parseUri, qualify, qualifyUri } from '../../../src/catalog/naming.js';

/** Server names as the configuration takes them. */
const servers = fc
  .stringMatching(/^[A-Za-z0-9._-]{1,64}$/)
  .filter((name) => !name.includes('__') && !name.endsWith('_'));
const names = fc.string({ minLength: 1, maxLength: 40 });

describe('a qualified name', () => {
  it('comes apart as it was joined, whatever the tool is called', () => {
    fc.assert(
      fc.property(servers, names, (server, name) => {
        const full = `${server}__${name}`;
        fc.pre(full.length <= 128);
        expect(qualify(server, name, 0)).toBe(full);
        expect(parse(full)).toEqual({ server, name });
      }),
    );
  });

  it('is split at the first separator', () => {
    expect(parse('a__b__c')).toEqual({ server: 'a', name: 'b__c' });
    expect(parse('a_b__c')).toEqual({ server: 'a_b', name: 'c' });
    expect(parse('a____b')).toEqual({ server: 'a', name: '__b' });
    expect(parse('a__')).toEqual({ server: 'a', name: '' });
  });

  it.each(['', 'a', 'a_b', '__a', '__', '_'])('%j is none', (text) => {
    expect(parse(text)).toBeUndefined();
  });

  it('is never longer than 128 or the limit, stable, and unlike that of any other tool', () => {
    fc.assert(
      fc.property(servers, names, names, fc.integer({ min: 12, max: 200 }), (server, one, two, limit) => {
        const first = qualify(server, one, limit);
        expect(first.length).toBeLessThanOrEqual(Math.min(limit, 128));
        expect(qualify(server, one, limit)).toBe(first);
        if (one !== two) expect(qualify(server, two, limit)).not.toBe(first);
      }),
    );
    const long = 'x'.repeat(200);
    expect(qualify('s', long, 0)).toHaveLength(128);
    expect(qualify('s', long, 0)).not.toBe(qualify('s', `${long}y`, 0));
  });
});

it('a description names its server', () => {
  expect(described('files')).toEqual({ prefix: '[files] ', missing: 'Tool from files' });
});

describe('a qualified URI', () => {
  it('comes apart as it was joined, whatever the URI', () => {
    fc.assert(
      fc.property(servers, fc.string({ maxLength: 60 }), (server, uri) => {
        expect(parseUri(qualifyUri(server, uri))).toEqual({ server, uri });
      }),
    );
  });

  it('is none without the scheme of its own and a server', () => {
    for (const uri of ['file:///x', 'mcpstead:', 'mcpstead:a', 'xmcpstead:a:b', ''])
      expect(parseUri(uri)).toBeUndefined();
  });
});
