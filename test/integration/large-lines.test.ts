import { expect, test } from 'vitest';
import { startGateway } from '../helpers/gateway.js';
import { callTool, textOf } from '../helpers/http.js';
import { scriptedStdio } from '../helpers/upstreams.js';

/** Sizes that end everywhere within the pieces that a pipe brings. */
const SIZES = [60_000, 131_072, 196_350, 262_144, 524_200, 1_000_003];

test.each(['first', 'last'] as const)(
  'a large line of a server over stdio reaches its client whole, its id %s',
  async (idOrder) => {
    const gateway = await startGateway({ servers: [scriptedStdio('lines', { idOrder })] });
    for (const size of SIZES)
      for (let more = 0; more < 4; more++) {
        const text = 'é"\\}{,id:'.repeat(Math.ceil(size / 10)) + 'x'.repeat(more);
        const answer = await callTool(gateway.url, 'lines__echo', { text });
        expect(JSON.parse(textOf(answer))).toEqual({ text });
      }
  },
);

test('large lines of several calls do not mix', async () => {
  const gateway = await startGateway({ servers: [scriptedStdio('lines')] });
  await Promise.all(
    Array.from({ length: 8 }, async (_, n) => {
      const text = String(n).repeat(300_000 + n);
      const answer = await callTool(gateway.url, 'lines__echo', { text });
      expect(JSON.parse(textOf(answer))).toEqual({ text });
    }),
  );
});
