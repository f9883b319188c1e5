/** The judge of what gateways emit is judged here: it must find what is wrong, and excuse what was handed on alone. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempDir } from '../helpers/cli.js';
import { judge } from '../helpers/wire-judge.mjs';
import { zodSchemas } from '../helpers/wire-global.js';

const REVISION = '2025-11-25';
const schemas = zodSchemas();

async function judged(...records: object[]): Promise<ReturnType<typeof judge>> {
  const folder = join(await tempDir(), 'wire');
  mkdirSync(folder);
  const lines = records.map((record) => JSON.stringify({ test: 't', revision: REVISION, ...record }) + '\n');
  writeFileSync(join(folder, '1.jsonl'), lines.join(''));
  return judge(folder, () => schemas);
}

const message = (members: object): object => ({ jsonrpc: '2.0', ...members });
const result = (value: object): object => message({ id: 1, result: value });
const nameless = result({ tools: [{ inputSchema: { type: 'object' } }] });

it.each<[string, object]>([
  ['a request', { to: 'server', message: message({ id: 1, method: 'tools/call', params: {} }) }],
  ['a notification', { to: 'client', message: message({ method: 'notifications/progress', params: {} }) }],
  ['a result', { to: 'client', requests: ['tools/list'], message: nameless }],
  [
    'a result that may be of two requests',
    { to: 'client', requests: ['ping', 'tools/list'], message: nameless },
  ],
  ['an error', { to: 'client', requests: ['ping'], message: message({ id: 1, error: { code: 'x' } }) }],
  ['an envelope', { to: 'client', requests: [], message: { id: 1, result: {} } }],
  ['what is no JSON', { to: 'client', text: '{' }],
])('finds %s that is wrong', async (_what, record) => {
  expect(await judged(record)).toMatchObject({ excused: 0, problems: [record] });
});

it('finds nothing wrong with what is right, an error for an id that could not be read, and what it does not know', async () => {
  const right = await judged(
    { to: 'server', message: message({ id: 1, method: 'tools/call', params: { name: 'x' } }) },
    { to: 'client', requests: ['tools/call'], message: result({ content: [] }) },
    { to: 'client', requests: [], message: message({ id: null, error: { code: -32700, message: 'no' } }) },
    { to: 'client', requests: ['x/y'], message: result({ any: 1 }) },
    { to: 'server', message: message({ id: 1, method: 'x/y' }) },
    { from: 'server', requests: ['tools/list'], message: nameless },
  );
  expect(right).toEqual({ judged: 3, unknown: 2, excused: 0, problems: [] });
});

it('excuses what was given as wrong in the same test, and that alone', async () => {
  const given = { from: 'server', requests: ['tools/list'], message: nameless };
  const handedOn = { to: 'client', requests: ['tools/list'], message: nameless };
  const more = {
    to: 'client',
    requests: ['tools/list'],
    message: result({ tools: [{ inputSchema: { type: 1 } }] }),
  };
  expect(await judged(given, handedOn)).toMatchObject({ excused: 1, problems: [] });
  expect(await judged({ ...given, test: 'another' }, handedOn)).toMatchObject({
    excused: 0,
    problems: [handedOn],
  });
  expect(await judged(given, more)).toMatchObject({ excused: 0, problems: [more] });
});
