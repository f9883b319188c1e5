import { expect, it } from 'vitest';
import { CallMembers } from '../../../src/observe/audit/calls.js';
import type { CallDetails, EndedCall } from '../../../src/observe/calls.js';
import { heapInUse } from '../../helpers/heap.js';

function callOf(name: string, id = '1'): EndedCall & { readonly details: CallDetails } {
  return {
    method: 'resources/read',
    id,
    principal: undefined,
    route: '/mcp',
    sessionId: 's',
    target: undefined,
    sent: true,
    result: 'success',
    reason: undefined,
    outcome: 'ok',
    ms: 1,
    details: {
      decision: undefined,
      rule: undefined,
      error: undefined,
      rpcCode: undefined,
      named: { kind: 'resource', name },
      address: undefined,
      revision: undefined,
      bytesIn: 1,
      bytesOut: 1,
      traceId: undefined,
      parents: [undefined, undefined],
      arrived: 0,
      began: undefined,
      argumentBytes: () => undefined,
    },
  };
}

it('a line that waits keeps no more of a long name than it shows', () => {
  const members = new CallMembers();
  const lines: unknown[] = [];
  const before = heapInUse();
  for (let i = 0; i < 50; i++) {
    const call = callOf(Buffer.alloc(1e6, 'u').toString('latin1'));
    lines.push(members.of(call, call.details, undefined));
  }
  expect(heapInUse() - before).toBeLessThan(5e6);
  expect(lines).toHaveLength(50);
});

it.each([
  ['of a word', 'n', '"a"'],
  ['in another script', '\u540d'.repeat(2000), '7'],
  ['of line breaks', '\n'.repeat(2000), '7'],
  ['with an id that grows by its escapes', 'n', `"${'\u007f'.repeat(1000)}"`],
])('a line says how many bytes it will have: a name %s', (_, name, id) => {
  const call = callOf(name, id);
  const line = new CallMembers().of(call, call.details, undefined);
  expect(Math.abs(line.bytes - Buffer.byteLength(String(line)))).toBeLessThan(100);
});
