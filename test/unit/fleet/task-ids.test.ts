import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { FleetTaskIds } from '../../../src/fleet/task-ids.js';

const [old, now] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const [HERE, THERE] = ['0123456789', 'abcdef0123'];
const live = new Set<string>();

function idsOf(self = HERE, keys = new FleetKeys(now, [])): FleetTaskIds {
  return new FleetTaskIds({ keys, self, isLive: (replica) => replica !== self && live.has(replica) });
}

const task = { id: 's__1.2', principal: 'key:ann', server: undefined, tool: 'work' };

describe('the id of a task', () => {
  it('says which replica has it, and whether that is alive', () => {
    const shown = idsOf().show(task);
    expect(shown).toMatch(/^t\.0123456789\.d29yaw\.s__1\.2\.[A-Za-z0-9_-]{22}$/);
    const there = idsOf(THERE);
    expect(idsOf().open(shown, task)).toEqual({ id: task.id, tool: 'work', home: 'here' });
    expect(there.open(shown, task)).toEqual({ id: task.id, tool: 'work', home: 'gone' });
    expect(there.homeOf(shown, task)).toBeUndefined();
    live.add(HERE);
    expect(there.open(shown, task)).toEqual({ id: task.id, tool: 'work', home: 'elsewhere' });
    expect(there.homeOf(shown, task)).toBe(HERE);
    expect(idsOf().homeOf(shown, task)).toBe(HERE);
    expect(idsOf(THERE).open(shown.replace('d29yaw', 'b3RoZXI'), task)).toBeUndefined();
  });

  it('counts for one principal on one endpoint, and under the keys of the fleet', () => {
    const shown = idsOf().show(task);
    for (const other of [
      { ...task, principal: 'key:ben' },
      { ...task, server: 's' },
      { ...task, server: '' },
    ])
      expect(idsOf().open(shown, other)?.id).toBe(other.server === '' ? task.id : undefined);
    expect(idsOf(HERE, new FleetKeys(now, [old])).open(shown, task)).toBeDefined();
    expect(idsOf(HERE, new FleetKeys(old, [now])).open(shown, task)).toBeDefined();
    expect(idsOf(HERE, new FleetKeys(old, [])).open(shown, task)).toBeUndefined();
  });

  it('is any text of a server, and no other text is one', () => {
    const ids = idsOf();
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.string(),
        fc.string(),
        (id, text, principal) => {
          const shown = ids.show({ ...task, id, principal });
          expect(ids.open(shown, { ...task, principal })).toEqual({ id, tool: 'work', home: 'here' });
          expect(ids.open(text, { ...task, principal })).toBeUndefined();
          expect(ids.open(`${shown}${text}`, { ...task, principal })?.id).toBe(text === '' ? id : undefined);
          expect(ids.open(`t.${THERE}${shown.slice(12)}`, { ...task, principal })).toBeUndefined();
        },
      ),
    );
  });
});
