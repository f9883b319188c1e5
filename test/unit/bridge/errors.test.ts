import { describe, expect, it } from 'vitest';
import { judge, readError, withError, type ErrorContext } from '../../../src/bridge/errors.js';
import { readMessages, type Message } from '../../../src/protocol/message.js';

const deep = '['.repeat(5000) + ']'.repeat(5000);
const wholeOf = (error: string): [Buffer, number] => [
  Buffer.from(`{"jsonrpc":"2.0","id":1,"error":${error}}`),
  '{"jsonrpc":"2.0","id":1,"error":'.length,
];
const context = (method: string, params: object): ErrorContext => ({
  upstream: 'legacy',
  caller: { era: 'modern', capabilities: {} },
  server: 's',
  message: readMessages(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))) as Message,
});

describe('an error of a server', () => {
  it('of any depth is read, and keeps the bytes of its data', () => {
    const [whole, value] = wholeOf(`{"code":-32050,"message":"no","data": ${deep}}`);
    const error = readError(whole, value);
    expect([error.code, error.message, error.data?.toString()]).toEqual([-32050, 'no', deep]);
    const verdict = judge(error, context('tools/call', { name: 'x' }));
    if (typeof verdict === 'string') throw new Error(verdict);
    expect(verdict.data?.toString()).toBe(`{"code":-32050,"message":"no","data":${deep}}`);
    expect(withError(whole, value, error, verdict, '7').toString()).toBe(
      `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"no","data":${verdict.data?.toString()}}}`,
    );
  });

  it.each([
    ['"no"', -32603, ''],
    ['null', -32603, ''],
    ['[]', -32603, ''],
    ['{}', -32603, ''],
    ['{"code":"x","message":7}', -32603, ''],
    ['{"code":-1,"code":-2,"message":"a","message":"b"}', -2, 'b'],
  ])('%s is one all the same', (error, code, message) => {
    const [whole, value] = wholeOf(error);
    const read = readError(whole, value);
    expect([read.code, read.message]).toEqual([code, message]);
    const shown = JSON.parse(withError(whole, value, read, { ...read, code: -9 }, '1').toString()) as object;
    expect(shown).toMatchObject({ id: 1, error: { code: -9 } });
  });

  it.each([
    ['', '{"uri":"a://x"}'],
    [',"data":{}', '{"uri":"a://x"}'],
    [',"data":{"k":1}', '{"k":1,"uri":"a://x"}'],
    [',"data":{"uri":"b"}', '{"uri":"b"}'],
    [',"data":null', '{"uri":"a://x"}'],
  ])('about a resource says which one it is: data%s', (data, expected) => {
    const [whole, value] = wholeOf(`{"code":-32002,"message":"no"${data}}`);
    const verdict = judge(readError(whole, value), context('resources/read', { uri: 'a://x' }));
    if (typeof verdict === 'string') throw new Error(verdict);
    expect([verdict.code, verdict.data?.toString()]).toEqual([-32602, expected]);
  });
});
