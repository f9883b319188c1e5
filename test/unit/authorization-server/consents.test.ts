/** What a browser carries through a sign-in. */
import { describe, expect, it } from 'vitest';
import { Consents, type ClientRequest } from '../../../src/authorization-server/consents.js';
import { Seals } from '../../../src/authorization-server/seals.js';

const REQUEST: ClientRequest = {
  client: { id: 'mcpc_abc', kind: 'dcr', name: 'App' },
  redirectUri: 'https://app.example/cb',
  state: 'theirs',
  challenge: 'c'.repeat(43),
  scopes: ['read', 'write'],
  resource: 'https://gw.example/mcp',
};

function stage(issuer = 'https://gw.example', key = 1) {
  let time = 1_800_000_000_000;
  const consents = new Consents(new Seals([Buffer.alloc(32, key)], issuer), () => time);
  return {
    consents,
    pass: (ms: number) => void (time += ms),
  };
}

const pair = (header: string): string => header.split(';')[0] as string;

describe('a form', () => {
  it('gives the request back for ten minutes', () => {
    const { consents, pass } = stage();
    const form = consents.form(REQUEST);
    expect(consents.readForm(form)).toEqual(REQUEST);
    pass(600_001);
    expect(consents.readForm(form)).toBeUndefined();
  });

  it('counts for one gateway alone, unchanged, and is no cookie', () => {
    const { consents } = stage();
    const form = consents.form(REQUEST);
    expect(stage('https://other.example').consents.readForm(form)).toBeUndefined();
    expect(stage(undefined, 2).consents.readForm(form)).toBeUndefined();
    for (const at of [0, 10, form.length - 1])
      expect(
        consents.readForm(form.slice(0, at) + (form[at] === 'A' ? 'B' : 'A') + form.slice(at + 1)),
      ).toBeUndefined();
    const trip = consents.begin(REQUEST);
    const [cookie = ''] = consents.cookiesFor(trip, undefined) ?? [];
    expect(consents.readForm(pair(cookie).split('=')[1] ?? '')).toBeUndefined();
    expect(consents.finish(trip.state, `${pair(cookie).split('=')[0] ?? ''}=${form}`).trip).toBeUndefined();
  });
});

describe('a trip', () => {
  it('comes back once, in the browser that began it', () => {
    const { consents } = stage();
    const trip = consents.begin(REQUEST);
    const [cookie = ''] = consents.cookiesFor(trip, undefined) ?? [];
    expect(cookie).toMatch(
      /^__Host-mcpstead_[\w-]{8}=[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=600$/,
    );
    expect(consents.finish(trip.state, undefined).trip).toBeUndefined();
    expect(consents.finish('other', pair(cookie)).trip).toBeUndefined();
    const finished = consents.finish(trip.state, `a=b; ${pair(cookie)}; c=d`);
    expect([finished.trip, finished.removal]).toEqual([trip, expect.stringContaining('Max-Age=0')]);
    expect(consents.finish(trip.state, pair(cookie)).trip).toBeUndefined();
  });

  it('is over after ten minutes', () => {
    const { consents, pass } = stage();
    const trip = consents.begin(REQUEST);
    const [cookie = ''] = consents.cookiesFor(trip, undefined) ?? [];
    pass(600_001);
    expect(consents.finish(trip.state, pair(cookie)).trip).toBeUndefined();
  });

  it('comes back with no cookie that another host of the domain can have set', () => {
    const { consents } = stage();
    const trip = consents.begin(REQUEST);
    const [cookie = ''] = consents.cookiesFor(trip, undefined) ?? [];
    // Browsers refuse the prefix `__Host-` to others, but not behind a no-break space.
    for (const before of ['\u00a0', 'a=b; \u00a0', '\t', '  ', '\ufeff'])
      expect(consents.finish(trip.state, before + pair(cookie)).trip).toBeUndefined();
    expect(consents.finish(trip.state, `a=b; ${pair(cookie)}`).trip).toBeDefined();
  });

  it('has its cookie beside those of two others: the oldest is removed', () => {
    const { consents, pass } = stage();
    const jar: string[] = [];
    for (let n = 0; n < 3; n++) {
      jar.push(pair((consents.cookiesFor(consents.begin(REQUEST), jar.join('; ')) ?? [])[0] ?? ''));
      pass(1000);
    }
    const [, removal = ''] =
      consents.cookiesFor(consents.begin(REQUEST), [...jar].reverse().join('; ')) ?? [];
    expect(removal).toMatch(new RegExp(`^${jar[0]?.split('=')[0] ?? ''}=; .*Max-Age=0$`));
  });

  it('whose cookie no browser would keep does not begin', () => {
    const { consents } = stage();
    const large = {
      ...REQUEST,
      state: 's'.repeat(1024),
      client: { ...REQUEST.client, id: 'i'.repeat(2048) },
    };
    expect(consents.cookiesFor(consents.begin(large), undefined)).toBeUndefined();
  });
});
