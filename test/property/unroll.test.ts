import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_ROUNDS, SENT, step, type UnrollEvent, type UnrollState } from '../../src/bridge/unroll.js';

const PACE = { first: 250, longest: 5000 };
const KEYS = ['a', 'b', 'c'];

const event: fc.Arbitrary<UnrollEvent> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('input' as const),
      keys: fc.subarray(KEYS),
      pace: fc.constant(PACE),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ type: fc.constant('answered' as const), key: fc.constantFrom(...KEYS) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('refused' as const), key: fc.constantFrom(...KEYS) }),
  },
  { weight: 4, arbitrary: fc.constant({ type: 'due' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'ended' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'cancel' as const }) },
);

describe('an unrolled call, whatever comes in whatever order', () => {
  it('has one request upstream at the most, asks for each key once a round, and ends once', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (happenings) => {
        let state: UnrollState = SENT;
        let upstream = 1;
        let asked = new Set<string>();
        let pauses = 0;
        let ends = 0;
        for (const happening of happenings) {
          const before: UnrollState = state;
          if (happening.type === 'input' && before.at === 'sent') upstream--;
          if (happening.type === 'ended' && before.at === 'sent') upstream--;
          if (happening.type === 'due' && before.at === 'pausing') pauses--;
          const { next, effects } = step(before, happening);
          state = next;
          for (const effect of effects) {
            if (effect.do === 'send') {
              upstream++;
              asked = new Set();
            } else if (effect.do === 'ask') {
              expect(asked.size).toBe(0);
              asked = new Set(effect.keys);
            } else if (effect.do === 'pause') {
              pauses++;
              expect(effect.ms).toBeGreaterThanOrEqual(PACE.first);
              expect(effect.ms).toBeLessThanOrEqual(PACE.longest);
            } else if (effect.do === 'cancel') upstream--;
          }
          if (state.at === 'over' && before.at !== 'over') {
            ends++;
            pauses = 0;
          }
          expect(upstream).toBe(state.at === 'sent' ? 1 : 0);
          expect(pauses).toBe(state.at === 'pausing' ? 1 : 0);
          if (state.at === 'asking') for (const key of state.open) expect(asked).toContain(key);
          expect(ends).toBe(state.at === 'over' ? 1 : 0);
        }
        ({ next: state } = step(state, { type: 'cancel' }));
        expect(state.at).toBe('over');
      }),
      { numRuns: 2000 },
    );
  });

  it('ends a call whose upstream never stops asking', () => {
    let state: UnrollState = SENT;
    let failed: unknown;
    for (let round = 0; round <= MAX_ROUNDS; round++) {
      const asked = step(state, { type: 'input', keys: ['a'], pace: PACE });
      failed = asked.effects.find((effect) => effect.do === 'fail');
      state = step(asked.next, { type: 'answered', key: 'a' }).next;
    }
    expect(failed).toEqual({ do: 'fail', why: 'rounds' });
  });

  it('waits longer from round to round where there is nothing to ask, and starts anew after a question', () => {
    const pauses: number[] = [];
    let state: UnrollState = SENT;
    const turn = (keys: string[]): void => {
      const turned = step(state, { type: 'input', keys, pace: PACE });
      for (const effect of turned.effects) if (effect.do === 'pause') pauses.push(effect.ms);
      state = step(turned.next, { type: 'due' }).next;
      for (const key of keys) state = step(state, { type: 'answered', key }).next;
    };
    for (let i = 0; i < 7; i++) turn([]);
    turn(['a']);
    turn([]);
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 250]);
  });
});
