import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_DEPTH, MAX_VALUES, scan, ScanError, type Member, type Span } from '../../src/wire/scan.js';

const text = (buf: Buffer, { start, end }: Span): string => buf.toString('utf8', start, end);
/** As JSON.parse has it: of equal keys the last one counts. */
const asObject = (buf: Buffer, members: readonly Member[]): Record<string, unknown> => {
  const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const member of members) object[member.key] = JSON.parse(text(buf, member)) as unknown;
  return object;
};
const plain = (value: unknown): unknown => Object.assign(Object.create(null), value) as unknown;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Strings around the length at which the reader changes its way, with all that may stand in them. */
const strings = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.string({
    unit: fc.constantFrom('a', '"', '\\', '\n', '\u0000', 'é', '🚀', '\u2028', '/'),
    maxLength: 120,
  }),
);
const values = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' });
const metas = fc.dictionary(fc.oneof(fc.constantFrom('progressToken', 'x/y'), strings), values, {
  maxKeys: 4,
});
const params = fc.oneof(
  values,
  fc.record({ name: strings, arguments: values, _meta: fc.oneof(metas, values) }, { requiredKeys: [] }),
);
const messages = fc.oneof(
  values,
  fc.dictionary(fc.oneof(fc.constantFrom('jsonrpc', 'id', 'method'), strings), values, { maxKeys: 4 }),
  fc.record({ jsonrpc: fc.constant('2.0'), id: values, method: strings, params }, { requiredKeys: [] }),
);
/** Letters of strings as escapes, which stand for the same. */
const escaped = (json: string): string =>
  json.replace(/"(?:[^"\\]|\\.)*"/g, (string) =>
    string.replace(/\\u....|\\.|[a-z]/g, (c) =>
      c.length > 1 ? c : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  );
/** The same value in other spellings: white space, escapes. */
const spellings = fc
  .tuple(messages, fc.constantFrom('', '\n', '\t', ' \r\n '), fc.boolean())
  .map(([value, space, escape]) => {
    const json = JSON.stringify(value, undefined, 1).replace(/\n */g, space);
    return escape ? escaped(json) : json;
  });

describe('scan', () => {
  it('cuts spans that, parsed, equal JSON.parse of the whole', () => {
    fc.assert(
      fc.property(spellings, (json) => {
        const buf = Buffer.from(json);
        const whole = JSON.parse(buf.toString('utf8')) as unknown;
        const read = scan(buf);
        if (Array.isArray(whole)) {
          expect(read.kind).toBe('array');
          if (read.kind === 'array')
            expect(read.elements.map((span) => JSON.parse(text(buf, span)) as unknown)).toEqual(whole);
        } else if (isObject(whole)) {
          if (read.kind !== 'object') throw new Error(read.kind);
          expect(asObject(buf, read.top)).toEqual(plain(whole));
          const inner = whole['params'];
          expect(asObject(buf, read.params)).toEqual(isObject(inner) ? plain(inner) : plain({}));
          const meta = isObject(inner) && Object.hasOwn(inner, '_meta') ? inner['_meta'] : undefined;
          expect(asObject(buf, read.meta)).toEqual(isObject(meta) ? plain(meta) : plain({}));
        } else expect(read).toEqual({ kind: 'scalar' });
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses a text exactly when JSON.parse refuses it', () => {
    const edits = fc.array(
      fc.record({
        at: fc.nat(),
        remove: fc.integer({ min: 0, max: 3 }),
        insert: fc.oneof(
          fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', '.', 'e', '\\u00', 'null', ' '),
          fc.constantFrom(
            '\n',
            '\t',
            '\u0000',
            '\u001f',
            '\u007f',
            '\ufeff',
            '\u00a0',
            '\u2028',
            'é',
            '/',
            '1',
          ),
          fc.string({ maxLength: 3 }),
        ),
      }),
      { minLength: 1, maxLength: 3 },
    );
    let [refused, taken] = [0, 0];
    fc.assert(
      fc.property(spellings, edits, (json, changes) => {
        let edited = json;
        for (const { at, remove, insert } of changes) {
          const i = at % (edited.length + 1);
          edited = edited.slice(0, i) + insert + edited.slice(i + remove);
        }
        const buf = Buffer.from(edited);
        let valid = true;
        try {
          JSON.parse(buf.toString('utf8'));
        } catch {
          valid = false;
        }
        if (valid) taken++;
        else refused++;
        if (valid) scan(buf);
        else expect(() => scan(buf)).toThrow(ScanError);
      }),
      { numRuns: 6000 },
    );
    // The edits must make both kinds, or they prove nothing.
    expect(Math.min(refused, taken)).toBeGreaterThan(500);
  });

  it('refuses what JSON.parse refuses of any bytes that are UTF-8', () => {
    const bytes = fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array));
    fc.assert(
      fc.property(bytes, (buf) => {
        fc.pre(isUtf8(buf));
        let valid = true;
        try {
          // Not toString(): that would drop nothing, but a BOM must stay one.
          JSON.parse(buf.toString('utf8'));
        } catch {
          valid = false;
        }
        if (valid) scan(buf);
        else expect(() => scan(buf)).toThrow(ScanError);
      }),
      { numRuns: 5000 },
    );
  });

  it('proves strings of every length, escapes at every place', () => {
    for (let length = 0; length < 130; length++) {
      for (const piece of ['\\n', '\\u00e9', '\\\\', '\\"', 'é', '🚀']) {
        const filler = 'x'.repeat(length);
        const good = Buffer.from(`{"a":"${filler}${piece}${filler}","b":1}`);
        const read = scan(good);
        if (read.kind !== 'object') throw new Error(read.kind);
        expect(asObject(good, read.top)).toEqual(plain(JSON.parse(good.toString())));
      }
      for (const piece of ['\\x', '\\u12', '\\u12g4', '\n', '\u0000', '\\']) {
        expect(() => scan(Buffer.from(`{"a":"${'x'.repeat(length)}${piece}","b":1}`))).toThrow(ScanError);
      }
    }
  });

  it(`takes ${MAX_DEPTH} levels and no more, however deep it goes`, () => {
    expect(MAX_DEPTH).toBe(128);
    const nested = (depth: number, open: string, close: string): Buffer =>
      Buffer.from(open.repeat(depth) + (open === '[' ? '' : '1') + close.repeat(depth));
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      expect(() => scan(nested(128, open, close))).not.toThrow();
      expect(() => scan(nested(129, open, close))).toThrow('nested deeper than 128');
      expect(() => scan(nested(1_000_000, open, ''))).toThrow('nested deeper than 128');
    }
  });

  it(`takes ${MAX_VALUES} values and no more`, () => {
    expect(() => scan(Buffer.from(`[${'0,'.repeat(MAX_VALUES - 2)}0]`))).not.toThrow();
    expect(() => scan(Buffer.from(`[${'0,'.repeat(MAX_VALUES - 1)}0]`))).toThrow('more than');
  });

  it('reads 10 MB of brackets or of one string', () => {
    expect(() => scan(Buffer.alloc(10_000_000, '['))).toThrow(ScanError);
    scan(Buffer.from(`{"params":{"arguments":"${'x\\n'.repeat(3_000_000)}"}}`));
  });
});
