/** How the gateway authenticates to a server: `auth` of a server's entry. */
import { z } from 'zod';
import { link, words } from './keys.js';

const name = () => z.string().min(1).optional();
const command = () => z.array(z.string().min(1)).default([]);
const parameters = () => z.record(z.string().min(1), z.string()).default({});

export const serverAuth = z.object({
  type: z
    .enum(['auto', 'none', 'bearer', 'oauth', 'key'])
    .default('auto')
    .meta(
      link(
        '`auto`: the server is called without a credential until it answers HTTP 401 and names an authorization server, then as with `oauth`; with an `Authorization` header in `headers`, and for stdio servers, `none`. `oauth`: a login (`mcpstead login`), or a grant without a person. `key`: a key that a person sets with `mcpstead login`. `auth: none` is short for `auth: {type: none}`.',
      ),
    ),
  header: name().meta(link('With `type: key`: the header that carries the key. Not set: `authorization`.')),
  scheme: z
    .string()
    .optional()
    .meta(
      link(
        'With `type: key`: what stands before the key in the header. Not set: `Bearer` in `authorization`, nothing in other headers.',
      ),
    ),
  env: name().meta(
    link(
      'With `type: key` and `per: user`, for a stdio server with `session: per-client`: the environment variable that holds the key of the user.',
    ),
  ),
  token_env: name().meta(
    link('The environment variable that holds the token; read at start-up and on every reload.'),
  ),
  token_file: name().meta(
    link('The file that holds the token; read every 10 s, and when the server refuses the token.'),
  ),
  token_command: command().meta(
    link(
      'Prints the token: program and arguments, run without a shell, within 10 s, with the environment of a stdio server; at each connection, and when the server refuses the token.',
    ),
  ),
  grant: z
    .enum(['authorization_code', 'client_credentials', 'jwt_bearer', 'token_exchange', 'id_jag'])
    .default('authorization_code')
    .meta(
      link(
        '`authorization_code`: a person logs in once. `client_credentials`: the gateway is a client of its own. `jwt_bearer`: an assertion of a platform is exchanged at `issuer` (RFC 7523, workload identity). `token_exchange`: the token of the caller is exchanged at `issuer` (RFC 8693). `id_jag`: the token of the caller is exchanged at `idp` for an assertion, and that at `issuer`.',
      ),
    ),
  assertion_file: name().meta(
    link(
      'A file with a JWT: the assertion of `jwt_bearer`, or what `client_id` authenticates with in `client_credentials`. Read for each token.',
    ),
  ),
  assertion_command: command().meta(
    link('Prints the same: program and arguments, run without a shell, within 10 s, for each token.'),
  ),
  idp: z
    .object({
      issuer: name().meta(link('With `grant: id_jag`: where callers sign in.')),
      client_id: name().meta(link('The client that is registered there.')),
      client_secret_env: name().meta(link('The environment variable that holds its secret.')),
      client_secret_file: name().meta(link('The file that holds its secret.')),
      client_secret_command: command().meta(
        link('Prints its secret: program and arguments, run without a shell, within 10 s.'),
      ),
    })
    .prefault({}),
  per: z
    .enum(['gateway', 'user'])
    .default('gateway')
    .meta(
      link(
        '`gateway`: one login, key or set of printed headers serves everybody. `user`: each user has one of his own, and a connection of his own.',
      ),
    ),
  issuer: z
    .string()
    .min(1)
    .optional()
    .meta(
      link(
        'The only authorization server that credentials of this server come from. Required with a secret or a key: no server chooses where they are sent.',
      ),
    ),
  metadata: z
    .union([z.string().min(1), z.record(z.string(), z.unknown())])
    .optional()
    .meta(
      link(
        'Where the metadata of the authorization server is wrong: the URL of another document, which must name `issuer`, or members that replace those of the document: `{code_challenge_methods_supported: [S256]}`.',
      ),
    ),
  client_id: name().meta(
    link('The client that is registered at `issuer`. Not set: the gateway registers one.'),
  ),
  client_secret_env: name().meta(link('The environment variable that holds the secret of `client_id`.')),
  client_secret_file: name().meta(link('The file that holds the secret of `client_id`.')),
  client_secret_command: command().meta(
    link('Prints the secret of `client_id`: program and arguments, run without a shell, within 10 s.'),
  ),
  private_key_file: name().meta(
    link(
      'A PEM file (PKCS #8) with the key that `client_id` authenticates with, instead of a secret (private_key_jwt).',
    ),
  ),
  key_id: name().meta(link('The `kid` of `private_key_file`.')),
  algorithm: z
    .enum(['RS256', 'PS256', 'ES256', 'ES384', 'Ed25519'])
    .default('RS256')
    .meta(link('The signature algorithm of `private_key_file`.')),
  client_metadata_url: name().meta(
    link(
      'An https URL with the metadata of a client, which is its `client_id` where the authorization server accepts that. With an https `http.public_url` the gateway serves one.',
    ),
  ),
  redirect_uri: name().meta(
    link(
      'The redirect URI of logins. Not set: `/-/oauth/callback` under `http.public_url`, or of the bind address.',
    ),
  ),
  scopes: z
    .array(z.string().min(1))
    .optional()
    .meta(link('The scopes of a login. Not set: those that the server asks for. `[]`: none.')),
  resource: name().meta(
    link(
      'The `resource` parameter of logins (RFC 8707). Not set: as the server says. `none`: it is not sent.',
    ),
  ),
  params: z
    .object({
      authorize: parameters().meta(link('Further parameters of the authorization request.')),
      token: parameters().meta(link('Further parameters of token requests.')),
    })
    .prefault({}),
  login_tool: z
    .boolean()
    .default(true)
    .meta(link('Whether the server lists a tool `login`, which leads to the login, while it waits for one.')),
  allow_hosts: words().meta(
    link(
      'Hosts in private networks (`id.internal` or `id.internal:8443`) that the discovery of this server may reach.',
    ),
  ),
});
