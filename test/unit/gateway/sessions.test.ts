import { afterEach, describe, expect, it } from 'vitest';
import { Sessions } from '../../../src/gateway/sessions.js';
import { silent } from '../../../src/observe/log.js';
import type { Session, SessionStore } from '../../../src/session/store.js';
import { stage, type Stage } from '../proxy/stage.js';

const open: Stage[] = [];
afterEach(() => {
  for (const on of open.splice(0)) on.ended();
});

function begin() {
  const on = stage([]);
  open.push(on);
  return { on, sessions: new Sessions(on.store, silent) };
}

describe('a session', () => {
  it('is found by its id until it has ended', () => {
    const { on, sessions } = begin();
    const [one, other] = [on.session(), on.session()];
    expect(sessions.find(one.id)).toBe(one);
    expect(sessions.find(one.id)).toBe(one);
    expect(sessions.find(other.id)).toBe(other);
    expect(sessions.find(one.id)).toBe(one);
    on.store.end(one, 'client_delete');
    expect(sessions.find(one.id)).toBeUndefined();
    expect(sessions.find(other.id)).toBe(other);
    expect(sessions.find('')).toBeUndefined();
  });

  it('is found that was opened again under the id that was looked up last', () => {
    const { on } = begin();
    const all: Session[] = [];
    const sessions = new Sessions({ all: () => all } as unknown as SessionStore, silent);
    expect(sessions.find('x')).toBeUndefined();
    const first: Session = { ...on.session(), id: 'x' };
    all.push(first);
    sessions.opened(first);
    expect(sessions.find('x')).toBe(first);
    first.open = false;
    all.pop();
    expect(sessions.find('x')).toBeUndefined();
    const second: Session = { ...first, open: true };
    all.push(second);
    sessions.opened(second);
    expect(sessions.find('x')).toBe(second);
  });

  it('ends where it is one of those, and the others stay', () => {
    const { on, sessions } = begin();
    const all = [on.session(), on.session({ server: 's' }), on.session({ server: 's' })];
    sessions.endWhere(({ server }) => server === 's', 'server_removed');
    expect(all.map((session) => session.open)).toEqual([true, false, false]);
    expect([...on.store.all()]).toEqual([all[0]]);
  });

  it('ends whatever the store does with another one', async () => {
    const { on } = begin();
    const all = [on.session(), on.session(), on.session()];
    const ended: string[] = [];
    const store: SessionStore = {
      ...on.store,
      all: () => all,
      end(session) {
        if (session === all[0]) throw new Error('cannot');
        if (session === all[1]) return Promise.reject(new Error('cannot either'));
        ended.push(session.id);
        return undefined;
      },
    };
    new Sessions(store, silent).endWhere(() => true, 'evicted');
    await new Promise(setImmediate);
    expect(ended).toEqual([all[2]?.id]);
  });
});
