/** Several gateways on one state, whose steps come in any order: an authorization server that finds a reuse never does. */
import fc from 'fast-check';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { OAuthCredential } from '../../src/credentials/credential.js';
import { grantKey, readGrant, writeGrant, type Records } from '../../src/credentials/grants.js';
import { CredentialProblem } from '../../src/credentials/problem.js';
import { silent } from '../../src/observe/log.js';
import { memoryState } from '../../src/state/memory.js';
import { grantOf, SERVER } from '../helpers/credentials.js';

const KEY = grantKey('x', 'https://mcp.example/mcp', '');
const { signal } = new AbortController();

/** Tokens are `<login>.<number>`: of each login, the last one alone is good. A second use of a token is a reuse. */
function authorizationServer(pause: () => Promise<void>, fails: () => boolean) {
  const last = new Map<string, number>();
  const reuses: string[] = [];
  let logins = 0;
  return {
    reuses,
    login() {
      const name = `l${++logins}`;
      last.set(name, 1);
      return grantOf({ access: `a-${name}.1`, refresh: `${name}.1`, obtainedAt: 0 });
    },
    end(refresh: string | undefined) {
      last.delete(refresh?.split('.')[0] ?? '');
    },
    async renew(refresh: string) {
      await pause();
      if (fails()) throw new CredentialProblem('temporary', 'down');
      const [name = '', number] = refresh.split('.');
      const now = last.get(name);
      if (now === undefined) throw new CredentialProblem('login', 'over', { code: 'invalid_grant' });
      if (now !== Number(number)) {
        reuses.push(refresh);
        throw new CredentialProblem('login', 'reuse', { code: 'invalid_grant' });
      }
      last.set(name, now + 1);
      await pause();
      const token = `${name}.${now + 1}`;
      return { access: `a-${token}`, refresh: token, expiresIn: undefined, scopes: undefined };
    },
  };
}

const STEPS = ['refused', 'stale', 'twice', 'ready', 'reload', 'replace', 'login', 'logout', 'wait'] as const;

it('no token is used twice, and in the end all show what is stored', async () => {
  const steps = fc.array(fc.record({ step: fc.constantFrom(...STEPS), who: fc.nat({ max: 2 }) }), {
    minLength: 5,
    maxLength: 40,
  });
  const noise = fc.array(fc.nat({ max: 5 }), { minLength: 20, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(steps, noise, async (todo, delays) => {
      let at = 0;
      const random = () => delays[at++ % delays.length] ?? 0;
      const pause = async (): Promise<void> => {
        for (let n = random(); n > 0; n--) await turn();
      };
      const store = memoryState();
      const slow: Records = {
        get: async (key) => {
          await pause();
          const value = await store.get(key);
          await pause();
          return value;
        },
        put: async (...args) => {
          await pause();
          const done = await store.put(...args);
          await pause();
          return done;
        },
        delete: async (key) => {
          await pause();
          await store.delete(key);
        },
        isDamaged: (key) => store.isDamaged(key),
        keys: (kind) => store.keys(kind),
        lock: (...args) => store.lock(...args),
      };
      const as = authorizationServer(pause, () => random() === 5);
      let clock = 1;
      const create = () =>
        new OAuthCredential({
          server: 'x',
          auth: { issuer: undefined, scopes: undefined },
          key: KEY,
          records: () => Promise.resolve(slow),
          shared: true,
          log: silent,
          // No wait is long.
          now: () => (clock += 1_000_000),
          find: async () => {
            await pause();
            return { server: SERVER, resource: undefined, scopes: undefined, issuers: [SERVER.issuer] };
          },
          checkRegistration: () => undefined,
          client: (grant) => Promise.resolve(grant.client),
          renew: (grant) => as.renew(grant.refresh ?? ''),
          forgetClient: () => Promise.resolve(),
          count: () => undefined,
        });
      const all = [create(), create(), create()];
      /** Everything that was ever begun; all of it settles. */
      const begun: Promise<unknown>[] = [];
      const begin = (work: Promise<unknown>): void => {
        begun.push(work.catch(() => undefined));
      };
      await writeGrant(store, KEY, as.login());
      for (const { step, who } of todo) {
        const one = all[who] as OAuthCredential;
        const refusal = { status: 401, challenge: '', stamp: one.stamp, times: 0 } as const;
        if (step === 'refused') begin(one.refused(refusal));
        else if (step === 'stale') begin(one.refused({ ...refusal, stamp: one.stamp - 1 }));
        else if (step === 'twice') begin(one.refused({ ...refusal, times: 1 }));
        else if (step === 'ready') begin(one.ready(signal));
        else if (step === 'reload') begin(one.reload());
        else if (step === 'login') begin(writeGrant(slow, KEY, as.login()).then(() => one.reload()));
        else if (step === 'logout')
          begin(
            (async () => {
              const there = await readGrant(slow, KEY);
              await slow.delete(KEY);
              as.end(there?.grant.refresh);
              await one.reload();
            })(),
          );
        else if (step === 'replace') {
          one.close();
          all[who] = create();
        } else await pause();
      }
      await Promise.all(begun);
      // What a closed one had under way ends as well: it holds the lock.
      await (
        await store.lock(KEY, 1000, signal)
      )();
      for (const one of all) await one.reload();
      const stored = await readGrant(store, KEY);
      expect(as.reuses).toEqual([]);
      for (const one of all)
        expect(one.headers[1]).toBe(stored ? `Bearer ${stored.grant.access}` : undefined);
      for (const one of all) one.close();
    }),
    { numRuns: 300 },
  );
});
