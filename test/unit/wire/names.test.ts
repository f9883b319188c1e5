import { expect, test } from 'vitest';
import { nameAt } from '../../../src/wire/names.js';

test('names are known by all of their bytes and by nothing less', () => {
  const text = Buffer.from('{"jsonrpc":"2.0","method":"tools/call","methid":1}');
  const at = (name: string) => [text.indexOf(name), text.indexOf(name) + name.length] as const;
  expect(nameAt(text, ...at('jsonrpc'))).toBe('jsonrpc');
  expect(nameAt(text, ...at('tools/call'))).toBe('tools/call');
  expect(nameAt(text, ...at('"2.0"'))).toBe('"2.0"');
  expect(nameAt(text, ...at('methid'))).toBeUndefined();
  expect(nameAt(text, ...at('method"'))).toBeUndefined();
  expect(nameAt(text, 3, 3)).toBeUndefined();
});
