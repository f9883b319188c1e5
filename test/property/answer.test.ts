import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOBODY_TO_ASK, type AnswerEdit, type Sink } from '../../src/protocol/ports.js';
import { LEGACY_TOOL_RESULT } from '../../src/bridge/edit.js';
import { createBudget } from '../../src/lib/budget.js';
import { AnswerReader } from '../../src/upstream/calls/answer.js';
import type { AnswerHost, IdOrder } from '../../src/upstream/calls/answer-host.js';
import { readHead } from '../../src/wire/edges.js';
import { skipSpace } from '../../src/wire/scan.js';

/** What became of one message. */
interface Outcome {
  bytes: Buffer;
  announced: number | undefined;
  kind: string | undefined;
  /** Of the head: where the result begins in the first chunk, and what it says that it is. */
  value: number;
  resultType: string | undefined;
  writes: number;
  ended: number;
  isError: boolean | undefined;
  broken: string | undefined;
  messages: Buffer[];
}

function read(
  chunks: readonly Buffer[],
  idText: string,
  rawId: string,
  order: IdOrder,
  length: number | undefined,
  {
    modern = false,
    edit,
    fails = false,
  }: { modern?: boolean; edit?: AnswerEdit | undefined; fails?: boolean } = {},
): Outcome {
  const outcome: Outcome = {
    bytes: Buffer.alloc(0),
    announced: undefined,
    kind: undefined,
    value: -1,
    resultType: undefined,
    writes: 0,
    ended: 0,
    isError: undefined,
    broken: undefined,
    messages: [],
  };
  const sink: Sink = {
    notify: () => true,
    ask: () => NOBODY_TO_ASK,
    start(head) {
      outcome.announced = head.bytes;
      outcome.kind = head.kind;
      outcome.value = head.value;
      outcome.resultType = head.resultType;
    },
    write(chunk) {
      outcome.writes++;
      outcome.bytes = Buffer.concat([outcome.bytes, chunk]);
      return true;
    },
    end(seen) {
      outcome.ended++;
      outcome.isError = seen.isError;
    },
    cancelled: () => undefined,
    fail: () => undefined,
  };
  let over = false;
  const host: AnswerHost = {
    get over() {
      return over;
    },
    idText,
    rawId: Buffer.from(rawId),
    modern,
    edit,
    whose: {},
    sink,
    starting: () => undefined,
    hold: () => undefined,
    message: (bytes) => {
      outcome.messages.push(bytes);
      over ||= fails;
    },
    oversize: () => undefined,
    rpcError: () => false,
    masked: (error) => error,
    answered: () => {
      over = true;
    },
    quotedId: () => undefined,
    broken(why) {
      outcome.broken ??= why;
    },
  };
  const budget = createBudget(1 << 30);
  const reader = new AnswerReader(
    host,
    { messageBytes: 1 << 26, questionBytes: 1 << 26, budget },
    order,
    length,
  );
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  expect(budget.used).toBe(0);
  return outcome;
}

/** Pieces of their own, as they come from a socket: their reader may change them. */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => Buffer.from(bytes.subarray(from, at[i] ?? bytes.length)));
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const space = fc.constantFrom('', '', ' ', '\n', '\r\n\t ');
const strings = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '}', '{', ',', ':', '\n', 'é', '🚀'), maxLength: 40 }),
  fc.constantFrom('","id":7}', '{"id":7}', '\\', '\\"', '},"id":7', 'x'.repeat(700)),
);
const scalars = fc.oneof(strings, fc.integer(), fc.boolean(), fc.constant(null), fc.double({ noNaN: true }));
const trees = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalars,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(
      fc.oneof(fc.constantFrom('id', 'result', 'isError', 'content', 'error'), strings),
      tie('tree'),
      {
        maxKeys: 4,
      },
    ),
  ),
})).tree;
const results = fc.oneof(
  trees,
  fc.record({ content: trees, isError: fc.boolean(), structuredContent: trees }, { requiredKeys: [] }),
);
const ownIds = fc.constantFrom('7', '1', '123456789');
const callerIds = fc.constantFrom(
  '7',
  '0',
  '-1',
  '""',
  '"a"',
  '9007199254740993',
  `"${'long'.repeat(100)}"`,
  '"é"',
);

type Place = 'first' | 'last' | 'before version' | 'odd';
/** A message with its id at `place`; `mark` stands for the id. */
const envelope = (place: Place, member: string, value: string, mark: string, s: string): string => {
  const [version, id, own] = [
    `"jsonrpc"${s}:${s}"2.0"`,
    `"id"${s}:${s}${mark}`,
    `"${member}"${s}:${s}${value}`,
  ];
  const order = {
    first: [version, id, own],
    last: [own, version, id],
    'before version': [own, id, version],
    odd: [own, id, '"x":{"id":8}', version],
  }[place];
  return `${s}{${s}${order.join(`${s},${s}`)}${s}}${s}`;
};

describe('an answer', () => {
  it('flows through with nothing changed but its id, wherever it stands, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Place>('first', 'last', 'before version', 'odd'),
        results,
        space,
        ownIds,
        callerIds,
        cuts,
        fc.boolean(),
        (place, value, s, id, caller, at, told) => {
          const json = JSON.stringify(value);
          const sent = Buffer.from(envelope(place, 'result', json, id, s));
          const expected = Buffer.from(envelope(place, 'result', json, caller, s));
          const order: IdOrder = { seen: 'unknown' };
          // The first answer teaches the order, the second one uses it.
          for (let i = 0; i < 2; i++) {
            const outcome = read(split(sent, at), id, caller, order, told ? sent.length : undefined);
            expect(outcome.broken).toBeUndefined();
            expect(outcome.bytes.toString()).toBe(expected.toString());
            expect(outcome.kind).toBe('result');
            expect(outcome.ended).toBe(1);
            if (outcome.announced !== undefined) expect(outcome.announced).toBe(expected.length);
            if (told) expect(outcome.announced).toBe(expected.length);
          }
          expect(order.seen).toBe(place === 'first' ? 'first' : 'last');
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('of an error keeps the bytes of the error', () => {
    const errors = fc.record({ code: fc.integer(), message: strings, data: trees });
    fc.assert(
      fc.property(
        fc.constantFrom<Place>('first', 'last', 'odd'),
        errors,
        space,
        callerIds,
        cuts,
        (place, error, s, caller, at) => {
          const json = JSON.stringify(error);
          const sent = Buffer.from(envelope(place, 'error', json, '7', s));
          const outcome = read(split(sent, at), '7', caller, { seen: 'unknown' }, undefined);
          expect(outcome.kind).toBe('error');
          expect(outcome.bytes.toString()).toBe(`{"jsonrpc":"2.0","id":${caller},"error":${json}}`);
          expect(outcome.announced).toBe(outcome.bytes.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('that is a notification or a request is handed over whole', () => {
    fc.assert(
      fc.property(trees, space, cuts, (params, s, at) => {
        const sent = Buffer.from(`{${s}"method":"notifications/x","params":${JSON.stringify(params)}${s}}`);
        const outcome = read(split(sent, at), '7', '"c"', { seen: 'unknown' }, undefined);
        expect(outcome.messages.map(String)).toEqual([sent.toString()]);
        expect(outcome.bytes.length).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('under another id is never let through to its end, known order or not', () => {
    const wrong = fc.constantFrom('8', '7.0', '"8"', '"7.0"', '"7 "', '70', '-7', '7e0', 'null', '07');
    fc.assert(
      fc.property(
        fc.constantFrom<Place>('first', 'last', 'odd'),
        fc.constantFrom<IdOrder['seen']>('unknown', 'first', 'last'),
        results,
        wrong,
        cuts,
        (place, seen, value, id, at) => {
          const sent = Buffer.from(envelope(place, 'result', JSON.stringify(value), id, ''));
          const outcome = read(split(sent, at), '7', '"caller"', { seen }, undefined);
          expect(outcome.broken).toBeDefined();
          expect(outcome.ended).toBe(0);
        },
      ),
      { numRuns: 800 },
    );
  });

  it('that is cut anywhere is never ended as if it were whole', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<'first' | 'last'>('first', 'last'),
        fc.record({ content: trees }),
        fc.nat(),
        (place, value, at) => {
          const whole = envelope(place, 'result', JSON.stringify(value), '7', '');
          const cut = whole.slice(0, 1 + (at % (whole.length - 1)));
          fc.pre(!cut.endsWith('}'));
          const outcome = read([Buffer.from(cut)], '7', '"c"', { seen: place }, undefined);
          expect(outcome.ended).toBe(0);
          if (outcome.bytes.length > 0) expect(outcome.broken).toBeDefined();
        },
      ),
      { numRuns: 800 },
    );
  });

  it('in an array does not follow the failure of its call', () => {
    const log = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}';
    const array = `[${log},${envelope('first', 'result', '{"content":[]}', '7', '')},${log}]`;
    const of = (fails: boolean): Outcome =>
      read([Buffer.from(array)], '7', '1', { seen: 'unknown' }, undefined, { fails });
    expect(of(false)).toMatchObject({ ended: 1, writes: 1 });
    expect(of(true)).toMatchObject({ ended: 0, writes: 0, kind: undefined, broken: undefined });
    for (const fails of [false, true]) expect(of(fails).messages).toHaveLength(2);
  });

  it('shows isError among the last or as the first member of its result, and never one of its content', () => {
    const isError = (result: string, place: Place = 'first'): boolean | undefined =>
      read(
        [Buffer.from(envelope(place, 'result', result, '7', ''))],
        '7',
        '1',
        { seen: 'unknown' },
        undefined,
      ).isError;
    for (const place of ['first', 'last', 'odd'] as const) {
      expect(isError('{"isError":true,"content":[]}', place)).toBe(true);
      expect(isError('{ "isError" : true }', place)).toBe(true);
      expect(isError('{"isError":false,"content":[]}', place)).toBe(false);
      expect(isError('{"content":[{"isError":true}]}', place)).toBe(false);
      expect(isError('{"content":["\\"isError\\":true"]}', place)).toBe(false);
      if (place !== 'odd')
        expect(isError('{"content":[],"isError":true,"resultType":"complete"}', place)).toBe(true);
    }
  });
});

/** `"h":1` first, `"t":2` last: where members are put in, with the commas that they need. */
const insert: Required<Pick<AnswerEdit, 'head' | 'tail'>> = {
  head(bytes, value) {
    const text = bytes[skipSpace(bytes, value + 1)] === 0x7d ? '"h":1' : '"h":1,';
    return [{ start: value + 1, end: value + 1, bytes: Buffer.from(text) }];
  },
  tail: (_bytes, brace) => [{ start: brace, end: brace, bytes: Buffer.from(',"t":2') }],
};
/** A `resultType` that stands first is taken out, and a `ttlMs` that stands last. */
const take: Required<Pick<AnswerEdit, 'head' | 'tail'>> = {
  head(bytes, value) {
    const found = /^\{\s*"resultType"\s*:\s*"[a-z]*"\s*,?/.exec(bytes.toString('latin1', value, value + 200));
    return found ? [{ start: value + 1, end: value + found[0].length, bytes: Buffer.alloc(0) }] : [];
  },
  tail(bytes, brace, from) {
    const found = /,\s*"ttlMs"\s*:\s*\d+\s*$/.exec(bytes.toString('latin1', from, brace));
    return found ? [{ start: from + found.index, end: brace, bytes: Buffer.alloc(0) }] : [];
  },
};
const places = fc.constantFrom<Place>('first', 'last', 'before version', 'odd');
const orders = fc.constantFrom<IdOrder['seen']>('unknown', 'last');
/** Objects without members that would mean something here, or that JavaScript would put first. */
const objects = fc.dictionary(
  fc
    .string()
    .filter((key) => !['h', 't', 'resultType', 'ttlMs', '__proto__'].includes(key) && !/^\d+$/.test(key)),
  trees,
  { maxKeys: 4 },
);

describe('an answer that is edited', () => {
  it('has what was put in at both ends of its result, and every other byte', () => {
    fc.assert(
      fc.property(
        places,
        objects,
        space,
        callerIds,
        cuts,
        orders,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (place, value, s, caller, at, seen, told, modern, both) => {
          const json = JSON.stringify(value);
          const sent = Buffer.from(envelope(place, 'result', json, '7', s));
          const inner = json.slice(1, -1);
          const edited = `{"h":1${inner === '' ? '' : ','}${inner}${both ? ',"t":2' : ''}}`;
          const expected = envelope(place, 'result', edited, caller, s);
          const edit: AnswerEdit = both ? insert : { head: insert.head };
          const order: IdOrder = { seen };
          for (let i = 0; i < 2; i++) {
            const length = told ? sent.length : undefined;
            const outcome = read(split(sent, at), '7', caller, order, length, { modern, edit });
            expect(outcome.broken).toBeUndefined();
            expect(outcome.bytes.toString()).toBe(expected);
            if (outcome.announced !== undefined) expect(outcome.announced).toBe(outcome.bytes.length);
            if (told && !both) expect(outcome.announced).toBe(outcome.bytes.length);
            expect(outcome.bytes.toString('utf8', outcome.value, outcome.value + 4)).toBe('{"h"');
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('loses what was taken out, and no patch of one end meets one of the other', () => {
    fc.assert(
      fc.property(places, objects, callerIds, cuts, fc.boolean(), (place, value, caller, at, modern) => {
        const json = JSON.stringify({ resultType: 'complete', ...value, ttlMs: 5 });
        const left = JSON.stringify(value);
        const sent = Buffer.from(envelope(place, 'result', json, '7', ''));
        const order: IdOrder = { seen: 'unknown' };
        for (let i = 0; i < 2; i++) {
          const outcome = read(split(sent, at), '7', caller, order, sent.length, { modern, edit: take });
          expect(outcome.broken).toBeUndefined();
          const { result } = JSON.parse(outcome.bytes.toString()) as { result: Record<string, unknown> };
          // Alone between both ends, the ttl has lost its comma to the first of them.
          if (Object.keys(value).length === 0) expect(result).toEqual({ ttlMs: 5 });
          else expect(JSON.stringify(result)).toBe(JSON.stringify(JSON.parse(left)));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('that is no object has nothing to edit', () => {
    const edit: AnswerEdit = {
      head: () => {
        throw new Error('asked');
      },
      tail: () => {
        throw new Error('asked');
      },
    };
    for (const result of ['5', '"}"', '[1,{"a":2}]', 'null'])
      for (const place of ['first', 'last'] as const) {
        const sent = Buffer.from(envelope(place, 'result', result, '7', ''));
        const outcome = read([sent], '7', '"c"', { seen: 'unknown' }, undefined, { edit, modern: true });
        expect(outcome.bytes.toString()).toBe(envelope(place, 'result', result, '"c"', ''));
      }
  });
});

describe('an answer of a modern upstream', () => {
  it('comes whole, with its type, exactly if it is not complete', () => {
    const types = fc.constantFrom('complete', 'input_required', 'task', 'x/"y"', undefined);
    fc.assert(
      fc.property(
        places,
        types,
        fc.nat({ max: 4 }),
        objects,
        callerIds,
        cuts,
        fc.boolean(),
        (place, type, index, value, caller, at, told) => {
          const members = Object.entries(value).filter(([key]) => key !== 'content');
          if (type !== undefined) members.splice(Math.min(index, members.length), 0, ['resultType', type]);
          const json = JSON.stringify(Object.fromEntries(members));
          const sent = Buffer.from(envelope(place, 'result', json, '7', ''));
          const order: IdOrder = { seen: 'unknown' };
          for (let i = 0; i < 2; i++) {
            const length = told ? sent.length : undefined;
            const outcome = read(split(sent, at), '7', caller, order, length, { modern: true, edit: insert });
            expect(outcome.broken).toBeUndefined();
            const isComplete = type === undefined || type === 'complete';
            expect(outcome.resultType).toBe(isComplete ? undefined : type);
            if (isComplete) {
              expect(JSON.parse(outcome.bytes.toString())).toMatchObject({ result: { h: 1, t: 2 } });
              continue;
            }
            expect(outcome.writes).toBe(1);
            expect(outcome.announced).toBe(outcome.bytes.length);
            expect(outcome.bytes.toString()).toBe(envelope(place, 'result', json, caller, ''));
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('that begins with what only a complete result has is not held', () => {
    for (const key of [
      'content',
      'structuredContent',
      'isError',
      'messages',
      'description',
      'contents',
      'completion',
    ]) {
      const start = Buffer.from(`{"jsonrpc":"2.0","id":7,"result":{"${key}":"`);
      const chunks = [start, ...Array.from({ length: 8 }, () => Buffer.alloc(1000, 'x')), Buffer.from('"}}')];
      const outcome = read(chunks, '7', '1', { seen: 'unknown' }, undefined, { modern: true });
      expect(outcome.writes).toBeGreaterThan(3);
      expect(outcome.ended).toBe(1);
    }
  });

  it('shows isError behind a _meta, whatever that holds', () => {
    const metas = fc.dictionary(strings, trees, { maxKeys: 3 });
    fc.assert(
      fc.property(fc.boolean(), metas, places, cuts, (isError, meta, place, at) => {
        fc.pre(JSON.stringify(meta).length < 700 && place !== 'odd');
        const result = { content: [], isError, resultType: 'complete', _meta: meta };
        const sent = Buffer.from(envelope(place, 'result', JSON.stringify(result), '7', ''));
        const outcome = read(split(sent, at), '7', '1', { seen: 'unknown' }, undefined, { modern: true });
        expect(outcome.isError).toBe(isError);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the edges of a message', () => {
  it('the head says what it is once the deciding member has begun, and asks for more before', () => {
    const whole = '{"jsonrpc":"2.0","id":"a,\\"b","result":{"x":1}}';
    const decided = whole.indexOf('{"x"');
    for (let n = 0; n < whole.length; n++) {
      const head = readHead(Buffer.from(whole.slice(0, n)));
      if (n <= decided) expect(head).toBe('more');
      else
        expect(head).toEqual({
          kind: 'result',
          id: { start: whole.indexOf('"a,'), end: whole.indexOf(',"result"') },
          value: decided,
        });
    }
  });

  it.each(['[]', '5', 'x', '{}', '{"a"}', '{"a":}', '{"a":1}', '{"a":1;', '{a:1}', '{"a":1,}'])(
    'the head of %s is bad',
    (text) => {
      expect(readHead(Buffer.from(text))).toBe('bad');
    },
  );
});

describe('a result of a modern upstream for a legacy client', () => {
  const SERVER = 'io.modelcontextprotocol/serverInfo';
  const metas = fc.record(
    { [SERVER]: fc.constant({ name: 's', version: '1' }), other: trees },
    { requiredKeys: [] },
  );
  const member = fc.oneof(
    fc.constantFrom<[string, unknown]>(['resultType', 'complete'], ['ttlMs', 5], ['cacheScope', 'private']),
    metas.map((meta): [string, unknown] => ['_meta', meta]),
    fc.tuple(fc.constantFrom('content', 'isError', 'structuredContent', 'a', 'b', 'c'), trees),
  );
  const members = fc.uniqueArray(member, { selector: ([key]) => key, maxLength: 9 });

  it('loses nothing but its hints and who answered; a structuredContent that is no object is wrapped, however it is cut', () => {
    fc.assert(
      fc.property(places, members, space, cuts, orders, (place, list, s, at, seen) => {
        const json = `{${list.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(`${s},${s}`)}}`;
        const sent = Buffer.from(envelope(place, 'result', json, '7', s));
        const order: IdOrder = { seen };
        for (let i = 0; i < 2; i++) {
          const outcome = read(split(sent, at), '7', '1', order, undefined, {
            modern: true,
            edit: LEGACY_TOOL_RESULT,
          });
          expect(outcome.broken).toBeUndefined();
          const { result: got } = JSON.parse(outcome.bytes.toString()) as { result: Record<string, unknown> };
          const wanted = JSON.parse(json) as Record<string, unknown>;
          const { structuredContent: structured } = wanted;
          const isObject = typeof structured === 'object' && !Array.isArray(structured);
          if ('structuredContent' in wanted && !isObject)
            wanted['structuredContent'] = { result: structured };
          // What stands between other members may stay.
          for (const hint of ['resultType', 'ttlMs', 'cacheScope'])
            if (!(hint in got)) Reflect.deleteProperty(wanted, hint);
          const meta = wanted['_meta'] as Record<string, unknown> | undefined;
          const gotMeta = got['_meta'] as Record<string, unknown> | undefined;
          if (meta && SERVER in meta && !(gotMeta && SERVER in gotMeta)) {
            Reflect.deleteProperty(meta, SERVER);
            if (!gotMeta && Object.keys(meta).length === 0) Reflect.deleteProperty(wanted, '_meta');
          }
          expect(got).toEqual(wanted);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
