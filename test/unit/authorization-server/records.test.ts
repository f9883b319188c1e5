import { expect, it } from 'vitest';
import { isGrantId, newGrantId, tagIn, tagOf } from '../../../src/authorization-server/records.js';

it('ids of grants begin with what they are of, and never as an option of a command', () => {
  for (let n = 0; n < 1000; n++) {
    const tag = tagOf('https://id.example/\ngw\nsub', `person ${n}`);
    const id = newGrantId(tag);
    expect(id).toMatch(/^[^-]/);
    expect([isGrantId(id), tagIn(id)]).toEqual([true, tag]);
  }
});

it('takes nothing else for the id of a grant', () => {
  for (const other of ['', '../../key', 'x'.repeat(37), 'x'.repeat(39), `${'x'.repeat(37)}/`])
    expect(isGrantId(other)).toBe(false);
});
