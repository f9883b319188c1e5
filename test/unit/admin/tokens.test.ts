import { expect, it } from 'vitest';
import { tokensKnown, tokensOf } from '../../../src/admin/tokens.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';

const listOf = (...tools: object[]): readonly Definition[] =>
  readListPage('tools', Buffer.from(JSON.stringify({ tools }))).definitions;
const tool = (more: object = {}): object => ({
  name: 'create_event',
  description: 'Creates an event in a calendar.',
  inputSchema: { type: 'object', properties: { count: { type: 'integer' } } },
  ...more,
});

it('what a model does not read does not count, however long it is', async () => {
  const icon = `data:image/png;base64,${'A'.repeat(60_000)}`;
  const list = listOf(tool(), tool({ icons: [{ src: icon }] }), tool({ outputSchema: { title: icon } }));
  const { each, sum } = await tokensOf(list);
  expect(each).toEqual([each[0], each[0], each[0]]);
  expect(sum).toBe(3 * (each[0] as number));
  expect(tokensKnown(list)).toEqual({ each, sum });
});

it('long texts, and definitions that are too long to be read, count by their length', async () => {
  const { each } = await tokensOf(
    listOf(tool({ description: 'A'.repeat(40_000) }), tool({ icons: [{ src: 'A'.repeat(400_000) }] })),
  );
  expect(each[0]).toBeGreaterThan(10_000);
  expect(each[0]).toBeLessThan(10_100);
  expect(each[1]).toBeGreaterThan(100_000);
});
