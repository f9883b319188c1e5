/** `auth` of servers that need no login, and headers that commands print. */
import { expect, it } from 'vitest';
import { load, problems } from './helpers.js';

const PEOPLE = 'mcp: {auth: {mode: bearer, keys_file: keys}}';

/** The problems of a server with this entry. */
const wrongWith = (entry: string): Promise<string[]> =>
  problems(
    `${PEOPLE}\nservers:\n  - {name: x, url: 'https://mcp.example/mcp', ${entry}}`,
    { T: 'token' },
    { keys: '', f: 's' },
  );

it.each([
  [
    'auth: {type: oauth, grant: jwt_bearer, assertion_file: f}',
    'auth.issuer is required with a secret, a key or an assertion',
  ],
  ['auth: {type: oauth, grant: jwt_bearer, issuer: "https://as.example"}', 'jwt_bearer needs an assertion'],
  ['auth: {type: oauth, issuer: "https://as.example", assertion_file: f}', 'takes no assertion'],
  [
    'auth: {type: oauth, grant: jwt_bearer, issuer: "https://as.example", assertion_file: f, assertion_command: [c]}',
    'has both assertion_file and assertion_command',
  ],
  [
    'auth: {type: oauth, grant: client_credentials, issuer: "https://as.example", client_id: c, client_secret_file: f, assertion_file: f}',
    'has an assertion beside a secret or a key',
  ],
  [
    'auth: {type: oauth, grant: client_credentials, issuer: "https://as.example", client_id: c}',
    'client_credentials needs a secret, a key or an assertion',
  ],
  [
    'auth: {type: oauth, grant: token_exchange, per: user}',
    'auth.issuer is required with grant: token_exchange',
  ],
  [
    'auth: {type: oauth, grant: token_exchange, issuer: "https://as.example", client_id: c}',
    'token_exchange exchanges the token of each user',
  ],
  [
    'auth: {type: oauth, grant: id_jag, per: user, issuer: "https://as.example", client_id: c}',
    'auth.idp.issuer is required with grant: id_jag',
  ],
  [
    'auth: {type: oauth, grant: id_jag, per: user, issuer: "https://as.example", client_id: c, idp: {issuer: "http://idp.example", client_id: d}}',
    'auth.idp.issuer must be an https URL',
  ],
  [
    'auth: {type: oauth, idp: {issuer: "https://idp.example"}}',
    'has no meaning with grant: authorization_code',
  ],
  [
    'auth: {type: oauth, grant: jwt_bearer, per: user, issuer: "https://as.example", assertion_file: f}',
    'user has no meaning with grant: jwt_bearer',
  ],
  ['auth: {type: oauth, params: {token: {assertion: a}}}', 'is set by the gateway'],
  [
    'auth: {type: bearer, token_env: T}, headers_command: [c]',
    'headers_command is there beside auth of the type bearer',
  ],
  [
    'auth: {type: bearer, token_env: T, per: user}',
    'auth.per needs a login or a headers_command: auth.type auto, oauth or key',
  ],
  ['auth: {type: none, per: user}', 'auth.per needs a login or a headers_command'],
  ['auth: {per: user}, headers_from_client: {x-a: x-b}', 'auth.per needs a login or a headers_command'],
  ['auth: {per: user}, headers: {authorization: a}', 'auth.per needs a login or a headers_command'],
  ['auth: {type: oauth}, headers_command: [c]', 'headers_command is there beside auth of the type oauth'],
  ['auth: {type: bearer, token_env: T, token_command: [c]}', 'has both token_env and token_command'],
  ['auth: {type: oauth, token_command: [c]}', 'has a token but is not of type bearer'],
])('is refused: %s', async (entry, why) => {
  expect((await wrongWith(entry)).join('\n')).toContain(why);
});

it('gives the sources, with absolute paths', async () => {
  const { config, folder } = await load(
    `servers:
  - name: x
    url: https://mcp.example/mcp
    auth: {type: oauth, grant: jwt_bearer, issuer: "https://as.example", assertion_file: f, client_id: c, client_secret_file: f}
  - {name: y, url: "https://mcp.example/mcp", auth: {type: bearer, token_command: [c, d]}}
  - {name: z, url: "https://mcp.example/mcp", headers_command: [c]}
  - {name: u, url: "https://mcp.example/mcp", headers_command: [c], auth: {per: user}, headers: {authorization: a}}
mcp: {auth: {mode: bearer, keys_file: keys}}
`,
    {},
    { f: 'secret\n', keys: `- {name: ada, sha256: ["${'0'.repeat(43)}"]}\n` },
  );
  const [x, y, z, u] = config.servers;
  expect(x).toMatchObject({
    auth: { assertion: { file: `${folder}/f` }, client_secret: { value: 'secret', file: `${folder}/f` } },
  });
  expect(y).toMatchObject({ auth: { type: 'bearer', token: '', command: ['c', 'd'] } });
  expect(z).toMatchObject({ auth: { type: 'none' }, headers_command: ['c'] });
  expect(u).toMatchObject({ auth: { type: 'none', per: 'user' }, headers_command: ['c'] });
});
