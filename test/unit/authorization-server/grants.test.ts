/** What happens to grants, their codes and their refresh tokens. */
import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { Endings } from '../../../src/authorization-server/endings.js';
import { Grants, type Confirmed, type GrantEnd } from '../../../src/authorization-server/grants.js';
import type { GrantRecord } from '../../../src/authorization-server/records.js';
import { Seals } from '../../../src/authorization-server/seals.js';
import { Tickets } from '../../../src/authorization-server/tickets.js';
import { silent } from '../../../src/observe/log.js';
import { memoryState } from '../../../src/state/memory.js';
import { atEnd } from '../../helpers/cleanup.js';
import { until } from '../../helpers/wait.js';

const VERIFIER = 'v'.repeat(43);
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');
const DAY = 86_400_000;
const SHOWN = { clientId: 'app', verifier: VERIFIER, redirectUri: undefined, resource: undefined };
const RENEWAL = { clientId: 'app', resource: undefined, scopes: undefined };
const same = (): Promise<Confirmed> => Promise.resolve({});

type Draft = Parameters<Grants['create']>[0];

function draft(person = 'ada', more: Partial<Draft> = {}): Draft {
  return {
    provider: 'https://id.example\ngw',
    client: { id: 'app', kind: 'dcr', name: 'App' },
    redirectUri: 'https://app.example/cb',
    resource: 'https://gw.example/mcp',
    scopes: ['read', 'write'],
    person: { id: person, name: person, groups: [], kept: {} },
    subject: person,
    claims: {},
    confirmed: 0,
    refresh: 'idp-refresh',
    idToken: undefined,
    idTokenExpires: undefined,
    challenge: CHALLENGE,
    ...more,
  };
}

function stage() {
  let time = 1_800_000_000_000;
  let provider = 'https://id.example\ngw';
  let tokenMs = 600_000;
  let isClient = true;
  const now = () => time;
  const store = memoryState(now);
  const tickets = new Tickets(new Seals([Buffer.alloc(32, 1)], 'https://gw.example'));
  const ends: [string, GrantEnd][] = [];
  const news = vi.fn<(ids: ReadonlySet<string>) => void>();
  const withdrawn: (string | undefined)[] = [];
  const open = () => {
    const records = () => Promise.resolve(store);
    const endings = new Endings({ records, log: silent, ended: news });
    const grants = new Grants({
      ...{ records, tickets, endings, now },
      log: silent,
      provider: () => provider,
      unusedMs: () => 30 * DAY,
      tokenMs: () => tokenMs,
      isClient: () => isClient,
      principalOf: (person) => `login:${person}`,
      withdraw({ refresh }) {
        withdrawn.push(refresh);
        return Promise.resolve();
      },
      ended: (id, _record, why) => ends.push([id, why]),
    });
    atEnd(() => {
      grants.close();
      endings.close();
    });
    return { grants, endings };
  };
  return {
    ...open(),
    open,
    store,
    tickets,
    ends,
    news,
    withdrawn,
    pass(ms: number) {
      time += ms;
    },
    use(other: string) {
      provider = other;
    },
    shorten(ms: number) {
      tokenMs = ms;
    },
    refuseClients() {
      isClient = false;
    },
  };
}

/** A grant whose code was redeemed, and its first refresh token. */
async function begun(at: ReturnType<typeof stage>, person?: string): Promise<{ id: string; token: string }> {
  const { id } = await at.grants.redeem(await at.grants.create(draft(person)), SHOWN);
  return { id, token: at.tickets.refreshToken(id, 1) };
}

const code = (error: unknown): string => (error as { code: string }).code;
const refused = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    return code(error);
  }
  return 'accepted';
};

describe('a code', () => {
  it('is exchanged once, by the client that it was given to', async () => {
    const at = stage();
    const given = await at.grants.create(draft());
    const { record, generation } = await at.grants.redeem(given, {
      ...SHOWN,
      redirectUri: 'https://app.example/cb',
      resource: 'https://gw.example/mcp',
    });
    expect([record.person.id, record.challenge, generation]).toEqual(['ada', undefined, 1]);
  });

  it('that is used twice ends the grant and its tokens', async () => {
    const at = stage();
    const given = await at.grants.create(draft());
    const { id } = await at.grants.redeem(given, SHOWN);
    expect(await refused(at.grants.redeem(given, SHOWN))).toBe('invalid_grant');
    expect([at.ends, at.endings.has(id)]).toEqual([[[id, 'reused']], true]);
    expect(await refused(at.grants.renew(at.tickets.refreshToken(id, 1), RENEWAL, same))).toBe(
      'invalid_grant',
    );
  });

  it.each([
    ['another client', { clientId: 'other' }, 'invalid_grant'],
    ['another verifier', { verifier: 'w'.repeat(43) }, 'invalid_grant'],
    ['a short verifier', { verifier: 'v' }, 'invalid_grant'],
    ['another redirect URI', { redirectUri: 'https://app.example/cb2' }, 'invalid_grant'],
    ['another resource', { resource: 'https://gw.example/servers/a/mcp' }, 'invalid_target'],
  ])('is over after one try with %s', async (_, wrong, expected) => {
    const at = stage();
    const given = await at.grants.create(draft());
    expect(await refused(at.grants.redeem(given, { ...SHOWN, ...wrong }))).toBe(expected);
    expect(await refused(at.grants.redeem(given, SHOWN))).toBe('invalid_grant');
    expect(at.ends.map(([, why]) => why)).toEqual(['not_redeemed']);
  });

  it('is over after a minute, and its grant is erased', async () => {
    const at = stage();
    const given = await at.grants.create(draft());
    at.pass(60_001);
    expect(await refused(at.grants.redeem(given, SHOWN))).toBe('invalid_grant');
    await at.grants.create(draft());
    at.pass(60_001);
    await at.grants.sweep();
    expect([await at.grants.list(), at.grants.size]).toEqual([[], 0]);
  });

  it.each(['another provider', 'another registration'])(
    'counts no more with %s, and its grant is erased',
    async (change) => {
      const at = stage();
      const given = await at.grants.create(draft());
      if (change === 'another provider') at.use('https://other.example\ngw');
      else at.refuseClients();
      expect(await refused(at.grants.redeem(given, SHOWN))).toBe(
        change === 'another provider' ? 'invalid_grant' : 'invalid_client',
      );
      expect(await at.grants.list()).toEqual([]);
    },
  );

  it('that is forged costs no access to the store', async () => {
    const at = stage();
    const get = vi.spyOn(at.store, 'get');
    for (const forged of ['mcpa_x', `mcpa_${'a'.repeat(38)}.${'b'.repeat(43)}`, ''])
      expect(await refused(at.grants.redeem(forged, SHOWN))).toBe('invalid_grant');
    expect(get).not.toHaveBeenCalled();
  });
});

describe('a refresh token', () => {
  it('is replaced by the next one; the one before gives the same for 45 seconds', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    expect((await at.grants.renew(token, RENEWAL, same)).generation).toBe(2);
    at.pass(44_000);
    const asked = vi.fn(same);
    const again = await Promise.all(Array.from({ length: 10 }, () => at.grants.renew(token, RENEWAL, asked)));
    expect(new Set(again.map(({ generation }) => generation))).toEqual(new Set([2]));
    expect(asked).not.toHaveBeenCalled();
    at.pass(2000);
    expect(await refused(at.grants.renew(token, RENEWAL, same))).toBe('invalid_grant');
    expect(at.ends).toEqual([[id, 'reused']]);
  });

  it('is exchanged once by ten that show it at once', async () => {
    const at = stage();
    const { token } = await begun(at);
    const asked = vi.fn(same);
    const all = await Promise.all(Array.from({ length: 10 }, () => at.grants.renew(token, RENEWAL, asked)));
    expect(new Set(all.map(({ generation }) => generation))).toEqual(new Set([2]));
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it('of an older generation ends the grant', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    await at.grants.renew(token, RENEWAL, same);
    await at.grants.renew(at.tickets.refreshToken(id, 2), RENEWAL, same);
    expect(await refused(at.grants.renew(token, RENEWAL, same))).toBe('invalid_grant');
    expect(at.ends).toEqual([[id, 'reused']]);
  });

  it('that is genuine and later than the record counts: the store was restored', async () => {
    const at = stage();
    const { id } = await begun(at);
    const { generation } = await at.grants.renew(at.tickets.refreshToken(id, 7), RENEWAL, same);
    expect(generation).toBe(8);
  });

  it('changes nothing where it cannot be found out whether the person is still there', async () => {
    const at = stage();
    const { token } = await begun(at);
    const away = () => Promise.reject(Object.assign(new Error('away'), { code: 'temporarily_unavailable' }));
    expect(await refused(at.grants.renew(token, RENEWAL, away))).toBe('temporarily_unavailable');
    expect((await at.grants.renew(token, RENEWAL, same)).generation).toBe(2);
  });

  it('takes what the identity provider says now', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    const person = { id: 'ada', name: 'Ada', groups: ['ops'], kept: {} };
    const { record } = await at.grants.renew(token, RENEWAL, () =>
      Promise.resolve({ person, refresh: 'next' }),
    );
    expect([record.person, (await at.grants.get(id))?.refresh]).toEqual([person, 'next']);
  });

  it('ends the grant where the identity provider has ended it', async () => {
    const at = stage();
    const one = await begun(at);
    const other = await begun(at);
    expect(
      await refused(at.grants.renew(one.token, RENEWAL, () => Promise.resolve({ end: 'provider' }))),
    ).toBe('invalid_grant');
    expect([at.ends, at.endings.has(one.id), at.endings.has(other.id)]).toEqual([
      [[one.id, 'provider']],
      true,
      false,
    ]);
    // Some identity providers withdraw all of one client at once.
    expect(at.withdrawn).toEqual([]);
    await at.grants.end(other.id, 'operator');
    expect(at.withdrawn).toEqual(['idp-refresh']);
  });

  it('that ends after the identity provider has given another one has that withdrawn', async () => {
    const at = stage();
    const { token } = await begun(at);
    await refused(
      at.grants.renew(token, RENEWAL, () => Promise.resolve({ end: 'not_allowed', refresh: 'just given' })),
    );
    expect(at.withdrawn).toEqual(['just given']);
  });

  it.each([
    ['another client', { clientId: 'other' }, 'invalid_grant'],
    ['another resource', { resource: 'https://gw.example/servers/a/mcp' }, 'invalid_target'],
    ['more scopes', { scopes: ['read', 'admin'] }, 'invalid_scope'],
  ])('is refused for %s, and goes on', async (_, wrong, expected) => {
    const at = stage();
    const { token } = await begun(at);
    expect(await refused(at.grants.renew(token, { ...RENEWAL, ...wrong }, same))).toBe(expected);
    expect((await at.grants.renew(token, { ...RENEWAL, scopes: ['read'] }, same)).generation).toBe(2);
  });

  it('is refused for a client that may not have it any more, also in place of a lost answer', async () => {
    const at = stage();
    const { token } = await begun(at);
    await at.grants.renew(token, RENEWAL, same);
    at.refuseClients();
    expect(await refused(at.grants.renew(token, RENEWAL, same))).toBe('invalid_client');
    expect(at.ends).toEqual([]);
  });

  it('is not renewed by those who wait while the grant ends', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    let answer: (confirmed: Confirmed) => void = () => undefined;
    let asked = 0;
    const slow = () => {
      asked++;
      return new Promise<Confirmed>((resolve) => (answer = resolve));
    };
    const first = refused(at.grants.renew(token, RENEWAL, slow));
    const others = Array.from({ length: 5 }, () => refused(at.grants.renew(token, RENEWAL, slow)));
    await until(() => asked === 1, 'the question to the identity provider');
    const ended = at.grants.end(id, 'operator');
    // Its access tokens do not wait for the identity provider.
    await until(() => at.endings.has(id), 'the end of the access tokens');
    answer({ refresh: 'next' });
    expect([await first, await Promise.all(others), await ended, asked]).toEqual([
      'invalid_grant',
      Array.from({ length: 5 }, () => 'invalid_grant'),
      true,
      1,
    ]);
    expect(await at.grants.list()).toEqual([]);
  });

  it('ends unused after the days of the configuration', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    at.pass(30 * DAY + 1);
    expect(await refused(at.grants.renew(token, RENEWAL, same))).toBe('invalid_grant');
    expect(at.ends).toEqual([[id, 'unused']]);
  });
});

describe('grants', () => {
  it('of another identity provider end at the next look', async () => {
    const at = stage();
    const { id, token } = await begun(at);
    at.use('https://other.example\ngw');
    expect(await refused(at.grants.renew(token, RENEWAL, same))).toBe('invalid_grant');
    at.use('https://id.example\ngw');
    const second = await begun(at);
    at.use('https://other.example\ngw');
    await at.grants.sweep();
    expect(at.ends).toEqual([
      [id, 'other_provider'],
      [second.id, 'other_provider'],
    ]);
  });

  it('are judged again by a configuration that comes while they are read', async () => {
    const at = stage();
    for (let n = 0; n < 3; n++) await begun(at);
    const get = at.store.get.bind(at.store);
    let goOn: () => void = () => undefined;
    let reads = 0;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    vi.spyOn(at.store, 'get').mockImplementation(async (key) => {
      const found = await get(key);
      if (++reads === 3) await held;
      return found;
    });
    const first = at.grants.sweep();
    await until(() => reads === 3, 'the last record');
    at.use('https://other.example\ngw');
    const second = at.grants.sweep();
    goOn();
    await Promise.all([first, second]);
    expect(at.ends.map(([, why]) => why)).toEqual(Array.from({ length: 3 }, () => 'other_provider'));
  });

  it('keep their tokens ended for as long as these were given, also if new ones live shorter', async () => {
    const at = stage();
    const { id } = await begun(at);
    at.shorten(60_000);
    await at.grants.end(id, 'operator');
    at.pass(599_000);
    await at.endings.read();
    expect(at.endings.has(id)).toBe(true);
    at.pass(2000);
    await at.endings.read();
    expect(at.endings.has(id)).toBe(false);
  });

  it('of one person are fifty: the longest unused ends', async () => {
    const at = stage();
    const first = await begun(at);
    const second = await begun(at);
    const bob = await begun(at, 'bob');
    at.pass(1000);
    await at.grants.renew(first.token, RENEWAL, same);
    for (let n = 2; n < 51; n++) await begun(at);
    expect(at.ends).toEqual([[second.id, 'too_many']]);
    expect([(await at.grants.list('ada')).length, (await at.grants.list('bob')).map(({ id }) => id)]).toEqual(
      [50, [bob.id]],
    );
  });

  it('are shown without what is secret', async () => {
    const at = stage();
    await begun(at);
    const [view] = await at.grants.list();
    expect(view).toMatchObject({
      person: 'login:ada',
      client: 'App',
      host: 'app.example',
      scopes: ['read', 'write'],
    });
    expect(JSON.stringify(view)).not.toContain('idp-refresh');
  });

  it('that ended in another process end here', async () => {
    const at = stage();
    const other = at.open();
    await other.endings.start();
    const { id } = await begun(at);
    await at.grants.end(id, 'operator');
    expect(other.endings.has(id)).toBe(false);
    at.news.mockClear();
    await other.endings.read();
    expect([other.endings.has(id), at.news.mock.calls.map(([ids]) => [...ids])]).toEqual([true, [[id]]]);
    at.pass(600_001);
    await other.endings.read();
    expect(other.endings.has(id)).toBe(false);
  });

  it('are not stored where the store cannot be written', async () => {
    const at = stage();
    vi.spyOn(at.store, 'put').mockRejectedValue(new Error('no space'));
    await expect(at.grants.create(draft())).rejects.toThrow('no space');
    expect(await at.grants.list()).toEqual([]);
  });
});

it('a record that is read has what was written', async () => {
  const at = stage();
  const { id } = await begun(at);
  const { challenge, idToken, idTokenExpires, ...rest } = draft();
  const record = (await at.grants.get(id)) as GrantRecord;
  expect(record).toMatchObject({ ...rest, generation: 1 });
  expect([challenge, record.challenge, idToken, idTokenExpires]).toEqual([
    CHALLENGE,
    undefined,
    undefined,
    undefined,
  ]);
});
