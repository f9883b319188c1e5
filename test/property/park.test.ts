import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RUNNING, step, type ParkEvent, type ParkState } from '../../src/bridge/park.js';

/** What happens to a call from outside; keys are numbered in the order of the questions. */
const event: fc.Arbitrary<ParkEvent | { type: 'retry_some'; bits: number } | { type: 'ask' }> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ type: 'ask' as const }) },
  { weight: 4, arbitrary: fc.constant({ type: 'gathered' as const }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('retry_some' as const), bits: fc.nat(255) }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('void' as const), key: fc.constantFrom('1', '2', '3', '4') }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'answered' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'left' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'expired' as const }) },
);

class World {
  state: ParkState = RUNNING;
  asked = 0;
  readonly settled = new Map<string, number>();
  readonly told = new Set<string>();
  /** Requests of the client that wait for an answer. */
  waiting = 1;
  gathers = 0;
  answered = false;
  ended = 0;

  apply(happening: ParkEvent): void {
    if (happening.type === 'retry' && this.state.at === 'parked') this.waiting++;
    if (happening.type === 'left' && this.state.at === 'running') this.waiting--;
    if (happening.type === 'void' && this.state.open.has(happening.key)) this.settle(happening.key);
    if (happening.type === 'gathered') this.gathers = 0;
    if (happening.type === 'answered' && this.state.at !== 'over') this.answered = true;
    const { next, effects } = step(this.state, happening);
    this.state = next;
    for (const effect of effects)
      switch (effect.do) {
        case 'gather':
          this.gathers++;
          break;
        case 'tell':
          this.waiting--;
          expect(effect.keys.length).toBeGreaterThan(0);
          for (const key of effect.keys) this.told.add(key);
          break;
        case 'deliver':
          expect(this.told).toContain(effect.key);
          this.settle(effect.key);
          break;
        case 'refuse':
          this.settle(effect.key);
          break;
        case 'hand_over':
          expect(this.answered).toBe(true);
          this.waiting--;
          this.ended++;
          break;
        case 'cancel':
          this.ended++;
          break;
      }
  }

  settle(key: string): void {
    this.settled.set(key, (this.settled.get(key) ?? 0) + 1);
  }

  run(what: ParkEvent | { type: 'retry_some'; bits: number } | { type: 'ask' }): void {
    if (what.type === 'ask') this.apply({ type: 'asked', key: String(++this.asked) });
    else if (what.type === 'retry_some')
      this.apply({
        type: 'retry',
        keys: Array.from({ length: 8 }, (_, i) => String(i + 1)).filter((_, i) => (what.bits >> i) & 1),
      });
    else if (what.type === 'answered' && this.answered) return;
    else this.apply(what);
  }
}

describe('a parked call, whatever comes in whatever order', () => {
  it('answers no question twice, and no request of the client twice', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (happenings) => {
        const world = new World();
        for (const happening of happenings) {
          world.run(happening);
          expect([...world.settled.values()].every((times) => times === 1)).toBe(true);
          expect(world.waiting).toBe(world.state.at === 'running' ? 1 : 0);
          expect(world.ended).toBe(world.state.at === 'over' ? 1 : 0);
          expect(world.gathers).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('leaves nothing open once its client has gone and its time is over', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (happenings) => {
        const world = new World();
        for (const happening of happenings) world.run(happening);
        world.apply({ type: 'left' });
        world.apply({ type: 'expired' });
        expect(world.state.at).toBe('over');
        expect(world.settled.size).toBe(world.asked);
        expect([...world.settled.values()].every((times) => times === 1)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('tells a client that comes back with everything nothing it was told before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), (count) => {
        const world = new World();
        for (let i = 0; i < count; i++) world.run({ type: 'ask' });
        world.apply({ type: 'gathered' });
        expect(world.state.at).toBe('parked');
        world.apply({ type: 'retry', keys: [...world.state.open.keys()] });
        expect(world.state.at).toBe('running');
        expect(world.settled.size).toBe(count);
        world.apply({ type: 'answered' });
        expect(world.ended).toBe(1);
      }),
    );
  });
});
