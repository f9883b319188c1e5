import { expect, it } from 'vitest';
import { withoutPages } from '../../../src/catalog/pages.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import { fixedMembers } from '../../../src/wire/fixed-members.js';

const toolWith = (members: string): Definition => {
  const text = `{"tools":[{"name":"x","inputSchema":{"type":"object"},${members}}]}`;
  return readListPage('tools', Buffer.from(text)).definitions[0] as Definition;
};
const repeated = (member: string, count: number): string =>
  Array.from({ length: count }, () => member).join(',');

it.each([
  ['"_meta"', `"_meta":{"kept":1,${repeated('"ui/resourceUri":"ui://x"', 120_000)}}`],
  ['"ui"', `"_meta":{"kept":1,${repeated('"ui":{"resourceUri":"ui://x"}', 100_000)}}`],
  ['the tool', `"_meta":{"kept":1},${repeated('"_meta":{"ui/resourceUri":"ui://x"}', 80_000)}`],
])('takes all references to a hidden page away, however many are in %s, in linear time', (_, members) => {
  const { bytes, extension } = withoutPages(toolWith(members), () => false);
  expect(extension?.page).toBeUndefined();
  expect(bytes.includes('ui://')).toBe(false);
  expect(bytes.includes('"kept":1')).toBe(true);
});

it('keeps what is not in the bytes: fixed arguments, other names, approved JSON', () => {
  const tool = toolWith('"_meta":{"ui":{"resourceUri":"ui://x"}}');
  const fixed = fixedMembers(new Map([['tenant', '"acme"']]), []);
  const more = { fixed, bare: 'listed', shown: 'y', trusted: Buffer.from('{}') } as const;
  const left = withoutPages({ ...tool, ...more }, () => false);
  expect(left.extension?.page).toBeUndefined();
  expect(left).toMatchObject(more);
});
