import { describe, expect, it } from 'vitest';
import { sessionFacts, type SessionFactsDeps } from '../../../src/gateway/session-facts.js';
import type { Session } from '../../../src/session/store.js';

interface State {
  readonly inFlight?: Map<string, unknown>;
  readonly questions?: Map<string, unknown>;
  readonly kept?: 'nothing' | 'ended' | 'running';
  readonly own?: number;
  readonly hasTask?: boolean;
  readonly isDraining?: boolean;
}

function isIdle({
  inFlight,
  questions,
  kept = 'nothing',
  own = 0,
  hasTask = false,
  isDraining = false,
}: State) {
  const facts = sessionFacts({
    streams: () => ({ kept: () => kept }),
    own: () => ({ of: () => new Array(own) as unknown[] }),
    tasks: () => ({ has: () => hasTask }),
    isDraining: () => isDraining,
  } as unknown as SessionFactsDeps);
  return facts.isIdle({ inFlight, questions } as unknown as Session);
}

describe('a session that may move to another replica', () => {
  const one = new Map([['1', {}]]);

  it('has nothing that is here alone', () => {
    expect(isIdle({})).toBe(true);
    expect(isIdle({ inFlight: new Map() })).toBe(true);
    expect(isIdle({ inFlight: one })).toBe(false);
    expect(isIdle({ questions: one })).toBe(false);
    expect(isIdle({ own: 1 })).toBe(false);
    expect(isIdle({ kept: 'running' })).toBe(false);
    expect(isIdle({ kept: 'ended' })).toBe(false);
    expect(isIdle({ hasTask: true })).toBe(false);
  });

  it('may leave behind what ends with a replica that shuts down', () => {
    expect(isIdle({ isDraining: true, kept: 'ended', hasTask: true })).toBe(true);
    for (const more of [{ inFlight: one }, { questions: one }, { own: 1 }, { kept: 'running' as const }])
      expect(isIdle({ isDraining: true, ...more })).toBe(false);
  });
});
