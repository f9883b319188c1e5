import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseReader } from '../../src/wire/sse-read.js';

interface Event {
  type: string;
  data: string | undefined;
  id: string | undefined;
  retry: number | undefined;
}

/** The reader under test: its events, whole. */
function framed(chunks: readonly Buffer[], ignoreTypes = false): { events: Event[]; open: boolean } {
  const events: Event[] = [];
  let data: Buffer[] = [];
  let opened: string | undefined;
  const reader = new SseReader(
    {
      open(type) {
        expect(opened).toBeUndefined();
        opened = type;
        data = [];
      },
      data(chunk) {
        expect(chunk.length).toBeGreaterThan(0);
        data.push(Buffer.from(chunk));
      },
      close({ type, id, retry }) {
        expect(opened).toBeDefined();
        opened = undefined;
        events.push({ type, data: Buffer.concat(data).toString(), id, retry });
      },
      empty({ type, id, retry }) {
        events.push({ type, data: undefined, id, retry });
      },
    },
    ignoreTypes,
  );
  for (const chunk of chunks) reader.push(chunk);
  return { events, open: reader.finish() };
}

/** WHATWG HTML, "Parsing an event stream", as plainly as it goes; an event counts once it has a `data` line. */
function plainly(text: string): Event[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  lines.pop();
  const events: Event[] = [];
  let event: Event = { type: '', data: undefined, id: undefined, retry: undefined };
  for (const line of lines) {
    if (line === '') {
      if (event.data !== undefined || event.id !== undefined || event.retry !== undefined) events.push(event);
      event = { type: '', data: undefined, id: undefined, retry: undefined };
      continue;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? [];
    if (name === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
    else if (name === 'event') event.type = value;
    else if (name === 'id' && !value.includes('\0')) event.id = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) event.retry = Number(value);
  }
  return events;
}

const chars = fc.string({
  unit: fc.constantFrom('a', ' ', ':', '{', '"', 'é', '🚀', '\0', 'data', 'x'),
  maxLength: 12,
});
const lines = fc.oneof(
  { arbitrary: chars.map((text) => `data:${text}`), weight: 4 },
  { arbitrary: chars.map((text) => `data: ${text}`), weight: 4 },
  { arbitrary: fc.constant(''), weight: 5 },
  chars.map((text) => `event: ${text}`),
  chars.map((text) => `id: ${text}`),
  fc.oneof(fc.nat({ max: 99_999 }).map(String), chars).map((text) => `retry:${text}`),
  chars.map((text) => `:${text}`),
  fc.constantFrom(
    'data',
    'data:',
    'data: ',
    'datas: x',
    ' data: x',
    'dat',
    'd',
    'event',
    'Data: x',
    'id',
    'id:',
  ),
  chars,
);
const ends = fc.constantFrom('\n', '\r\n', '\r');
const streams = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(lines, ends), { maxLength: 25 }), fc.boolean(), ends)
  .map(([bom, all, uniform, end]) => {
    const text = all.map(([line, own]) => line + (uniform ? end : own)).join('');
    return (bom ? '\ufeff' : '') + text;
  });

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i] ?? bytes.length));
}

describe('an event stream', () => {
  it('gives the same events as a plain parser, cut anywhere, with LF, CRLF and CR', () => {
    fc.assert(
      fc.property(streams, fc.array(fc.nat(), { maxLength: 15 }), (text, cuts) => {
        const bytes = Buffer.from(text);
        expect(framed(split(bytes, cuts)).events).toEqual(plainly(text));
      }),
      { numRuns: 4000 },
    );
  });

  it('gives the same events byte by byte', () => {
    fc.assert(
      fc.property(streams, (text) => {
        const bytes = Buffer.from(text);
        const singles = Array.from(bytes, (byte) => Buffer.of(byte));
        expect(framed(singles).events).toEqual(plainly(text));
      }),
      { numRuns: 800 },
    );
  });

  it('with its types ignored is one of messages', () => {
    fc.assert(
      fc.property(streams, (text) => {
        const expected = plainly(text).map((event) => ({ ...event, type: '' }));
        expect(framed([Buffer.from(text)], true).events).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('does not own the chunks: what is written into them later changes nothing', () => {
    const chunk = Buffer.alloc(3);
    const seen: string[] = [];
    const reader = new SseReader({
      open: (type) => seen.push(type),
      data: (data) => seen.push(data.toString()),
      close: () => seen.push('close'),
      empty: () => undefined,
    });
    const text = 'event: ab\ndata:x\n\n';
    for (let i = 0; i < text.length; i += 3) {
      chunk.write(text.slice(i, i + 3));
      reader.push(chunk);
    }
    expect(seen).toEqual(['ab', 'x', 'close']);
  });

  it('knows whether an event was under way when it ended', () => {
    expect(framed([Buffer.from('data: x\n\n')]).open).toBe(false);
    for (const text of ['data: x\n', 'data: x', 'dat', 'event: y'])
      expect(framed([Buffer.from(text)]).open).toBe(true);
    expect(framed([Buffer.from(': comment\n')]).open).toBe(false);
  });

  it('bounds a line that is no data, and data not at all', () => {
    expect(() => framed([Buffer.from(`event: ${'x'.repeat(70_000)}`)])).toThrow('64 KB');
    const [event] = framed([Buffer.from(`data: ${'x'.repeat(500_000)}`), Buffer.from('\n\n')]).events;
    expect(event?.data?.length).toBe(500_000);
  });
});
