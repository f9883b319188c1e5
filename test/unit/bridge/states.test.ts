import { describe, expect, it } from 'vitest';
import type { Crossing } from '../../../src/bridge/crossing.js';
import { createSeal } from '../../../src/bridge/seal.js';
import { createStates } from '../../../src/bridge/states.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';
import type { Caller } from '../../../src/protocol/ports.js';

const states = createStates(createSeal({ key: Buffer.alloc(32, 7), replica: 'a', now: () => 0 }));

/** Whether a retry with `again` is taken for one of the call with `first`. */
function goesOn(first: string, again: string): boolean {
  const [asked, retried] = [first, again].map((args) => {
    const message = readMessages(
      Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":${args}}}`),
    ) as Message;
    return { message, caller: { principal: { id: 'p' } } as unknown as Caller, route: '/mcp', name: 't' };
  });
  const crossing = { ...asked, out: asked } as unknown as Crossing;
  return !(states.read(states.ofCall(crossing, 'c', 1, 1000), retried as never) instanceof Error);
}

describe('a call that waits for input', () => {
  const padding = (bytes: number): string => `"x":"${'x'.repeat(bytes)}"`;

  it('goes on with arguments of the same value, in whatever order and spelling', () => {
    expect(goesOn('{"a":1,"b":[{"c":"é"}]}', '{ "b":[{"\\u0063":"\\u00e9"}], "a":1 }')).toBe(true);
    expect(goesOn('{"a":1}', '{"a":2}')).toBe(false);
    expect(goesOn(`{${padding(60_000)},"a":1}`, `{"a":1,${padding(60_000)}}`)).toBe(true);
  });

  it('goes on with large arguments where they are written as before', () => {
    const large = `{${padding(70_000)},"a":1}`;
    expect(goesOn(large, large)).toBe(true);
    expect(goesOn(large, `{${padding(70_000)},"a":2}`)).toBe(false);
    expect(goesOn(large, `{"a":1,${padding(70_000)}}`)).toBe(false);
  });
});
