import { describe, expect, it } from 'vitest';
import { createAccess } from '../../../src/policy/access.js';
import { load, problems } from './helpers.js';

const SERVERS = 'servers: [{name: x, url: "http://127.0.0.1:1/mcp", overrides: {t: {arguments: ';
const withServer = (changes: string): string => `${SERVERS}${changes}}}}]\n`;

describe('an argument of an override', () => {
  it('has any JSON as its value, null and what looks like a setting too', async () => {
    const values = '{a: {value: null}, b: {value: {x_ms: 1.0e+15, y: [null, {z: null}]}}, c: {value: false}}';
    const { config } = await load(
      `${withServer(values)}profiles: [{name: p, description: null, instructions: null, overrides: {x__t: {arguments: ${values}}}}]\n`,
    );
    const expected = {
      a: { value: null },
      b: { value: { x_ms: 1e15, y: [null, { z: null }] } },
      c: { value: false },
    };
    expect(config.servers[0]?.overrides['t']?.arguments).toEqual(expected);
    expect(config.profiles[0]?.overrides['x__t']?.arguments).toEqual(expected);
    expect(config.profiles[0]).toMatchObject({ prefix: 'always' });
    expect(config.profiles[0]?.instructions).toBeUndefined();
  });

  it.each([
    ['{a: {}}', 'must have a value, which clients then neither see nor send, or a description'],
    ['{a: {valu: 1}}', 'arguments.a.valu: unknown key'],
    ['{a: {description: ""}}', 'overrides.t.arguments.a.description'],
    [`{a: {value: "${'x'.repeat(17_000)}"}}`, 'must have at most 16384 characters as JSON'],
  ])('is an error: %s', async (changes, why) => {
    expect((await problems(withServer(changes))).join('\n')).toContain(why);
  });

  it('keeps the value that a server fixes where a profile describes it', async () => {
    const { config } = await load(
      `${withServer('{a: {value: 1}, b: {value: 2}}')}profiles: [{name: p, overrides: {x__t: {title: T, arguments: {a: {description: A}, b: {value: 3}}}}}]\n`,
    );
    expect(createAccess(config).profiles.get('p')?.overrides.get('x')?.get('t')).toEqual({
      title: 'T',
      arguments: { a: { value: 1, description: 'A' }, b: { value: 3 } },
    });
  });
});

describe('an override of a profile', () => {
  it('names a server and a tool', async () => {
    expect(await problems('servers: []\nprofiles: [{name: p, overrides: {tool: {title: T}}}]\n')).toEqual([
      expect.stringContaining('must be <server>__<tool> (tickets__create)'),
    ]);
  });

  it('for a server that does not exist is a warning', async () => {
    const { warnings } = await load('servers: []\nprofiles: [{name: p, overrides: {x__t: {title: T}}}]\n');
    expect(warnings).toEqual([expect.stringContaining("changes nothing: there is no server 'x'")]);
  });

  it.each(['prefix: sometimes', 'prefix: ', 'overrides: {x__t: {description: }}', 'allow: '])(
    'and every other key has a value that is understood: %s',
    async (text) => {
      expect(await problems(`servers: []\nprofiles: [{name: p, ${text}}]\n`)).not.toEqual([]);
    },
  );
});
