/** `auth: {type: key}` of a server. */
import { expect, it } from 'vitest';
import { isKeyVariable } from '../../../src/config/key-auth.js';
import { problems, http, resolve } from './helpers.js';

const PEOPLE = 'mcp: {auth: {mode: bearer, keys_file: keys}}';
const wrongWith = (entry: string): Promise<string[]> =>
  problems(`${PEOPLE}\nservers:\n  - {name: x, ${entry}}`, {}, { keys: '' });
const URL_OF = "url: 'https://mcp.example/mcp'";

it.each([
  [`${URL_OF}, auth: {type: key, header: Host}`, "'host' is not a header that can carry a key"],
  [`${URL_OF}, auth: {type: key, header: Mcp-Name}`, "'mcp-name' is not a header that can carry a key"],
  [`${URL_OF}, auth: {type: key, scheme: 'a b'}`, 'is not an authentication scheme'],
  [`${URL_OF}, auth: {type: key, env: A}`, 'has no meaning for an HTTP server'],
  [`${URL_OF}, auth: key, headers: {Authorization: a}`, "'authorization' is in headers too"],
  [`${URL_OF}, auth: key, headers_command: [c]`, 'is there beside auth of the type key'],
  [`${URL_OF}, auth: {type: oauth, header: x-key}`, 'has no meaning with type: oauth'],
  ['command: c, auth: {type: key, env: A, per: user}', 'must be per-client'],
  ['command: c, session: per-client, auth: {type: key, env: A}', 'must be user for a stdio server'],
  ['command: c, session: per-client, auth: {type: key, per: user}', 'is required for a stdio server'],
  [
    'command: c, session: per-client, auth: {type: key, per: user, env: LD_PRELOAD}',
    "'LD_PRELOAD' cannot hold a key",
  ],
  [
    'command: c, session: per-client, env: {A: b}, auth: {type: key, per: user, env: A}',
    "'A' is in env of the server too",
  ],
  [
    'command: c, session: per-client, auth: {type: key, per: user, env: A, header: b}',
    'has no meaning for a stdio server',
  ],
])('refuses %s', async (entry, message) => {
  expect((await wrongWith(entry)).join('\n')).toContain(message);
});

it('has the header and the scheme that most servers want', () => {
  expect(http({ auth: 'key' }).auth).toMatchObject({ header: 'authorization', scheme: 'Bearer' });
  expect(http({ auth: { type: 'key', header: 'X-Api-Key' } }).auth).toMatchObject({
    header: 'x-api-key',
    scheme: '',
  });
  expect(http({ auth: { type: 'key', scheme: 'Token' } }).auth).toMatchObject({ scheme: 'Token' });
});

it('needs users who can be told apart for a key of each', () => {
  const server = { name: 'x', command: 'c', session: 'per-client' };
  const auth = { type: 'key', per: 'user', env: 'A' };
  expect(() => resolve({ host: '0.0.0.0', servers: [{ ...server, auth }] })).toThrow('told apart');
});

it.each(['PATH', 'Path', 'HOME', 'NODE_OPTIONS', 'ld_library_path', 'DYLD_INSERT_LIBRARIES', 'MCPSTEAD_X'])(
  'keeps a key out of %s',
  (name) => {
    expect(isKeyVariable(name)).toBe(false);
  },
);

it.each(['', 'A B', 'A=B', '1A', 'BASH_ENV', 'npm_config_node_options', 'HTTPS_PROXY', 'LC_ALL'])(
  'keeps a key out of a variable named %j',
  (name) => {
    expect(isKeyVariable(name)).toBe(false);
  },
);

it.each(['API_KEY', 'GITHUB_TOKEN', 'NODE_AUTH_TOKEN', '_x1'])('takes %s', (name) => {
  expect(isKeyVariable(name)).toBe(true);
});
