import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NOBODY_TO_ASK, type Sink } from '../../src/protocol/ports.js';
import { createBudget } from '../../src/lib/budget.js';
import { AnswerReader, type AnswerHost, type IdOrder } from '../../src/upstream/answer.js';
import { readHead, readTail, startsWithIsError } from '../../src/wire/edges.js';

/** What became of one message. */
interface Outcome {
  bytes: Buffer;
  announced: number | undefined;
  kind: string | undefined;
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
): Outcome {
  const outcome: Outcome = {
    bytes: Buffer.alloc(0),
    announced: undefined,
    kind: undefined,
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
    },
    write(chunk) {
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
  const host: AnswerHost = {
    idText,
    rawId: Buffer.from(rawId),
    modern: false,
    edit: undefined,
    sink,
    starting: () => undefined,
    hold: () => undefined,
    message: (bytes) => outcome.messages.push(bytes),
    rpcError: () => false,
    answered: () => undefined,
    broken(why) {
      outcome.broken ??= why;
    },
  };
  const budget = createBudget(1 << 30);
  const reader = new AnswerReader(host, { messageBytes: 1 << 26, budget }, order, length);
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  expect(budget.used).toBe(0);
  return outcome;
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
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
          expect(order.seen).toBe(place === 'first' ? 'first' : place === 'odd' ? 'odd' : 'last');
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
    const wrong = fc.constantFrom('8', '7.0', '"7"', '70', '-7', '7e0', 'null', '07');
    fc.assert(
      fc.property(
        fc.constantFrom<Place>('first', 'last', 'odd'),
        fc.constantFrom<IdOrder['seen']>('unknown', 'first', 'last', 'odd'),
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

  it('the tail finds only a member of the message itself', () => {
    const idOf = (text: string): string | undefined => {
      const id = readTail(Buffer.from(text))?.id;
      return id && text.slice(id.start, id.end);
    };
    expect(idOf('{"result":{"id":1},"id":2}')).toBe('2');
    expect(idOf('{"result":{"id":1},"jsonrpc":"2.0","id":"x"} \n')).toBe('"x"');
    expect(idOf('{"result":{"id":1},"jsonrpc":"2.0"}')).toBeUndefined();
    expect(idOf('{"result":{"a":{"id":1}}}')).toBeUndefined();
    expect(idOf('{"id":1,"result":[{"id":2}]}')).toBeUndefined();
    expect(idOf('{"result":"x","id":3}')).toBe('3');
    expect(idOf('{"result":"}","id":4}')).toBe('4');
    expect(readTail(Buffer.from('{"result":{}'))?.id).toBeUndefined();
    expect(readTail(Buffer.from('{"result":[]'))).toBeUndefined();
    expect(readTail(Buffer.from(''))).toBeUndefined();
  });

  it('isError as the first member is seen, a longer or nested name is not', () => {
    const first = (text: string): boolean => startsWithIsError(Buffer.from(text), 0);
    expect(first('{"isError":true}')).toBe(true);
    expect(first('{ "isError" : true,')).toBe(true);
    expect(first('{"isError":trueish')).toBe(false);
    expect(first('{"isErrors":true}')).toBe(false);
    expect(first('{"i":{"isError":true}}')).toBe(false);
    expect(first('["isError",true]')).toBe(false);
  });
});
