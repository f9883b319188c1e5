import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  step,
  type LinkEffect,
  type LinkEvent,
  type LinkPhase,
} from '../../../../src/upstream/link/link-state.js';

const FIRST: LinkPhase = { at: 'dialing', failures: 0, attempts: 0 };

/** Runs the events one after the other, from the first dial on. */
function run(types: readonly LinkEvent['type'][], maxAttempts = 0, from: LinkPhase = FIRST) {
  let phase = from;
  const effects: LinkEffect['do'][][] = [];
  for (const type of types) {
    const result = step(phase, { type }, maxAttempts);
    phase = result.next;
    effects.push(result.effects.map((effect) => effect.do));
  }
  return { phase, effects };
}

const events = fc.array(
  fc.constantFrom<LinkEvent['type']>(
    'connected',
    'failed',
    'reopen',
    'hopeless',
    'unauthorized',
    'credential',
    'due',
    'drain',
    'close',
  ),
  { maxLength: 40 },
);

describe('the life of a link', () => {
  it('connects, breaks, waits, dials again', () => {
    expect(run(['connected', 'failed', 'due', 'connected'])).toEqual({
      phase: { at: 'up' },
      effects: [[], ['disconnect', 'wait'], ['dial'], []],
    });
  });

  it('counts failures in a row for the backoff, and begins anew once it was up', () => {
    const waits = (types: LinkEvent['type'][]): number[] => {
      let phase: LinkPhase = FIRST;
      const found: number[] = [];
      for (const type of types) {
        const { next, effects } = step(phase, { type }, 0);
        for (const effect of effects) if (effect.do === 'wait') found.push(effect.failures);
        phase = next;
      }
      return found;
    };
    expect(waits(['failed', 'due', 'failed', 'due', 'failed', 'due', 'connected', 'failed'])).toEqual([
      1, 2, 3, 1,
    ]);
  });

  it('does not count an attempt that goes on with another session', () => {
    const waiting = ['disconnect', 'wait'];
    expect(run(['reopen', 'due', 'failed'], 1)).toEqual({
      phase: { at: 'given_up', isHopeless: false },
      effects: [waiting, ['dial'], ['disconnect', 'give_up']],
    });
    expect(run(['connected', 'reopen', 'due', 'reopen', 'due', 'connected'], 1)).toEqual({
      phase: { at: 'up' },
      effects: [[], waiting, ['dial'], waiting, ['dial'], []],
    });
  });

  it('waits for a login without a timer, and dials once there is something to show', () => {
    expect(run(['unauthorized'])).toEqual({
      phase: { at: 'login' },
      effects: [['disconnect', 'await_login']],
    });
    expect(run(['failed', 'due', 'unauthorized', 'credential'], 2)).toEqual({
      phase: FIRST,
      effects: [['disconnect', 'wait'], ['dial'], ['disconnect', 'await_login'], ['dial']],
    });
    expect(run(['connected', 'unauthorized']).phase).toEqual({ at: 'login' });
    const login: LinkPhase = { at: 'login' };
    for (const type of ['connected', 'failed', 'hopeless', 'unauthorized', 'due'] as const)
      expect(run([type], 1, login)).toEqual({ phase: login, effects: [[]] });
    expect(run(['drain'], 0, login).phase).toEqual({ at: 'draining' });
    expect(run(['close', 'credential'], 0, login).phase).toEqual({ at: 'closed' });
  });

  it('dials before its time once there is something else to show, and still counts the failures', () => {
    expect(run(['failed', 'credential', 'failed', 'credential'])).toEqual({
      phase: { at: 'dialing', failures: 2, attempts: 2 },
      effects: [['disconnect', 'wait'], ['dial'], ['disconnect', 'wait'], ['dial']],
    });
    for (const phase of [FIRST, { at: 'up' }, { at: 'given_up', isHopeless: true }] as const)
      expect(run(['credential'], 0, phase)).toEqual({ phase, effects: [[]] });
  });

  it('gives up after so many failed attempts in a row, until somebody has logged in', () => {
    const { phase, effects } = run(['failed', 'due', 'failed'], 2);
    expect(phase).toEqual({ at: 'given_up', isHopeless: false });
    expect(effects.at(-1)).toEqual(['disconnect', 'give_up']);
    for (const type of ['connected', 'failed', 'due'] as const)
      expect(run([type], 2, phase)).toEqual({ phase, effects: [[]] });
    expect(run(['credential', 'failed', 'credential'], 2, phase)).toEqual({
      phase: { at: 'dialing', failures: 1, attempts: 1 },
      effects: [['dial'], ['disconnect', 'wait'], ['dial']],
    });
    expect(run(['hopeless', 'credential'], 2).phase).toEqual({ at: 'given_up', isHopeless: true });
  });

  it('a break of what was up is no failed attempt yet', () => {
    expect(run(['connected', 'failed', 'due', 'connected', 'failed'], 1).phase.at).toBe('waiting');
    expect(run(['connected', 'failed', 'due', 'failed'], 1).phase.at).toBe('given_up');
  });

  it('takes no event but close once it drains, and none once it is closed', () => {
    for (const type of ['connected', 'failed', 'due', 'drain'] as const) {
      expect(run(['connected', 'drain', type]).phase).toEqual({ at: 'draining' });
      expect(run(['connected', 'close', type])).toMatchObject({ phase: { at: 'closed' } });
    }
  });

  it('never gets stuck: whoever enters a state was told to do what leads out of it', () => {
    fc.assert(
      fc.property(events, fc.constantFrom(0, 1, 2, 5), (types, maxAttempts) => {
        let phase: LinkPhase = FIRST;
        for (const type of types) {
          const before: LinkPhase = phase;
          const { next, effects } = step(before, { type }, maxAttempts);
          const does = effects.map((effect) => effect.do);
          const entered = next.at !== before.at;
          expect(does.includes('dial')).toBe(entered && next.at === 'dialing');
          expect(does.includes('wait')).toBe(entered && next.at === 'waiting');
          expect(does.includes('give_up')).toBe(entered && next.at === 'given_up');
          // Out of `up` by itself never without emptying the lists.
          if (before.at === 'up' && entered && type !== 'drain' && type !== 'close')
            expect(does).toContain('disconnect');
          phase = next;
        }
        // From anywhere that is not an end, it can be up again.
        if (['dialing', 'waiting', 'up'].includes(phase.at)) {
          const way: LinkEvent['type'][] = phase.at === 'waiting' ? ['due', 'connected'] : ['connected'];
          expect(run(way, maxAttempts, phase).phase.at).toBe('up');
        }
        // From anywhere it can be closed, and stays so.
        expect(run(['close', ...types], maxAttempts, phase).phase).toEqual({ at: 'closed' });
      }),
      { numRuns: 3000 },
    );
  });

  it('without a limit never gives up but for what is hopeless', () => {
    fc.assert(
      fc.property(events, (types) => {
        const tried = types.filter((type) => type !== 'hopeless');
        expect(run(tried, 0).phase.at).not.toBe('given_up');
      }),
    );
  });
});
