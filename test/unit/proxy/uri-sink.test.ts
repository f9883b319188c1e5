import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../src/errors.js';
import type { AnswerHead, Sink } from '../../../src/protocol/ports.js';
import { UriSink } from '../../../src/proxy/uri-sink.js';
import { UriMarks } from '../../../src/wire/uri-members.js';

const MARKS = new UriMarks(['ui'], 'a+/');
const PAGE = '{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"ui://b","text":"ui://b"}]}}';
const QUALIFIED = PAGE.replace('"uri":"ui://b"', '"uri":"ui://a+/b"');
const VALUE = PAGE.indexOf('{"contents"');

class Recorder implements Sink {
  readonly events: string[] = [];
  heads: AnswerHead[] = [];
  out: Buffer[] = [];
  /** What `write` returns. */
  hasRoom = true;

  get text(): string {
    return Buffer.concat(this.out).toString();
  }

  notify(): boolean {
    this.events.push('notify');
    return this.hasRoom;
  }
  ask(): { code: number; message: string } {
    this.events.push('ask');
    return { code: 1, message: 'no' };
  }
  withdraw(): void {
    this.events.push('withdraw');
  }
  retryIn(ms: number): void {
    this.events.push(`retry in ${ms}`);
  }
  start(head: AnswerHead): void {
    this.events.push('start');
    this.heads.push(head);
  }
  write(chunk: Buffer): boolean {
    this.events.push('write');
    this.out.push(chunk);
    return this.hasRoom;
  }
  end(): void {
    this.events.push('end');
  }
  cancelled(why: string): void {
    this.events.push(`cancelled: ${why}`);
  }
  fail(error: GatewayError): void {
    this.events.push(`fail: ${error.message}`);
  }
}

const head = (bytes: number | undefined, value = VALUE): AnswerHead => ({
  kind: 'result',
  bytes,
  value,
  code: undefined,
});

function qualified(pieces: readonly string[], bytes: number | undefined): Recorder {
  const inner = new Recorder();
  const sink = new UriSink(inner, MARKS);
  sink.start(head(bytes));
  for (const piece of pieces) sink.write(Buffer.from(piece));
  sink.end({ isError: false });
  return inner;
}

describe('UriSink', () => {
  it('starts a whole answer with its new length', () => {
    const { events, heads, text } = qualified([PAGE], PAGE.length);
    expect(events).toEqual(['start', 'write', 'end']);
    expect(heads).toEqual([head(QUALIFIED.length)]);
    expect(text).toBe(QUALIFIED);
    expect(text.indexOf('{"contents"')).toBe(VALUE);
  });

  it('starts a longer answer without a length', () => {
    for (let cut = VALUE + 1; cut < PAGE.length; cut++) {
      const { heads, text } = qualified([PAGE.slice(0, cut), PAGE.slice(cut)], PAGE.length);
      expect(heads).toEqual([head(undefined)]);
      expect(text).toBe(QUALIFIED);
    }
  });

  it('starts an answer of unknown length at once', () => {
    const inner = new Recorder();
    const sink = new UriSink(inner, MARKS);
    sink.start(head(undefined));
    expect(inner.events).toEqual(['start']);
    sink.write(Buffer.from(PAGE));
    sink.end({ isError: false });
    expect(inner.text).toBe(QUALIFIED);
  });

  it('changes nothing before the result, so that its offset stays right', () => {
    const before = '{"uri":"ui://b","result":';
    const inner = new Recorder();
    const sink = new UriSink(inner, MARKS);
    sink.start(head(undefined, before.length));
    sink.write(Buffer.from(`${before}{"uri":"ui://b`));
    sink.write(Buffer.from('"},"uri":"ui://c"}'));
    sink.end({ isError: false });
    expect(inner.text).toBe(`${before}{"uri":"ui://a+/b"},"uri":"ui://a+/c"}`);
  });

  it('changes the data of an error', () => {
    const error =
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"ui://b","data":{"uri":"ui://b"}}}';
    const inner = new Recorder();
    const sink = new UriSink(inner, MARKS);
    const value = error.indexOf('{"code"');
    sink.start({ kind: 'error', bytes: error.length, value, code: -32002 });
    sink.write(Buffer.from(error));
    sink.end({ isError: false });
    const expected = error.replace('"uri":"ui://b"', '"uri":"ui://a+/b"');
    expect(inner.text).toBe(expected);
    expect(inner.heads).toEqual([{ kind: 'error', bytes: expected.length, value, code: -32002 }]);
  });

  it('passes on what a truncated answer ends with', () => {
    const { text } = qualified(['{"result":{"uri":', '"ui:'], undefined);
    expect(text).toBe('{"result":{"uri":"ui:');
    expect(qualified([], 5).events).toEqual(['start', 'end']);
  });

  it('does not start an answer that is cancelled or fails before its first chunk', () => {
    for (const over of ['cancelled', 'fail'] as const) {
      const inner = new Recorder();
      const sink = new UriSink(inner, MARKS);
      sink.start(head(PAGE.length));
      if (over === 'cancelled') sink.cancelled('gone');
      else sink.fail(new GatewayError('internal', 'broken'));
      expect(inner.events).toEqual([over === 'cancelled' ? 'cancelled: gone' : 'fail: broken']);
    }
  });

  it('does not pass on what it holds of an answer that is cancelled or fails', () => {
    for (const over of ['cancelled', 'fail'] as const) {
      const inner = new Recorder();
      const sink = new UriSink(inner, MARKS);
      sink.start(head(undefined));
      sink.write(Buffer.from('{"result":{"uri":"ui:'));
      if (over === 'cancelled') sink.cancelled('gone');
      else sink.fail(new GatewayError('internal', 'broken'));
      expect(inner.text).toBe('{"result":{"uri":');
      expect(inner.events).toHaveLength(3);
    }
  });

  it('passes on everything else, and returns whether there is room', () => {
    const inner = new Recorder();
    const sink = new UriSink(inner, MARKS);
    inner.hasRoom = false;
    const question = { method: 'ping' } as never;
    expect(sink.notify({ method: 'x', bytes: Buffer.alloc(0) })).toBe(false);
    expect(sink.ask(question)).toEqual({ code: 1, message: 'no' });
    sink.withdraw(question);
    sink.retryIn(5);
    sink.start(head(undefined));
    expect(sink.write(Buffer.from(PAGE))).toBe(false);
    inner.hasRoom = true;
    expect(sink.write(Buffer.from(PAGE))).toBe(true);
    // All of it waits.
    inner.hasRoom = false;
    sink.write(Buffer.from('{"uri":'));
    expect(sink.write(Buffer.from('"'))).toBe(true);
    expect(inner.events).toEqual([
      'notify',
      'ask',
      'withdraw',
      'retry in 5',
      'start',
      'write',
      'write',
      'write',
    ]);
  });

  it('passes 4.4 MB on without keeping them', () => {
    const inner = new Recorder();
    const sink = new UriSink(inner, MARKS);
    const text = '<a href=\\"ui://b\\">\\u003c'.repeat(2700);
    let passedOn = 0;
    let unchanged = 0;
    inner.write = (chunk) => {
      passedOn += chunk.length;
      return true;
    };
    const piece = Buffer.from(text);
    const pieces = Math.ceil(4_400_000 / piece.length);
    sink.start(head(pieces * piece.length + 2, 0));
    sink.write(Buffer.from('{"'));
    for (let i = 0; i < pieces; i++) {
      const before = passedOn;
      sink.write(piece);
      if (passedOn - before === piece.length) unchanged++;
    }
    // Each chunk is passed on before the next one: nothing accumulates.
    expect(unchanged).toBe(pieces);
  });
});
