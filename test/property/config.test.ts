import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { ConfigError, diffConfig, redactUrl, resolveConfig } from '../../src/config/index.js';
import { expand } from '../../src/config/expand.js';

const keys = fc.constantFrom(
  'host',
  'port',
  'mcp',
  'auth',
  'session',
  'servers',
  'mcpServers',
  'limits',
  'http',
  'name',
  'url',
  'command',
  'args',
  'env',
  'headers',
  'timeouts',
  'logging',
  'level',
  'type',
  'token',
  'tls',
  'x',
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      -1,
      1e300,
      NaN,
      '',
      'x',
      '${',
      '${X}',
      '__proto__',
      'a__b',
      'http://h/',
    ),
    fc.string(),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(keys, fc.string()), tie('tree'), { maxKeys: 6 }),
  ),
}));

it('whatever is given, the answer is a config or a ConfigError whose lines are all filled', () => {
  fc.assert(
    fc.property(tree, (input) => {
      try {
        expect(resolveConfig(input, {}).config.port).toBeTypeOf('number');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.problems.length).toBeGreaterThan(0);
        for (const line of error.message.split('\n')) expect(line.trim()).not.toBe('');
      }
    }),
    { numRuns: 1000 },
  );
});

it('a config compared with itself changes nothing', () => {
  const server = fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    url: fc.webUrl(),
    headers: fc.dictionary(fc.stringMatching(/^X-[a-z]+$/), fc.stringMatching(/^[ -#%-~]*$/)),
  });
  fc.assert(
    fc.property(fc.uniqueArray(server, { selector: ({ name }) => name, maxLength: 5 }), (servers) => {
      const [a, b] = [resolveConfig({ servers }, {}), resolveConfig({ servers }, {})];
      const diff = diffConfig(a.config, b.config);
      expect(diff.unchanged).toEqual(servers.map(({ name }) => name));
      expect([diff.added, diff.removed, diff.restarted, diff.updated, diff.restartRequired].flat()).toEqual(
        [],
      );
    }),
  );
});

it('a text whose dollars are doubled comes out as it was', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const fail = (why: string): never => {
        throw new Error(why);
      };
      expect(expand(text.replaceAll('$', '$$$$'), { env: {}, folder: '/' }, fail)).toBe(text);
    }),
  );
});

it('a value is taken as it is, never expanded again', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (value) => {
      expect(expand('<${V}>', { env: { V: value }, folder: '/' }, () => {})).toBe(`<${value}>`);
    }),
  );
});

it('expansion never throws and never hangs, whatever is written', () => {
  const text = fc
    .array(fc.constantFrom('$', '{', '}', ':-', 'A', 'env:', 'file:', ' '))
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (written) => {
      expand(written, { env: { A: 'x' }, folder: '/nowhere' }, () => {});
    }),
  );
});

it('no password and no query value of a URL is ever shown', () => {
  const secret = fc.stringMatching(/^[A-Za-z0-9!*-]{8,20}$/);
  fc.assert(
    fc.property(fc.webUrl(), secret, secret, (url, password, value) => {
      const target = new URL(url);
      target.username = 'user';
      target.password = password;
      target.searchParams.set('key', value);
      const shown = redactUrl(target.href);
      fc.pre(!url.includes(password) && !url.includes(value));
      expect(shown).not.toContain(password);
      expect(shown).not.toContain(encodeURIComponent(value));
      expect(shown).toContain(target.host);
    }),
  );
});

it('YAML and JSON of one config mean the same', () => {
  const value = fc.record({
    port: fc.integer({ min: 0, max: 65_535 }),
    host: fc.constantFrom('::1', 'localhost'),
  });
  fc.assert(
    fc.property(value, (config) => {
      expect(resolveConfig(parse(JSON.stringify(config)), {}).config).toMatchObject(config);
    }),
  );
});
