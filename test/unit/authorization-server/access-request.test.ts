/** What clients ask people for. */
import { describe, expect, it } from 'vitest';
import {
  readAccessRequest,
  stateOf,
  type RequestRules,
} from '../../../src/authorization-server/access-request.js';

const ISSUER = 'https://gw.example/base';
const RULES: RequestRules = {
  issuer: ISSUER,
  resource: 'route',
  scopes: new Set(['read', 'write']),
  usual: ['read'],
};
const GOOD = {
  response_type: 'code',
  code_challenge: 'c'.repeat(43),
  code_challenge_method: 'S256',
  state: 'a state',
  resource: `${ISSUER}/mcp`,
};

function read(more: Record<string, string | undefined> = {}, rules = RULES, isConsole = false) {
  const all = Object.entries({ ...GOOD, ...more }).filter(
    (pair): pair is [string, string] => pair[1] !== undefined,
  );
  return readAccessRequest(new URLSearchParams(all), rules, isConsole);
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'accepted';
}

it('reads a request', () => {
  expect(read({ scope: 'write read write other' })).toEqual({
    state: 'a state',
    challenge: 'c'.repeat(43),
    scopes: ['write', 'read'],
    resource: `${ISSUER}/mcp`,
  });
  expect(read({ state: undefined }).state).toBeUndefined();
  expect(read().scopes).toEqual(['read']);
  // It asked for none that mean something here: that is not the same as asking for none.
  expect(read({ scope: 'offline_access' }).scopes).toEqual([]);
});

it('finds a parameter that is there twice among thousands, in one pass', () => {
  const many = Array.from({ length: 200_000 }, (_, n) => [`p${n}`, ''] as [string, string]);
  const parameters = new URLSearchParams([...Object.entries(GOOD), ...many, ['p7', '']]);
  expect(codeOf(() => readAccessRequest(parameters, RULES, false))).toBe('invalid_request');
});

it.each([
  ['no response type', { response_type: undefined }, 'unsupported_response_type'],
  ['a token in the URL', { response_type: 'token' }, 'unsupported_response_type'],
  ['a fragment', { response_mode: 'fragment' }, 'invalid_request'],
  ['no PKCE', { code_challenge: undefined }, 'invalid_request'],
  ['no method', { code_challenge_method: undefined }, 'invalid_request'],
  ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['a short challenge', { code_challenge: 'c' }, 'invalid_request'],
  ['a long state', { state: 's'.repeat(1025) }, 'invalid_request'],
  ['a line break in the state', { state: 'a\r\nb' }, 'invalid_request'],
  ['a request object', { request: 'x' }, 'request_not_supported'],
  ['a pushed request', { request_uri: 'urn:x' }, 'request_uri_not_supported'],
  ['no consent', { prompt: 'none' }, 'login_required'],
  ['scopes with quotes', { scope: 'a"b' }, 'invalid_scope'],
  ['no resource', { resource: undefined }, 'invalid_target'],
  ['the gateway as a whole', { resource: ISSUER }, 'invalid_target'],
  ['another host', { resource: 'https://gw.example.evil/base/mcp' }, 'invalid_target'],
  ['another path', { resource: `${ISSUER}/mcp/../../x` }, 'invalid_target'],
  ['what only begins like it', { resource: `${ISSUER}x/mcp` }, 'invalid_target'],
  ['a query', { resource: `${ISSUER}/mcp?a=b` }, 'invalid_target'],
  ['the console', { resource: `${ISSUER}/-/` }, 'invalid_target'],
  ['dot segments', { resource: `${ISSUER}/servers/../mcp` }, 'invalid_target'],
  ['a dot segment', { resource: `${ISSUER}/profiles/./sse` }, 'invalid_target'],
])('refuses %s', (_, wrong: Record<string, string | undefined>, code) => {
  expect(codeOf(() => read(wrong))).toBe(code);
});

it.each(['response_type', 'state', 'code_challenge', 'client_id', 'scope', 'anything'])(
  'refuses %s twice',
  (name) => {
    const parameters = new URLSearchParams(GOOD);
    parameters.append(name, 'one');
    parameters.append(name, 'two');
    expect(codeOf(() => readAccessRequest(parameters, RULES, false))).toBe('invalid_request');
  },
);

describe('a resource', () => {
  it.each(['/mcp', '/mcp/', '/sse', '/servers/a.b/mcp', '/servers/..a/mcp', '/profiles/p/sse'])(
    'is a route: %s',
    (path) => {
      expect(read({ resource: ISSUER + path }).resource).toBe((ISSUER + path).replace(/\/$/, ''));
    },
  );

  it('that is there twice is refused', () => {
    const parameters = new URLSearchParams(GOOD);
    parameters.append('resource', `${ISSUER}/mcp`);
    expect(codeOf(() => readAccessRequest(parameters, RULES, false))).toBe('invalid_target');
  });

  it('may be left out where it is the gateway', () => {
    const rules = { ...RULES, resource: 'gateway' } as const;
    for (const resource of [undefined, ISSUER, `${ISSUER}/`])
      expect(read({ resource }, rules).resource).toBe(ISSUER);
    expect(codeOf(() => read({}, rules))).toBe('invalid_target');
  });

  it('of the console is for the console alone', () => {
    expect(read({ resource: `${ISSUER}/-/` }, RULES, true).resource).toBe(`${ISSUER}/-/`);
    expect(codeOf(() => read({}, RULES, true))).toBe('invalid_target');
  });
});

it('a state goes back with an error if there is one that can', () => {
  expect(stateOf(new URLSearchParams('state=a'))).toBe('a');
  for (const query of ['', 'state=a&state=b', `state=${'a'.repeat(1025)}`, 'state=%0a'])
    expect(stateOf(new URLSearchParams(query))).toBeUndefined();
});
