import { describe, expect, it } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import { FleetKeys } from '../../../src/fleet/keys.js';
import { KeyedPeerClients } from '../../../src/fleet/peer-clients.js';
import type { NamedClient } from '../../../src/protocol/peer-clients.js';

const [OLD, NEW] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const clients = (current = OLD, older: Buffer[] = []): KeyedPeerClients =>
  new KeyedPeerClients(new FleetKeys(current, older));
const caller = (more: Partial<NamedClient> = {}): NamedClient => ({
  client: 'session-1',
  alone: true,
  era: 'legacy',
  principal: LOCAL,
  ...more,
});

describe('names of clients on links between replicas', () => {
  it('are the same on all replicas, differ by client, and do not show it', () => {
    const text = clients().name(caller());
    expect(clients().name(caller())).toBe(text);
    expect(clients().name(caller({ client: 'session-2' }))).not.toBe(text);
    expect(text).toMatch(/^l1\.[\w-]{22}\.[\w-]{16}$/);
    expect(text).not.toContain('session');
  });

  it('are read by every replica, with era and whether the client is alone', () => {
    const read = (more: Partial<NamedClient>) => clients().read(clients().name(caller(more)), LOCAL.id);
    expect(read({})).toMatchObject({ alone: true, era: 'legacy' });
    expect(read({ alone: false, era: 'modern' })).toMatchObject({ alone: false, era: 'modern' });
    expect(read({})?.client).toBe(read({ alone: false })?.client);
    expect(read({})?.client.startsWith('\0')).toBe(true);
  });

  it('are not believed of another principal, with a change, or from another fleet', () => {
    const text = clients().name(caller());
    expect(clients().read(text, 'somebody else')).toBeUndefined();
    expect(clients(NEW).read(text, LOCAL.id)).toBeUndefined();
    for (let i = 0; i < text.length; i++) {
      const other = text[i] === '1' ? '0' : text[i] === 'l' ? 'm' : text[i] === 'A' ? 'B' : 'A';
      const changed = `${text.slice(0, i)}${other}${text.slice(i + 1)}`;
      expect(clients().read(changed, LOCAL.id)).toBeUndefined();
    }
    expect(clients().read(`${text}A`, LOCAL.id)).toBeUndefined();
    expect(clients().read('', LOCAL.id)).toBeUndefined();
  });

  it('outlive a rotation of the state key', () => {
    const text = clients(OLD).name(caller());
    expect(clients(NEW, [OLD]).read(text, LOCAL.id)).toEqual(clients(OLD).read(text, LOCAL.id));
  });

  it('follow the principal that a session goes by', () => {
    const one = { client: 'c', alone: true, era: 'legacy' as const, principal: LOCAL };
    const made = clients();
    const first = made.name(one);
    one.principal = { ...LOCAL, id: 'other' };
    expect(made.read(made.name(one), 'other')).toBeDefined();
    expect(made.name(one)).not.toBe(first);
  });
});
