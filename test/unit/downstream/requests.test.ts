import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { readPost } from '../../../src/downstream/http/requests.js';
import { createBudget } from '../../../src/lib/budget.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { silent } from '../../../src/observe/log.js';
import { Tally } from '../../../src/observe/stats.js';
import type { Messages } from '../../../src/protocol/message.js';
import type { Gate } from '../../../src/proxy/gate.js';

/** The messages of a body, and the turns of the event loop from its end on. `leaves`: after so many of them its client goes. */
async function read(
  text: string,
  leaves = Infinity,
): Promise<{ messages: Messages | undefined; turns: number }> {
  const body = Buffer.from(text);
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length) };
  const req = Object.assign(Readable.from([body]), { headers }) as unknown as IncomingMessage;
  const res = Object.assign(new EventEmitter(), { destroyed: false });
  const deps = {
    gate: { countInvalid() {} } as unknown as Gate,
    config: () => ({ limits: { body_bytes: body.length } }) as Config,
    budget: createBudget(2 * body.length),
    boundary: new Boundary(silent, new Tally()),
  };
  let messages: Messages | undefined;
  const ended = new Promise((resolve) => req.once('end', resolve));
  readPost(deps, req, res as unknown as ServerResponse, {}, (all) => (messages = all));
  await ended;
  let turns = 0;
  for (; !messages && turns < 100; turns++) {
    if (turns === leaves) res.destroyed = true;
    await new Promise(setImmediate);
  }
  return { messages, turns };
}

const call = (id: number, values: number): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"x","arguments":{"a":[${'0,'.repeat(values)}0]}}}`;

describe('the body of a POST', () => {
  it('is read at once where it is short', async () => {
    expect((await read(call(1, 100))).turns).toBe(0);
  });

  it('is read 20,000 values a turn where it is long', async () => {
    const { messages, turns } = await read(call(1, 400_000));
    expect(messages).toMatchObject({ kind: 'request', id: '1', method: 'tools/call' });
    expect(turns).toBeGreaterThanOrEqual(20);
  });

  it('that is a batch is read so as well', async () => {
    const { messages, turns } = await read(`[${[1, 2, 3, 4].map((id) => call(id, 100_000)).join()}]`);
    expect(messages).toMatchObject([{ id: '1' }, { id: '2' }, { id: '3' }, { id: '4' }]);
    expect(turns).toBeGreaterThanOrEqual(20);
  });

  it('whose client leaves meanwhile is read no further', async () => {
    expect(await read(call(1, 400_000), 5)).toEqual({ messages: undefined, turns: 100 });
  });
});
