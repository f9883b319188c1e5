import { describe, expect, it } from 'vitest';
import { problems, resolve } from './helpers.js';

const profile = (search?: unknown) => ({
  servers: [],
  profiles: [{ name: 'support', ...(search !== undefined && { search }) }],
});
const searchOf = (search?: unknown) => resolve(profile(search)).profiles[0]?.search;

describe('profiles[].search', () => {
  it('is off unless a profile says otherwise', () => {
    expect(searchOf()).toBeUndefined();
    expect(searchOf('off')).toBeUndefined();
  });

  it('has defaults for what is not written', () => {
    expect(searchOf('on')).toEqual({ always: [], limit: 5 });
    expect(searchOf({})).toEqual({ always: [], limit: 5 });
    expect(searchOf({ always: ['files__*'], limit: 3 })).toEqual({ always: ['files__*'], limit: 3 });
  });

  it('may be a boolean, as a YAML 1.1 reader makes of on and off', () => {
    expect(searchOf(true)).toEqual({ always: [], limit: 5 });
    expect(searchOf(false)).toBeUndefined();
  });

  it.each(['auto', 1, { limit: 0 }, { limit: 21 }, { limit: 1.5 }, { always: 'files__*' }, { allways: [] }])(
    'refuses %j',
    async (search) => {
      const found = await problems(JSON.stringify(profile(search)));
      expect(found).toHaveLength(1);
      expect(found[0]).toContain('search');
    },
  );
});
