import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CallMembers } from '../../src/observe/audit/calls.js';
import type { CallDetails, EndedCall } from '../../src/observe/calls.js';

const text = fc.constantFrom(
  'a',
  'b',
  'quote " and \\',
  'e\u0301\u2028\ud83d\ude00',
  '\ud800',
  'x'.repeat(1500),
);
const maybe = fc.option(text, { nil: undefined });
const facts = fc.record({
  method: fc.constantFrom('tools/call', 'resources/read'),
  kind: fc.constantFrom('tool', 'prompt', 'resource', undefined),
  isTarget: fc.boolean(),
  server: text,
  name: text,
  user: maybe,
  credential: fc.constantFrom('', 'c1', 'c2'),
  session: fc.constantFrom<string | undefined>(undefined, 'session-1', 'session-2', 'b'),
  revision: maybe,
  route: maybe,
  address: maybe,
  decision: fc.constantFrom('allow', 'deny', 'limit', undefined),
  rule: maybe,
  id: fc.oneof(
    fc.nat().map(String),
    text.map((id) => JSON.stringify(id)),
  ),
  ms: fc.nat(1000),
});
const KEYS = [
  'method',
  'kind',
  'isTarget',
  'server',
  'name',
  'user',
  'credential',
  'session',
  'revision',
  'route',
  'address',
  'decision',
  'rule',
  'id',
  'ms',
] as const;
type Facts = typeof facts extends fc.Arbitrary<infer T> ? T : never;

function callOf(of: Facts): [EndedCall, CallDetails] {
  const call = {
    method: of.method,
    id: of.id,
    principal: of.user === undefined ? undefined : { id: of.user, credential: of.credential },
    route: of.route,
    sessionId: of.session,
    target: of.isTarget ? { name: of.name, link: { server: of.server } } : undefined,
    result: 'success',
    ms: of.ms,
  };
  const details = {
    ...{ decision: of.decision, rule: of.rule, address: of.address, revision: of.revision },
    named: of.kind && { kind: of.kind, name: of.name },
    ...{ bytesIn: 1, bytesOut: 2 },
  };
  return [call as unknown as EndedCall, details as unknown as CallDetails];
}

function lineOf(of: Facts): object {
  const id: unknown = JSON.parse(of.id);
  const line = {
    event: 'call',
    'mcp.method.name': of.method,
    'mcpstead.server': of.isTarget ? of.server : undefined,
    'gen_ai.tool.name': of.kind === 'tool' ? of.name : undefined,
    'gen_ai.prompt.name': of.kind === 'prompt' ? of.name : undefined,
    'mcp.resource.uri': of.kind === 'resource' ? of.name : undefined,
    'user.id': of.user,
    credential: of.user === undefined || of.credential === '' ? undefined : of.credential,
    'mcp.session.id': of.session?.slice(0, 8),
    'mcp.protocol.version': of.revision,
    route: of.route,
    'client.address': of.address,
    decision: of.decision ?? 'allow',
    rule: of.rule,
    'jsonrpc.request.id': String(id),
    ...{ outcome: 'ok', ms: of.ms, bytes_in: 1, bytes_out: 2 },
  };
  return JSON.parse(JSON.stringify(line)) as object;
}

it('each call has its own members, whatever calls came before', () => {
  // Few values, and calls that differ from the one before in one of them.
  const steps = fc.array(fc.tuple(facts, fc.boolean(), fc.constantFrom(...KEYS)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => {
      const members = new CallMembers();
      let last: Facts | undefined;
      for (const [next, isAlike, key] of all) {
        const of: Facts = isAlike && last ? { ...last, [key]: next[key] } : next;
        last = of;
        expect(JSON.parse(`{${String(members.of(...callOf(of), undefined))}}`)).toEqual(lineOf(of));
      }
    }),
  );
});

it('more sessions than are kept have their own members as well', () => {
  fc.assert(
    fc.property(facts, fc.integer({ min: 990, max: 2100 }), (of, count) => {
      const members = new CallMembers();
      for (const round of [1, 2])
        for (let i = 0; i < count; i++) {
          const own = { ...of, session: String(i), id: String(round) };
          expect(JSON.parse(`{${String(members.of(...callOf(own), undefined))}}`)).toEqual(lineOf(own));
        }
    }),
    { numRuns: 3 },
  );
});
