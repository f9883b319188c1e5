/** Sign-ins of people at the gateway, as the admin API and the command line show and end them. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../../src/admin/grant-schemas.js';
import { startAdmin } from '../../helpers/admin.js';
import { command } from '../../helpers/commands.js';
import { CONSOLE_KEY } from '../../helpers/console.js';
import { post, send, type Answer } from '../../helpers/http.js';
import { onTerminal } from '../../helpers/pty.js';
import {
  accessRequest,
  consoleClient,
  signedIn,
  signIn,
  stageSignIn,
  type SignInStage,
} from '../../helpers/sign-in.js';

const KEY = `Bearer ${CONSOLE_KEY}`;

let stage: SignInStage;
let base: string;
beforeEach(async () => {
  stage = await stageSignIn({
    auth: { admins: [{ groups: ['ops'] }], viewers: [{ groups: ['eyes'] }] },
    accounts: {
      ada: { groups: ['ops'], preferred_username: 'Ada' },
      bob: { groups: ['eyes'], preferred_username: 'Bob' },
      eve: { groups: [], preferred_username: 'Eve' },
    },
    gateway: { env: { PATH: process.env['PATH'], MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY } },
  });
  ({ base } = stage);
});

/** Somebody who signed in at the console: what he shows. */
async function atConsole(person: string): Promise<string> {
  const { tokens } = await signedIn(base, { ...consoleClient(base), person });
  return `Bearer ${tokens.access_token}`;
}

/** Somebody who signed in for an application: what it shows. */
async function atApplication(person: string): Promise<string> {
  const { tokens } = await signedIn(base, { person });
  return `Bearer ${tokens.access_token}`;
}

const ask = (path: string, authorization: string, method?: string, body?: object): Promise<Answer> =>
  send(`${base}/-/api/v1/${path}`, body, {
    ...(method !== undefined && { method }),
    headers: { authorization, ...(body && { 'content-type': 'application/json' }) },
  });

async function grants(authorization: string): Promise<readonly Grant[]> {
  const answer = await ask('grants', authorization);
  expect(answer.status, answer.text).toBe(200);
  return answer.json<{ grants: Grant[] }>().grants;
}

const people = (rows: readonly Grant[]): string[] => rows.map(({ person }) => person).sort();

async function statusAt(path: string, authorization: string): Promise<number> {
  return (await post(base + path, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, { authorization })).status;
}

describe('the sign-ins of a gateway', () => {
  it("are all for operators, and one's own for others", async () => {
    const [ada, bob, eve] = [await atConsole('ada'), await atConsole('bob'), await atConsole('eve')];
    await atApplication('eve');
    expect(people(await grants(ada))).toEqual(['login:ada', 'login:bob', 'login:eve', 'login:eve']);
    expect(people(await grants(KEY))).toHaveLength(4);
    // Whoever may look does not see what others have allowed.
    expect(people(await grants(bob))).toEqual(['login:bob']);
    const [last] = await grants(eve);
    expect(last).toMatchObject({
      person: 'login:eve',
      name: 'Eve',
      client: 'Test app',
      host: 'app.example',
      resource: `${base}/mcp`,
    });
    expect(Date.parse(last?.since ?? '')).toBeGreaterThan(0);
    expect(Date.parse(last?.last_used ?? '')).toBeGreaterThan(0);
  });

  it("end with their tokens: one's own, and for operators anybody's", async () => {
    const [ada, eve] = [await atConsole('ada'), await atConsole('eve')];
    const app = await atApplication('eve');
    const [own] = await grants(eve);
    const [other] = (await grants(ada)).filter(({ person }) => person === 'login:ada');
    expect((await ask(`grants/${other?.id}`, eve, 'DELETE')).status).toBe(404);
    expect((await ask('grants?person=login:ada', eve, 'DELETE')).status).toBe(404);
    expect((await ask('grants/..%2f..%2fkey', KEY, 'DELETE')).status).toBe(404);
    expect((await ask('grants', KEY, 'DELETE')).status).toBe(400);
    expect(await statusAt('/mcp', app)).toBe(200);
    expect((await ask(`grants/${own?.id}`, eve, 'DELETE')).json()).toEqual({ done: true });
    expect(await statusAt('/mcp', app)).toBe(401);
    expect((await ask(`grants/${own?.id}`, eve, 'DELETE')).status).toBe(404);
    expect((await ask('grants?person=login:eve', ada, 'DELETE')).json()).toEqual({ ended: 1 });
    expect((await ask('grants', eve)).status).toBe(401);
    expect((await ask('grants?person=login:eve', ada, 'DELETE')).status).toBe(404);
  });

  it('show an application the one that its token is of, and nothing else below /-/', async () => {
    await atApplication('ada');
    const app = await atApplication('ada');
    const rows = await grants(app);
    expect(rows).toHaveLength(1);
    const [other] = (await grants(KEY)).filter(({ id }) => id !== rows[0]?.id);
    expect((await ask(`grants/${other?.id}`, app, 'DELETE')).status).toBe(404);
    for (const path of ['me', 'servers', 'connections', 'logs'])
      expect((await ask(path, app)).status).toBe(403);
    const wish = { name: 'x', redirect_uris: ['https://x.example/cb'] };
    expect((await ask('grants/client', app, 'POST', wish)).status).toBe(403);
    expect((await ask('grants?person=login:ada', app, 'DELETE')).json()).toEqual({ ended: 1 });
    expect(people(await grants(KEY))).toEqual(['login:ada']);
    expect(await statusAt('/mcp', app)).toBe(401);
  });

  it('of the console have the rights of admins and viewers, below /-/ alone', async () => {
    const role = async (person: string): Promise<unknown> => {
      const answer = await ask('me', await atConsole(person));
      return answer.status === 200 ? answer.json<{ role: string }>().role : answer.status;
    };
    expect([await role('ada'), await role('bob'), await role('eve')]).toEqual(['operator', 'viewer', 403]);
    const ada = await atConsole('ada');
    expect([await statusAt('/-/mcp', ada), await statusAt('/mcp', ada)]).toEqual([200, 401]);
  });

  it('are of clients that an operator registers, too', async () => {
    const wish = { name: 'Old app', redirect_uris: ['https://old.example/cb'] };
    const answer = await ask('grants/client', KEY, 'POST', wish);
    const { client_id: id } = answer.json<{ client_id: string }>();
    const client = { id, redirectUri: 'https://old.example/cb' };
    const back = await signIn(base, accessRequest(base, client).url, client);
    expect(back.searchParams.get('code')).toMatch(/^mcpa_/);
    const wrong = await ask('grants/client', KEY, 'POST', {
      ...wish,
      redirect_uris: ['javascript:alert(1)'],
    });
    expect([wrong.status, wrong.json()]).toMatchObject([400, { code: 'invalid_params' }]);
    expect((await ask('grants/client', await atConsole('bob'), 'POST', wish)).status).toBe(403);
  });
});

it('there is nothing of them where nobody signs in', async () => {
  const admin = await startAdmin({ servers: [] });
  const answer = await admin.ask('grants');
  expect([answer.status, answer.json()]).toMatchObject([
    404,
    { detail: 'nobody signs in at this gateway: mcp.auth.login is not set' },
  ]);
  expect((await admin.get<{ has: object }>('me')).has).toMatchObject({ sign_ins: false });
});

describe('mcpstead grants', () => {
  const run = (...args: string[]) =>
    command(['grants', ...args, '--url', base], { MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY });

  it('lists, and ends by id, person and client', async () => {
    expect((await run('list')).err).toBe('nobody is signed in\n');
    for (const person of ['ada', 'bob', 'eve', 'eve']) await signedIn(base, { person });
    await atConsole('ada');
    const rows = JSON.parse((await run('list', '--json')).out) as Grant[];
    expect(rows).toHaveLength(5);
    const table = (await run('list')).out;
    expect(table).toMatch(/^ID +PERSON +CLIENT +HOST +RESOURCE +SCOPES +SINCE +LAST USED\n/);
    expect(table).toMatch(
      / login:bob +Test app +app\.example +http:\S+\/mcp +- +\d{4}-\d\d-\d\d \d\d:\d\d +\d{4}/,
    );
    const bob = rows.find(({ person }) => person === 'login:bob')?.id ?? '';
    expect(await run('end', bob)).toMatchObject({ status: 0, out: 'ended 1 sign-in\n' });
    const again = await run('end', bob);
    expect([again.status, again.err]).toEqual([1, expect.stringContaining('no such sign-in')]);
    expect((await run('end', '--person', 'login:eve')).out).toBe('ended 2 sign-ins\n');
    expect((await run('end', '--person', 'login:eve')).status).toBe(1);
    expect((await run('end', '--client', 'Test app', '--json')).out).toBe('{"ended":1}\n');
    expect((await run('end', '--client', 'Test app')).status).toBe(1);
    const [last] = await grants(KEY);
    expect(last?.client).toBe('the console of this gateway');
  });

  it('ends all with consent alone', async () => {
    await signedIn(base);
    expect((await run('end')).status).toBe(2);
    expect((await run('end', '--all', 'x')).status).toBe(2);
    const unasked = await run('end', '--all');
    expect([unasked.status, unasked.err]).toEqual([5, expect.stringContaining('--yes')]);
    expect(await grants(KEY)).toHaveLength(1);
    const terminal = onTerminal(['grants', 'end', '--all', '--url', base], {
      MCPSTEAD_CONSOLE_KEY: CONSOLE_KEY,
    });
    await terminal.sees('End 1 sign-in?');
    terminal.type('n');
    expect(await terminal.exit()).toBe(0);
    expect(await grants(KEY)).toHaveLength(1);
    expect((await run('end', '--all', '--yes')).out).toBe('ended 1 sign-in\n');
    expect(await grants(KEY)).toEqual([]);
  });

  it('prints the id of a client, and says which address is not allowed', async () => {
    expect((await run('client', 'Old app', 'https://old.example/cb')).out).toMatch(/^mcpc_[\w.-]+\n$/);
    const wrong = await run('client', 'Old app', 'http://old.example/cb');
    expect([wrong.status, wrong.out]).toEqual([1, '']);
    expect(wrong.err).toContain("the redirect URI 'http://old.example/cb'");
    expect((await run('client', 'Old app')).status).toBe(2);
  });
});
