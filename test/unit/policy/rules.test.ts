import { describe, expect, it } from 'vitest';
import { ConfigError, resolveConfig } from '../../../src/config/index.js';
import { createAccess } from '../../../src/policy/access.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Checked, NameKind, Principal, Rules, Verdict } from '../../../src/protocol/ports.js';

const LINE = 'config.yaml:3:5';

function policyOf(rules: readonly object[], fallback: 'deny' | 'allow' = 'deny') {
  const { config } = resolveConfig({ servers: [], policy: { default: fallback, rules } }, {});
  const { policy } = createAccess(config);
  if (!policy) throw new Error('no policy');
  return policy;
}

const principal = (more: Partial<Principal> = {}): Principal => ({
  id: 'key:ci',
  kind: 'key',
  name: 'ci',
  groups: ['dev'],
  scopes: [],
  claims: { tenant: 'acme' },
  credential: 'c',
  expires: undefined,
  ...more,
});

const setOf = (rules: readonly object[], who: Partial<Principal> = {}, fallback?: 'deny' | 'allow'): Rules =>
  policyOf(rules, fallback).of(principal(who), '/mcp');

function tool(name: string, annotations?: object): Definition {
  const page = { tools: [{ name, inputSchema: { type: 'object' }, ...(annotations && { annotations }) }] };
  return readListPage('tools', Buffer.from(JSON.stringify(page))).definitions[0] as Definition;
}

const callOf = (args: unknown): Message =>
  readMessages(
    Buffer.from(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${
        typeof args === 'string' ? args : JSON.stringify(args)
      }}}`,
    ),
  ) as Message;

const check = (verdict: Verdict, args: unknown, who: Partial<Principal> = {}): Checked => {
  if (!verdict.guard) throw new Error('there is no guard');
  return verdict.guard.check(principal(who), callOf(args), '/mcp');
};

describe('a policy', () => {
  it('denies what no rule is about, unless its default allows it', () => {
    expect(setOf([]).decide('tool', 's', 't')).toEqual({ shown: false, rule: 'default' });
    expect(setOf([]).hides('s')).toBe(true);
    const open = setOf([], {}, 'allow');
    expect(open.isAll).toBe(true);
    expect(open.decide('tool', 's', 't')).toEqual({ shown: true, rule: 'default' });
  });

  it('lets a deny win over every allow', () => {
    const rules = setOf([
      { name: 'all', allow: [{}] },
      { name: 'never', deny: [{ tools: ['delete_*'] }] },
    ]);
    expect(rules.decide('tool', 's', 'delete_all')).toEqual({ shown: false, rule: 'never' });
    expect(rules.decide('tool', 's', 'read')).toEqual({ shown: true, rule: 'all' });
    expect(rules.decide('prompt', 's', 'delete_all').shown).toBe(true);
    expect(rules.whole('s')).toBe(false);
    expect(rules.isAll).toBe(false);
  });

  it('hides a server of which it allows nothing, and one that it denies', () => {
    const rules = setOf([
      { name: 'some', allow: [{ servers: ['docs', 'files'], tools: ['*'] }] },
      { name: 'no', deny: [{ servers: ['files'] }] },
    ]);
    expect(['docs', 'files', 'other'].map((server) => rules.hides(server))).toEqual([false, true, true]);
    expect(rules.decide('tool', 'files', 't')).toEqual({ shown: false, rule: 'no' });
  });

  it('is about all kinds of items where a target names none, and about the named kinds otherwise', () => {
    const kinds: NameKind[] = ['tool', 'prompt', 'resource'];
    const shown = (target: object) =>
      kinds.map((kind) => setOf([{ name: 'r', allow: [target] }]).decide(kind, 's', 'x:y').shown);
    expect(shown({})).toEqual([true, true, true]);
    expect(shown({ tools: ['*'] })).toEqual([true, false, false]);
    expect(shown({ prompts: ['x*'], resources: ['x:?'] })).toEqual([false, true, true]);
    expect(shown({ tools: [] })).toEqual([false, false, false]);
  });

  it('reads annotations with the defaults of the specification', () => {
    const readers = setOf([{ name: 'r', allow: [{ annotations: { readOnlyHint: true } }] }]);
    const decide = (rules: Rules, annotations?: object) =>
      rules.decide('tool', 's', 't', tool('t', annotations)).shown;
    expect(decide(readers, { readOnlyHint: true })).toBe(true);
    expect(decide(readers, { readOnlyHint: 'yes' })).toBe(false);
    expect(decide(readers)).toBe(false);
    const safe = setOf([
      { name: 'a', allow: [{}] },
      { name: 'd', deny: [{ annotations: { destructiveHint: true } }] },
    ]);
    expect(decide(safe, { destructiveHint: false })).toBe(true);
    expect(decide(safe, {})).toBe(false);
    // A tool that is not listed: no allow by annotation, each deny.
    expect(readers.decide('tool', 's', 't').shown).toBe(false);
    expect(safe.decide('tool', 's', 't').shown).toBe(false);
    expect(safe.decide('prompt', 's', 'p').shown).toBe(true);
  });

  it('shows what needs a scope to holders of tokens, and hides it from others', () => {
    const rules = [{ name: 'w', needs: ['files:write'], allow: [{ tools: ['write'] }] }];
    expect(setOf(rules).decide('tool', 's', 'write').shown).toBe(false);
    expect(setOf(rules, { scopes: ['files:write'] }).decide('tool', 's', 'write').guard).toBeUndefined();
    const verdict = setOf(rules, { kind: 'token' }).decide('tool', 's', 'write');
    const { error, rule } = check(verdict, {}, { kind: 'token' });
    expect([rule, error?.code, error?.data]).toEqual([
      'w',
      'insufficient_scope',
      { scopes: ['files:write'] },
    ]);
    expect(setOf(rules, { kind: 'token' }).whole('s')).toBe(false);
  });

  it('checks conditions at each call: one allow suffices, a deny that holds wins', () => {
    const rules = setOf([
      { name: 'a', allow: [{ tools: ['t'], when: 'args.n == 1' }] },
      { name: 'b', allow: [{ tools: ['t'], when: 'args.n == 2 && principal.claims.tenant == "acme"' }] },
      { name: 'd', deny: [{ tools: ['t'], when: 'args.bad' }] },
    ]);
    const verdict = rules.decide('tool', 's', 't');
    expect(verdict.shown).toBe(true);
    const outcome = (args: unknown) => {
      const { rule, error } = check(verdict, args);
      return `${rule} ${error?.code ?? 'allowed'}`;
    };
    expect(outcome({ n: 1, bad: false })).toBe('a allowed');
    expect(outcome({ n: 2, bad: false })).toBe('b allowed');
    expect(outcome({ n: 3, bad: false })).toBe('a denied');
    expect(outcome({ n: 1, bad: true })).toBe('d denied');
    // An error at run time: allow no, deny yes.
    expect(outcome({ n: 1 })).toBe('d denied');
    expect(outcome({ bad: false })).toBe('a denied');
  });

  it('refuses a call whose condition is false even if its default allows', () => {
    const rules = setOf([{ name: 'a', allow: [{ tools: ['t'], when: 'false' }] }], {}, 'allow');
    const verdict = rules.decide('tool', 's', 't');
    expect(check(verdict, {}).error?.message).toBe("refused by policy: rule 'a'");
    expect(rules.decide('tool', 's', 'other').guard).toBeUndefined();
  });

  it.each([
    ['a key twice', '{"n":1,"n":2}'],
    ['a key twice in another case', '{"n":1,"N":2}'],
    ['a key twice, written with an escape', '{"n":1,"\\u006e":2}'],
    ['a key twice deep within', '{"n":1,"a":[{"x":{"y":1,"y":2}}]}'],
    ['a number that loses digits', '{"n":1,"m":9007199254740993}'],
    ['a number that is not finite', '{"n":1,"m":1e999}'],
    ['text that is not Unicode', '{"n":1,"m":"\\ud800"}'],
    ['more than 64 KB', JSON.stringify({ n: 1, m: 'x'.repeat(65_536) })],
    ['an array', '[1]'],
  ])('refuses arguments with %s', (_, args) => {
    const rules = setOf([{ name: 'a', allow: [{ tools: ['t'], when: 'args.n == 1' }] }]);
    expect(check(rules.decide('tool', 's', 't'), args).error?.code).toBe('denied');
  });

  it('reads the arguments only if a condition does', () => {
    const rules = setOf([{ name: 'a', allow: [{ tools: ['t'], when: 'server == "s"' }] }]);
    expect(check(rules.decide('tool', 's', 't'), '{"n":1,"n":2}').error).toBeUndefined();
  });

  it.each([
    'file:///a/../b',
    'file:///a/%2e%2e/b',
    'file:///a%2fb',
    'file:///a%5Cb',
    'file:///a\\b',
    'file:///./a',
    'FILE:///a',
    'https://EXAMPLE.com/a',
    'file:///%61',
    'file:///a%',
    'file:///a\u0000',
    ' file:///a',
    'file:..',
  ])('treats the URI %j as missing', (uri) => {
    const rules = setOf([{ name: 'a', allow: [{ resources: ['*'] }] }]);
    expect(rules.decide('resource', 's', uri).shown).toBe(false);
  });

  it.each(['file:///a/b', 'file:///a%20b', 'memo://Insights', 'file:///{+path}', 'urn:x:y', 'a://b/...c/.d'])(
    'knows the URI %j',
    (uri) => {
      const rules = setOf([{ name: 'a', allow: [{ resources: ['*'] }] }]);
      expect(rules.decide('resource', 's', uri).shown).toBe(true);
    },
  );

  it('gives callers to whom the same rules apply one set', () => {
    const policy = policyOf([
      { name: 'dev', who: { groups: ['dev'] }, allow: [{}] },
      { name: 'ops', who: { groups: ['ops'] }, allow: [{ servers: ['x'] }] },
    ]);
    const one = policy.of(principal(), '/mcp');
    expect(policy.of(principal({ id: 'key:other' }), '/sse')).toBe(one);
    expect(policy.of(principal({ groups: ['ops'] }), '/mcp')).not.toBe(one);
  });

  it('knows which server is allowed whole', () => {
    const rules = setOf([{ name: 'a', allow: [{ servers: ['s'] }, { servers: ['t'], tools: ['*'] }] }]);
    expect([rules.whole('s'), rules.whole('t'), rules.whole('u')]).toEqual([true, false, false]);
    expect(rules.decide('resource', 's', 'file:///a/../b').shown).toBe(true);
  });
});

describe('conditions that are not accepted', () => {
  it.each([
    ['is not CEL', 'args.'],
    ["knows no 'request'", 'request.path == "x"'],
    ['has more than 4096 characters', `"${'x'.repeat(4100)}" == name`],
    ['within another', 'args.a.all(x, args.b.exists(y, x == y))'],
    ['not written as a string', 'name.matches(args.p)'],
    ['not written as a string', 'name.matches("a" + "b")'],
    ['not written as a string', 'matches(name, args.p)'],
    ['within a comprehension', 'args.a.all(x, x.matches("a"))'],
    ['repeats more than 50 times', 'name.matches("(a{10}){6}")'],
    ['repeats more than 50 times', 'name.matches("a{51,}")'],
    ['invalid pattern', 'name.matches("(")'],
    ['nested too deeply', `${'('.repeat(80)}1${'+1)'.repeat(80)} == 1`],
  ])('%s: %s', (why, when) => {
    try {
      policyOf([{ name: 'a', allow: [{ when }] }]);
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).message).toContain(why);
      expect((error as ConfigError).problems[0]?.key).toBe('policy.rules[0].allow[0].when');
      return;
    }
    expect.fail(`${LINE}: accepted ${when}`);
  });

  it.each([
    ['text', 'args.s.matches("a*b")', { s: 'a'.repeat(5000) }],
    ['a list', 'args.l.all(x, x == 1)', { l: Array.from({ length: 2001 }, () => 1) }],
    ['a map', 'args.m.all(x, x != "")', Object.fromEntries([['m', manyMembers(2001)]])],
  ])('are not decided for %s that is too long', (_, when, args) => {
    const rules = setOf([{ name: 'a', allow: [{ when }] }]);
    expect(check(rules.decide('tool', 's', 't'), args).error?.code).toBe('denied');
  });

  it('are not decided by a value that is not a boolean', () => {
    const rules = setOf([{ name: 'a', allow: [{ when: 'args.n' }] }]);
    const verdict = rules.decide('tool', 's', 't');
    expect(check(verdict, { n: 'true' }).error?.code).toBe('denied');
    expect(check(verdict, { n: true }).error).toBeUndefined();
  });
});

function manyMembers(count: number): object {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));
}
