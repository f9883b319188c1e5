import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argumentsOf } from '../../../src/cli/arguments.js';
import { valueOf } from '../../../src/client/message.js';
import { tempDir } from '../../helpers/cli.js';

const schema = {
  properties: {
    text: { type: 'string' },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    on: { type: 'boolean' },
    list: { type: 'array', items: { type: 'string' } },
    deep: { type: 'object' },
    maybe: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
    free: {},
  },
};

const read = (words: readonly string[], stdin = '') =>
  argumentsOf(words, schema, { stdin: Readable.from([stdin]) });
const values = async (...words: string[]) => valueOf(await read(words));

describe('name=text', () => {
  it('is typed by the schema', async () => {
    expect(
      await values(
        'text=1',
        'count=2',
        'ratio=-1.5e2',
        'on=true',
        'list=a,b',
        'deep={"a":1}',
        'maybe=null',
        'free=3',
      ),
    ).toEqual({
      text: '1',
      count: 2,
      ratio: -150,
      on: true,
      list: ['a', 'b'],
      deep: { a: 1 },
      maybe: null,
      free: '3',
    });
    expect(await values('list=[1, 2]', 'maybe=7', 'text=a=b:=c')).toEqual({
      list: [1, 2],
      maybe: 7,
      text: 'a=b:=c',
    });
  });

  it.each([
    [['count=1.5'], "count must be integer, not '1.5'"],
    [['on=yes'], "on must be boolean, not 'yes'"],
    [['count=9007199254740993'], 'loses digits'],
    [['deep={'], 'deep:= must be JSON'],
    [['text=a', 'text=b'], "'text' is given twice"],
    [['text'], "'text' is no argument"],
    [['free:={'], 'free:= must be JSON'],
    [['text=@/nonexistent'], 'text: cannot read /nonexistent'],
    [['{}', 'text=a'], "no further arguments, such as 'text=a'"],
    [['{"a":}'], 'the argument holds no JSON object'],
    [['-'], 'stdin holds no JSON object'],
  ])('refuses %j', async (words, why) => {
    await expect(read(words, '[1]')).rejects.toMatchObject({
      status: 2,
      message: expect.stringContaining(why) as string,
    });
  });

  it('takes any name, also one that objects have', async () => {
    const found = await values('__proto__=a', 'constructor=b');
    expect(Object.keys(found)).toEqual(['__proto__', 'constructor']);
  });
});

it('name:=json and name=@file', async () => {
  const folder = await tempDir();
  const [text, json] = [join(folder, 'a.txt'), join(folder, 'a.json')];
  await writeFile(text, 'line\n');
  await writeFile(json, '[1]');
  expect(await values('text:=5', `free=@${text}`, `deep:=@${json}`)).toEqual({
    text: 5,
    free: 'line\n',
    deep: [1],
  });
});

it('a whole object is kept byte for byte, from a word and from stdin', async () => {
  const text = '{"a": 1.0, "a": 9007199254740993}';
  expect(await read([text])).toEqual({ raw: text });
  expect(await read(['-'], `${text}\n`)).toEqual({ raw: text });
});

it('any JSON value arrives as it is through :=', async () => {
  await fc.assert(
    fc.asyncProperty(fc.stringMatching(/^[a-z_][a-z0-9_-]{0,8}$/), fc.jsonValue(), async (name, value) => {
      expect(await values(`${name}:=${JSON.stringify(value)}`)).toEqual({
        [name]: JSON.parse(JSON.stringify(value)) as unknown,
      });
    }),
  );
});

it('any word is read, or refused with status 2', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }), async (words) => {
      await read(words, '{}').then(
        (found) => expect(typeof found).toBe('object'),
        (error: unknown) => {
          expect(error).toMatchObject({ name: 'Refusal', status: 2 });
        },
      );
    }),
  );
});
