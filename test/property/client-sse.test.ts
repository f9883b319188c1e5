import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseReader, SseTooLarge, type SseEvent } from '../../src/client/sse.js';

const LIMIT = 10_000;

function read(chunks: readonly string[], limit = LIMIT): SseEvent[] {
  const events: SseEvent[] = [];
  const reader = new SseReader((event) => events.push(event), limit);
  for (const chunk of chunks) reader.push(chunk);
  return events;
}

/** WHATWG HTML, "Parsing an event stream", as plainly as it goes. */
function plainly(text: string): SseEvent[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  lines.pop();
  const events: SseEvent[] = [];
  const fresh = () => ({
    type: '',
    data: [] as string[],
    id: undefined as string | undefined,
    retry: undefined as number | undefined,
  });
  let event = fresh();
  for (const line of lines) {
    if (line === '') {
      const { type, data, id, retry } = event;
      if (data.length > 0 || id !== undefined || retry !== undefined)
        events.push({ type: type === '' ? 'message' : type, data: data.join('\n'), id, retry });
      event = fresh();
      continue;
    }
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/su.exec(line) ?? [];
    if (name === 'data') event.data.push(value);
    else if (name === 'event') event.type = value;
    else if (name === 'id' && !value.includes('\0')) event.id = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) event.retry = Number(value);
  }
  return events;
}

const pieces = fc.array(
  fc.constantFrom(
    'data:',
    'data: ',
    'data',
    'event:',
    'event: x',
    'id:',
    'id: 7',
    'retry: 10',
    'retry: -1',
    ':',
    ': ',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\0',
    '\ufeff',
    '{"a":1}',
    '€',
    '\ud83d\ude00',
    'x',
  ),
  { maxLength: 60 },
);

function cutAt(text: string, cuts: readonly number[]): string[] {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, n) => text.slice(start, at[n] ?? text.length));
}

describe('the event stream reader of the client', () => {
  it('reads what the standard says, however the stream is cut', () => {
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(), { maxLength: 12 }), (parts, cuts) => {
        const text = parts.join('');
        expect(read(cutAt(text, cuts))).toEqual(plainly(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('holds no event over its limit, in one line or in many', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.boolean(), (size, lines) => {
        const line = `data: ${'x'.repeat(size)}${lines ? '\n' : ''}`;
        const text = lines ? line.repeat(1 + 200 / size) : `data: ${'x'.repeat(300)}`;
        expect(() => read([text], 100)).toThrow(SseTooLarge);
      }),
    );
  });
});
