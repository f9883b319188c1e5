/** Resolves `auth: {type: key}`: a key that a person sets, and that is shown to the server. */
import { INHERITED, INHERITED_WINDOWS } from './environment.js';
import { isSettableHeader } from './header-names.js';
import type { Scope } from './scope.js';
import type { ServerValues } from './schema.js';
import type { ChildKeyAuth, HeaderKeyAuth } from './types.js';

const SCHEME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{0,64}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** Variables that make programs run or load something: a user chooses the value. In upper case. */
const LOADING = new Set([
  ...[...INHERITED, ...INHERITED_WINDOWS].map((name) => name.toUpperCase()),
  ...['BASH_ENV', 'ENV', 'IFS', 'SHELLOPTS', 'PROMPT_COMMAND', 'EDITOR', 'PAGER', 'ALL_PROXY'],
  ...['NODE_OPTIONS', 'NODE_PATH', 'NODE_REPL_EXTERNAL_MODULE', 'NODE_TLS_REJECT_UNAUTHORIZED'],
  ...['PYTHONPATH', 'PYTHONHOME', 'PYTHONSTARTUP', 'PYTHONINSPECT', 'PERL5OPT', 'PERL5LIB', 'PERL5DB'],
  ...['RUBYOPT', 'RUBYLIB', 'JAVA_TOOL_OPTIONS', '_JAVA_OPTIONS', 'JDK_JAVA_OPTIONS', 'CLASSPATH'],
  ...['GIT_SSH', 'GIT_SSH_COMMAND', 'GIT_EXTERNAL_DIFF', 'GIT_ASKPASS', 'GIT_EXEC_PATH'],
  ...['DOTNET_STARTUP_HOOKS', 'OPENSSL_CONF', 'OPENSSL_MODULES', 'DOCKER_HOST'],
]);
const LOADING_PREFIX = /^(LD_|DYLD_|LC_|MCPSTEAD_|NPM_CONFIG_|GIT_CONFIG|CORECLR_|COR_)/;

/** Whether a key that a user sets may be in this environment variable of a child. */
export function isKeyVariable(name: string): boolean {
  const upper = name.toUpperCase();
  return VARIABLE.test(name) && !LOADING.has(upper) && !LOADING_PREFIX.test(upper);
}

/** Of an HTTP server. `isNamed`: whether `headers` has a header, its name in lower case. */
export function headerKeyOf(
  { auth }: ServerValues,
  isNamed: (lower: string) => boolean,
  scope: Scope,
): HeaderKeyAuth {
  const header = (auth.header ?? 'authorization').toLowerCase();
  const scheme = auth.scheme ?? (header === 'authorization' ? 'Bearer' : '');
  if (!isSettableHeader(header))
    scope.wrong('', ['auth', 'header'], `'${header}' is not a header that can carry a key`, 'x-api-key');
  else if (isNamed(header))
    scope.wrong('', ['auth', 'header'], `'${header}' is in headers too`, 'keep one of them');
  if (!SCHEME.test(scheme))
    scope.wrong('', ['auth', 'scheme'], 'is not an authentication scheme', 'scheme: Token');
  if (auth.env !== undefined)
    scope.wrong('', ['auth', 'env'], 'has no meaning for an HTTP server', 'header: x-api-key');
  return { type: 'key', per: auth.per, login_tool: auth.login_tool, header, scheme };
}

/** Of a stdio server. */
export function childKeyOf({ auth, session, env }: ServerValues, scope: Scope): ChildKeyAuth {
  const wrong = (key: string, why: string, fix: string): void => {
    scope.wrong('', ['auth', key], why, fix);
  };
  const name = auth.env ?? '';
  if (auth.env === undefined)
    wrong('env', 'is required for a stdio server: the variable that holds the key', 'env: API_KEY');
  else if (!isKeyVariable(name))
    wrong('env', `'${name}' cannot hold a key: choose a name that only this server reads`, 'env: API_KEY');
  else if (Object.hasOwn(env, name))
    wrong('env', `'${name}' is in env of the server too`, 'keep one of them');
  if (auth.per !== 'user')
    wrong('per', 'must be user for a stdio server: use env for a key of everybody', 'per: user');
  if (session !== 'per-client')
    scope.wrong(
      '',
      ['session'],
      'must be per-client with auth.type: key: each user has a child process of his own',
      'session: per-client',
    );
  for (const key of ['header', 'scheme'] as const)
    if (auth[key] !== undefined) wrong(key, 'has no meaning for a stdio server', 'env: API_KEY');
  return { type: 'key', per: 'user', login_tool: auth.login_tool, env: name };
}

/** Reports settings of a key where `type` is another one. */
export function withoutKey({ auth }: ServerValues, scope: Scope): void {
  for (const key of ['header', 'scheme', 'env'] as const)
    if (auth[key] !== undefined)
      scope.wrong('', ['auth', key], `has no meaning with type: ${auth.type}`, 'type: key');
}
