import { describe, expect, test } from 'vitest';
import {
  createdIn,
  flatMembers,
  plainResult,
  relatedAnswer,
  resultRequest,
} from '../../../../src/bridge/tasks/flat.js';
import { unmarked } from '../../../../src/bridge/asked.js';
import type { Question } from '../../../../src/protocol/ports.js';

const RELATED = 'io.modelcontextprotocol/related-task';
const flat = (task: string, status = 'working'): string => `{${flatMembers(Buffer.from(task), status)}}`;

describe('a task of 2025-11-25 in the words of the extension', () => {
  test('has its times under other names, and every other byte as it came', () => {
    expect(
      flat(
        '{"taskId":"t","status":"failed","ttl":1.50e3, "pollInterval":5,"x-own":{"ttl":12345678901234567890}}',
      ),
    ).toBe(
      '{"taskId":"t","status":"working","ttlMs":1.50e3,"pollIntervalMs":5,"x-own":{"ttl":12345678901234567890}}',
    );
  });

  test('lives without limit where its server names none', () => {
    expect(flat('{"taskId":"t"}')).toBe('{"taskId":"t","status":"working","ttlMs":null}');
    expect(flat('{"ttl":null,"taskId":"t"}')).toBe('{"ttlMs":null,"status":"working","taskId":"t"}');
  });

  test('says nothing that its status does not', () => {
    const task =
      '{"taskId":"t","result":{},"error":{},"inputRequests":{},"requestState":"s","resultType":"x"}';
    expect(flat(task, 'completed')).toBe('{"taskId":"t","status":"completed","ttlMs":null}');
  });
});

test('what says that a task was made is told from any other result', () => {
  const created = createdIn(Buffer.from('{"id":1,"result":{"_meta":{"a":1},"task":{"taskId":"t"}}}'));
  expect(String(created?.task)).toBe('{"taskId":"t"}');
  expect(String(created?.meta)).toBe('{"a":1}');
  for (const other of [
    '{"result":{"content":[]}}',
    '{"result":{"task":{}}}',
    '{"result":{"task":null}}',
    '{"result":null}',
    '{"result":{"task":{"taskId":1}}}',
    '{"result":{"task":{"taskId":"t"}',
    '[]',
    'null',
  ])
    expect(createdIn(Buffer.from(other))).toBeUndefined();
});

test.each([
  [`{"a":1,"_meta":{"${RELATED}":{"taskId":"t"}}}`, '{"a":1,"_meta":{}}'],
  [`{"_meta":{"x":1.0,"${RELATED}":{"taskId":"t"},"y":2},"a":1}`, '{"_meta":{"x":1.0,"y":2},"a":1}'],
  ['{"_meta":null}', '{"_meta":null}'],
  ['{"a":1}', '{"a":1}'],
])('a result %s does not say which task it is of', (result, plain) => {
  expect(String(plainResult(Buffer.from(result)))).toBe(plain);
});

describe('the answer to a question', () => {
  const question = (meta: string): Question =>
    ({ bytes: Buffer.from(`{"id":1,"params":{"_meta":${meta}}}`) }) as Question;
  const about = question(`{"${RELATED}":{"taskId":"t"}}`);
  const answered = (to: Question, answer: string): unknown =>
    JSON.parse(relatedAnswer(to, Buffer.from(answer)).toString());

  test('names the task that the question names', () => {
    const related = { [RELATED]: { taskId: 't' } };
    expect(answered(about, '{}')).toEqual({ _meta: related });
    expect(answered(about, '{"action":"accept"}')).toEqual({ action: 'accept', _meta: related });
    expect(answered(about, '{"_meta":{}}')).toEqual({ _meta: related });
    expect(answered(about, '{"a":1,"_meta":{"b":2}}')).toEqual({ a: 1, _meta: { ...related, b: 2 } });
  });

  test('stays as it is where there is no task, or where it names one', () => {
    expect(answered(question('{}'), '{"a":1}')).toEqual({ a: 1 });
    expect(answered(question('1'), '{"a":1}')).toEqual({ a: 1 });
    const own = { _meta: { [RELATED]: { taskId: 'own' } } };
    expect(answered(about, JSON.stringify(own))).toEqual(own);
    expect(answered(about, '{"_meta":1}')).toEqual({ _meta: 1 });
  });

  test('goes back to the server under the id of the server', () => {
    const answer = (taskId: unknown): string => JSON.stringify({ a: 1, _meta: { [RELATED]: { taskId } } });
    const back = (text: string): string => String(unmarked(Buffer.from(text), 'up'));
    expect(back(answer('up__t__1'))).toBe(answer('t__1'));
    for (const same of [answer('other__t'), answer('t'), answer(1), `{"_meta":"${RELATED}"}`, '{"a":1}'])
      expect(back(same)).toBe(same);
  });
});

test('tasks/result is asked for in the name of its client', () => {
  expect(JSON.parse(resultRequest('"a"', 't"', '7').body.toString())).toEqual({
    jsonrpc: '2.0',
    id: 'a',
    method: 'tasks/result',
    params: { taskId: 't"', _meta: { progressToken: 7 } },
  });
  expect(resultRequest('0', 't').meta).toEqual([]);
});
