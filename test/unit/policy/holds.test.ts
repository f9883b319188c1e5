import { describe, expect, it } from 'vitest';
import { ConfigError, resolveConfig } from '../../../src/config/index.js';
import { createAccess } from '../../../src/policy/access.js';
import { unpinnedHolds } from '../../../src/policy/holds.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Principal, Rules } from '../../../src/protocol/ports.js';

const HASH = 'A'.repeat(43);
const approver = (name: string, more: object = {}): object => ({
  name,
  sha256: [HASH.slice(0, -name.length) + name],
  approver: true,
  owner: `corp:${name}`,
  groups: ['finance'],
  ...more,
});

const loaded = (rules: readonly object[], keys: readonly object[] = [], more: object = {}) =>
  resolveConfig(
    {
      servers: [
        { name: 'billing', url: 'http://127.0.0.1:1/mcp' },
        { name: 'safe', url: 'http://127.0.0.1:2/mcp', pin: 'enforce' },
      ],
      policy: { default: 'allow', rules },
      state: { dir: '/tmp/never-made' },
      mcp: { auth: { keys } },
      ...more,
    },
    {},
  ).config;

const principal = (more: Partial<Principal> = {}): Principal => ({
  ...{ id: 'key:ci', kind: 'key', name: 'ci', groups: ['agents'], scopes: [], claims: {} },
  ...{ credential: 'c', expires: undefined },
  ...more,
});

function setOf(rules: readonly object[], who: Partial<Principal> = {}): Rules {
  const { policy } = createAccess(loaded(rules, [approver('al'), approver('bo')]));
  if (!policy) throw new Error('no policy');
  return policy.of(principal(who), '/mcp');
}

function tool(name: string, annotations?: object): Definition {
  const page = { tools: [{ name, inputSchema: { type: 'object' }, ...(annotations && { annotations }) }] };
  return readListPage('tools', Buffer.from(JSON.stringify(page))).definitions[0] as Definition;
}

const callOf = (args: string): Message =>
  readMessages(
    Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${args}}}`),
  ) as Message;

/** The rules whose entries hold a call; undefined: the tool is never held. */
function heldBy(
  rules: Rules,
  definition: Definition | undefined,
  args = '{}',
  name = definition?.key ?? 'x',
) {
  const verdict = rules.decide('tool', 'billing', name, definition);
  expect(verdict.shown).toBe(true);
  return verdict.holds?.of(principal(), callOf(args), '/mcp').map(({ rule }) => rule);
}

const BY = { by: 'caller' };

describe('a hold', () => {
  it('is about tools that it names, and allows and hides nothing', () => {
    const rules = setOf([{ name: 'ask', hold: [{ servers: ['billing'], tools: ['refund_*'], ...BY }] }]);
    expect(heldBy(rules, tool('refund_all'))).toEqual(['ask']);
    expect(heldBy(rules, tool('list'))).toBeUndefined();
    expect(rules.decide('tool', 'safe', 'refund_all', tool('refund_all')).holds).toBeUndefined();
    expect(rules.decide('prompt', 'billing', 'refund_all')).toEqual({ shown: true, rule: 'default' });
    expect(rules.isAll).toBe(false);
    expect([rules.whole('billing'), rules.whole('safe')]).toEqual([false, true]);
    const denying = setOf([{ name: 'no', deny: [{ tools: ['refund'] }], hold: [{ ...BY }] }]);
    expect(denying.decide('tool', 'billing', 'refund', tool('refund'))).toEqual({ shown: false, rule: 'no' });
  });

  it('takes a tool for destructive that does not say otherwise, and one that only reads never', () => {
    const rules = setOf([{ name: 'ask', hold: [{ annotations: { destructiveHint: true }, ...BY }] }]);
    expect(heldBy(rules, tool('a'))).toEqual(['ask']);
    expect(heldBy(rules, tool('a', { destructiveHint: true }))).toEqual(['ask']);
    expect(heldBy(rules, tool('a', { destructiveHint: false }))).toBeUndefined();
    expect(heldBy(rules, tool('a', { readOnlyHint: true }))).toBeUndefined();
    expect(heldBy(rules, tool('a', { readOnlyHint: true, destructiveHint: true }))).toBeUndefined();
    // A tool that is not listed says nothing.
    expect(heldBy(rules, undefined)).toEqual(['ask']);
  });

  it('holds in doubt: where its condition fails, or the arguments can be read in two ways', () => {
    const rules = setOf([{ name: 'big', hold: [{ when: 'args.amount > 100.0', ...BY }] }]);
    const pay = tool('pay');
    expect(heldBy(rules, pay, '{"amount": 100.5}')).toEqual(['big']);
    expect(heldBy(rules, pay, '{"amount": 99.5}')).toEqual([]);
    expect(heldBy(rules, pay, '{}')).toEqual(['big']);
    expect(heldBy(rules, pay, '{"amount": "9"}')).toEqual(['big']);
    expect(heldBy(rules, pay, '{"amount": 1.5, "amount": 900.5}')).toEqual(['big']);
    expect(heldBy(rules, pay, '{"amount": 1.5, "Amount": 900.5}')).toEqual(['big']);
    expect(heldBy(rules, pay, '{"amount": 1.5, "\uff41mount": 900.5}')).toEqual(['big']);
    expect(heldBy(rules, pay, `{"amount": 1.5, "x": "${'y'.repeat(70_000)}"}`)).toEqual(['big']);
  });

  it('names the caller first, and holds for the caller alone whom its rule is about', () => {
    const rules = [
      { name: 'two', who: { groups: ['agents'] }, hold: [{ by: [{ groups: ['finance'] }], need: 2 }] },
      { name: 'ask', hold: [BY] },
    ];
    expect(heldBy(setOf(rules), tool('pay'))).toEqual(['ask', 'two']);
    expect(heldBy(setOf(rules, { groups: [] }), tool('pay'))).toEqual(['ask']);
  });

  it('holds for a caller without the scopes that its rule needs', () => {
    const rules = [
      { name: 'open', allow: [{}] },
      { name: 'admin', needs: ['admin'], allow: [{}], hold: [BY] },
    ];
    expect(heldBy(setOf(rules), tool('pay'))).toEqual(['admin']);
  });

  it('has a digest that changes with it, and with nothing else', () => {
    const digests = (rules: readonly object[]) => {
      const access = createAccess(loaded(rules, [approver('al'), approver('bo')]));
      return [...(access.policy?.holds.keys() ?? [])];
    };
    const one = { name: 'ask', hold: [BY] };
    expect(digests([one])).toEqual(digests([{ name: 'other', allow: [{}] }, one]));
    expect(digests([one])).not.toEqual(digests([{ name: 'ask', hold: [{ ...BY, confirm: 'page' }] }]));
    expect(digests([one])).not.toEqual(digests([{ ...one, who: { groups: ['a'] } }]));
  });
});

describe('a configuration with holds', () => {
  const problems = (...from: Parameters<typeof loaded>): string[] => {
    try {
      createAccess(loaded(...from));
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.message.split('\n');
    }
  };
  const finance = (need: number) => [{ name: 'refunds', hold: [{ by: [{ groups: ['finance'] }], need }] }];

  it.each([
    ['no approver', finance(1), []],
    ['an approver of another group', finance(1), [approver('al', { groups: ['hr'] })]],
    ['one person with two keys', finance(2), [approver('al'), approver('am', { owner: 'corp:al' })]],
    ['an approver whose key is turned off', finance(1), [approver('al', { disabled: true })]],
  ])('does not start with %s', (_, rules, keys) => {
    expect(problems(rules, keys)).toEqual([expect.stringContaining("rule 'refunds': nobody can approve")]);
  });

  it('starts where somebody can approve', () => {
    expect(problems(finance(1), [approver('al')])).toEqual([]);
    expect(problems(finance(2), [approver('al'), approver('bo')])).toEqual([]);
    expect(problems([{ name: 'ask', hold: [BY] }])).toEqual([]);
  });

  it('needs a page for confirm: page that the caller can reach', () => {
    const page = [{ name: 'ask', hold: [{ ...BY, confirm: 'page' }] }];
    expect(problems(page)).toEqual([]);
    const far = { http: { public_url: 'https://mcp.example.com' } };
    expect(problems(page, [], far)).toEqual([expect.stringContaining("rule 'ask': nobody can approve")]);
    expect(problems(page, [approver('al')], far)).toEqual([]);
    // The console key counts where nobody else can reach the gateway.
    expect(problems(page, [], { admin: { port: 9, host: '127.0.0.1' } })).toEqual([]);
    expect(problems(page, [], { admin: { host: '0.0.0.0' } })).toEqual([]);
    expect(problems(page, [], { admin: { port: 9, host: '0.0.0.0' } })).toEqual([
      expect.stringContaining("rule 'ask': nobody can approve"),
    ]);
  });

  it.each([
    [{ by: 'caller', prompts: ['x'] }, 'prompts: cannot be held: a hold is about tools'],
    [{ by: 'caller', resources: ['x'] }, 'resources: cannot be held: a hold is about tools'],
    [{ by: 'caller', need: 2 }, 'need is more than one'],
    [{ tools: ['x'] }, 'by must be caller, or a list of who'],
    [{ by: [] }, 'hold[0].by must be at least 1'],
    [{ by: 'caller', tool: ['x'] }, 'unknown key'],
  ])('refuses %j', (hold, text) => {
    expect(problems([{ name: 'ask', hold: [hold] }]).join('\n')).toContain(text);
  });

  it('refuses a key that approves and belongs to nobody', () => {
    expect(problems([], [approver('al', { owner: undefined })])).toEqual([
      expect.stringContaining("'al' with approver: true, and no person as its owner"),
    ]);
    expect(problems([], [approver('al', { owner: 'none' })])).toHaveLength(1);
    expect(problems([], [approver('al', { profile: 'p' })]).join()).toContain('a profile');
  });

  it('needs a shared store for several processes', () => {
    expect(problems([{ name: 'ask', hold: [BY] }], [], { http: { reuse_port: true } }).join('\n')).toContain(
      'several processes, which have to share the calls that wait for a yes',
    );
  });

  it('is warned of servers that can change what is held', () => {
    expect(unpinnedHolds(loaded([{ name: 'ask', hold: [BY] }]))).toEqual([
      "rule 'ask' holds tools of 'billing', which may change what a tool says about itself: set pin: enforce there",
    ]);
    expect(unpinnedHolds(loaded([{ name: 'ask', hold: [{ servers: ['safe'], ...BY }] }]))).toEqual([]);
  });
});
