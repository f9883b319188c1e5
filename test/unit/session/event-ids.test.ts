import { describe, expect, it } from 'vitest';
import { eventIdOf, firstPart, lastPart } from '../../../src/session/event-ids.js';
import type { Session } from '../../../src/session/store.js';

const session = (generation: number | undefined): Session => ({ generation }) as Session;

describe('ids of events', () => {
  it('without a fleet are stream and event', () => {
    const alone = session(undefined);
    expect(`${firstPart(alone, 3)}-7${lastPart(alone, '"x"')}`).toBe('3-7');
    expect(eventIdOf(alone, '3-7')).toEqual({ number: 3, seq: 7, isOlder: false, rawId: '' });
    for (const wrong of ['', '3', '3-', '-7', '1-3-7', '3-7-eA', ' 3-7', '3-7 ', '3-7\n'])
      expect(eventIdOf(alone, wrong)).toBeUndefined();
  });

  it('in a fleet tell the generation and the request', () => {
    const now = session(2);
    const id = `${firstPart(now, 3)}-7${lastPart(now, '"a call"')}`;
    expect(eventIdOf(now, id)).toEqual({ number: 3, seq: 7, isOlder: false, rawId: '"a call"' });
    expect(eventIdOf(session(3), id)).toEqual({ number: 3, seq: 7, isOlder: true, rawId: '"a call"' });
    // Nobody has sent it yet.
    expect(eventIdOf(session(1), id)).toBeUndefined();
    expect(eventIdOf(session(3), '2-0-4')).toEqual({ number: 0, seq: 4, isOlder: true, rawId: '' });
  });

  it('whose request is no id of JSON-RPC are none', () => {
    const encoded = (text: string): string => Buffer.from(text).toString('base64url');
    for (const text of ['{}', '[1]', 'null', 'true', '1,"x":2', '"a', '', '{"a":"b"}', '1}{'])
      expect(eventIdOf(session(3), `2-1-1-${encoded(text)}`)).toBeUndefined();
    // Of a call, but without its request.
    expect(eventIdOf(session(3), '2-1-1')).toBeUndefined();
    expect(eventIdOf(session(3), `2-1-1-${encoded(' 17\n')}`)?.rawId).toBe('17');
  });
});
