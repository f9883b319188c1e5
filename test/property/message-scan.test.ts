import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageScan } from '../../src/wire/message-scan.js';

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const space = fc.constantFrom('', '', ' ', '\n\t', '\r\n ');
const strings = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '}', '{', ',', ':', 'é', '🚀'), maxLength: 90 }),
  fc.constantFrom('","id":7}', '\\', '},"id":7', 'x'.repeat(300), `${'y'.repeat(200)}"\\`),
);
const scalars = fc.oneof(strings, fc.integer(), fc.boolean(), fc.constant(null), fc.double({ noNaN: true }));
const trees = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    scalars,
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom('id', 'result', 'isError', 'resultType'), strings), tie('tree'), {
      maxKeys: 4,
    }),
  ),
})).tree;
const members = fc
  .record(
    {
      jsonrpc: fc.constant('2.0'),
      id: fc.oneof(fc.integer(), strings, fc.constant(null)),
      result: fc.oneof(
        trees,
        fc.record({ isError: fc.boolean(), resultType: strings, content: trees }, { requiredKeys: [] }),
      ),
      error: fc.oneof(fc.constant(null), fc.record({ code: fc.integer(), message: strings, data: trees })),
      method: strings,
      params: trees,
      extra: trees,
      '': trees,
    },
    { requiredKeys: [] },
  )
  .map((message) => JSON.parse(JSON.stringify(message)) as Record<string, unknown>);

/** The members in another order, with white space between the tokens. */
function written(message: Record<string, unknown>, order: readonly number[], s: string): string {
  const keys = Object.keys(message)
    .map((key, i) => ({ key, at: order[i] ?? i }))
    .sort((a, b) => a.at - b.at);
  const text = keys.map(
    ({ key }) => `${s}${JSON.stringify(key)}${s}:${s}${JSON.stringify(message[key])}${s}`,
  );
  return `${s}{${text.join(',')}}${s}`;
}

/** What a reader that parses the whole finds. */
function reference(message: Record<string, unknown>): { kind: string | undefined; problem: boolean } {
  const deciding = ['result', 'error', 'method'].filter((key) => key in message);
  const real = deciding.filter((key) => key === 'method' || message[key] !== null);
  if (real.length > 1) return { kind: undefined, problem: true };
  if (real.length === 1) return { kind: real[0], problem: false };
  return 'result' in message ? { kind: 'result', problem: false } : { kind: undefined, problem: true };
}

describe('the envelope of a message', () => {
  it('is what a parser of the whole finds, in any order, however it is cut', () => {
    fc.assert(
      fc.property(members, fc.array(fc.nat(), { maxLength: 8 }), space, cuts, (message, order, s, at) => {
        const whole = Buffer.from(written(message, order, s));
        const scan = MessageScan.of(split(whole, at));
        const { kind, problem } = reference(message);
        expect(scan.problem !== undefined).toBe(problem);
        if (problem) return;
        expect(scan.kind).toBe(kind);
        const text = (start: number, end: number): unknown => JSON.parse(whole.toString('utf8', start, end));
        if (kind !== undefined) expect(text(scan.value, scan.valueEnd)).toEqual(structured(message[kind]));
        if ('id' in message) {
          expect(text(scan.id?.start ?? 0, scan.id?.end ?? 0)).toEqual(message.id);
          const raw = whole.toString('latin1', scan.id?.start, scan.id?.end);
          expect(scan.idText).toBe(raw.length <= 258 ? raw : '');
        } else expect(scan.id).toBeUndefined();
        if (kind === 'method' && (message.method as string).length < 80)
          expect(scan.method).toBe(message.method);
        const result = kind === 'result' ? message.result : undefined;
        if (typeof result === 'object' && result !== null && !Array.isArray(result)) {
          const own = result as Record<string, unknown>;
          expect(scan.isError).toBe(own.isError === true);
          if (typeof own.resultType === 'string' && own.resultType.length < 60)
            expect(scan.resultType).toBe(own.resultType);
        }
        // With the null members blanked the message says the same.
        const blank = Buffer.from(whole);
        for (const { start, end } of scan.nulls) blank.fill(0x20, start, end);
        const rest = JSON.parse(blank.toString()) as Record<string, unknown>;
        for (const key of ['result', 'error'])
          if (key in rest) expect(key === kind || rest[key] !== null || result === null).toBe(true);
        expect(rest.id).toEqual(message.id);
      }),
      { numRuns: 3000 },
    );
  });

  it('has a problem when an envelope member comes twice, escaped, or in another case', () => {
    const spelt = fc.constantFrom(
      ...['jsonrpc', 'id', 'method', 'params', 'result', 'error'].flatMap((name) => [
        name,
        name.toUpperCase(),
        `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`,
        name.replace(/^./, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
        name.replace(/s/, '\u017f'),
      ]),
    );
    fc.assert(
      fc.property(spelt, scalars.map(structured), fc.boolean(), cuts, (name, value, first, at) => {
        const more = `"${name}":${JSON.stringify(value)}`;
        const whole = first
          ? `{${more},"jsonrpc":"2.0","id":7,"result":{"content":[]}}`
          : `{"jsonrpc":"2.0","id":7,"result":{"content":[]},${more}}`;
        const read = MessageScan.of(split(Buffer.from(whole), at));
        const harmless = name === 'params' || (name === 'error' && value === null);
        const plain = ['jsonrpc', 'id', 'result'].includes(name);
        if (harmless) expect(read.problem).toBeUndefined();
        else if (plain || name === 'error' || name === 'method') expect(read.problem).toBeDefined();
        else expect(read.problem).toContain('can be read as');
      }),
      { numRuns: 2000 },
    );
  });

  it('never throws, whatever the bytes, and finds the same however they are cut', () => {
    const bytes = fc
      .array(
        fc.oneof(
          fc.constantFrom(...'{}[]",:\\ nulltruefalse0123456789'),
          fc.constantFrom('"id"', '"result":', '"error":null', '"\\u0069d"', '"method"'),
        ),
        { maxLength: 80 },
      )
      .map((parts) => Buffer.from(parts.join('')));
    fc.assert(
      fc.property(
        fc.oneof(
          bytes,
          fc.uint8Array({ maxLength: 200 }).map((list) => Buffer.from(list)),
        ),
        cuts,
        (list, at) => {
          const one = MessageScan.of([list]);
          const many = MessageScan.of(split(list, at));
          for (const key of [
            'problem',
            'kind',
            'value',
            'valueEnd',
            'idText',
            'isError',
            'resultType',
          ] as const)
            expect(many[key]).toEqual(one[key]);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('ends with its closing brace and nothing but white space', () => {
    const of = (text: string): string | undefined => MessageScan.of([Buffer.from(text)]).problem;
    expect(of('{"id":1,"result":{}} \n')).toBeUndefined();
    expect(of('{"id":1,"result":{}}x')).toBe('goes on behind its closing brace');
    expect(of('{"id":1,"result":{}}{"id":2,"result":{}}')).toBe('goes on behind its closing brace');
    expect(of('{"id":1,"result":{}')).toBe('ends before its closing brace');
    expect(of('{"id":1,"result":{}},"id":1,"x":{}}')).toBe('goes on behind its closing brace');
    expect(of('[{"id":1}]')).toBe('is not an object');
  });

  it('tells members of the result that come twice', () => {
    const doubled = (result: string): string | undefined =>
      MessageScan.of([Buffer.from(`{"id":1,"result":${result}}`)]).doubled;
    expect(doubled('{"isError":true,"content":[],"isError":false}')).toBe('isError');
    expect(doubled('{"resultType":"a","ResultType":"b"}')).toBe('resultType');
    expect(doubled('{"content":[{"isError":true,"isError":true}]}')).toBeUndefined();
  });
});

/** As JSON has it: -0 is 0. */
function structured(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
