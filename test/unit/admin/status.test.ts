import { describe, expect, it } from 'vitest';
import { statusOf, statusOfDisabled, type StatusFacts } from '../../../src/admin/status.js';
import type { LinkState } from '../../../src/protocol/ports.js';

const facts = (more: Partial<StatusFacts> = {}): StatusFacts => ({
  name: 's',
  kind: 'http',
  state: 'up',
  firstConnect: false,
  lastError: undefined,
  lastCode: undefined,
  history: [],
  off: false,
  hasProblem: false,
  pending: 0,
  users: undefined,
  started: 0,
  ...more,
});
const past = (...states: readonly [LinkState, number][]): StatusFacts['history'] =>
  states.map(([state, time]) => ({ state, time, cause: undefined }));
const at = (time: number): string => new Date(time).toISOString();

describe('the word', () => {
  it.each<[string, Partial<StatusFacts>, string, string]>([
    ['up', {}, 'ok', 'up'],
    [
      'first attempt of a child',
      { kind: 'stdio', state: 'starting', firstConnect: true },
      'wait',
      'starting',
    ],
    ['first attempt over HTTP', { state: 'connecting', firstConnect: true }, 'wait', 'connecting'],
    ['a later attempt', { state: 'connecting', lastError: 'x' }, 'failed', 'down'],
    ['waiting', { state: 'backoff', lastError: 'x' }, 'failed', 'down'],
    ['given up', { state: 'down', lastError: 'x' }, 'failed', 'down'],
    [
      'refused credentials',
      { state: 'backoff', lastError: 'x', lastCode: 'upstream_auth_failed' },
      'attention',
      'needs login',
    ],
    ['a login that is missing', { state: 'login_required' }, 'attention', 'needs login'],
    ['hidden definitions', { pending: 2 }, 'attention', 'needs approval'],
    ['hidden definitions of a server that is down', { pending: 2, state: 'backoff' }, 'failed', 'down'],
    ['turned off', { state: 'down', off: true, lastError: 'x' }, 'off', 'off'],
    ['draining', { state: 'draining' }, 'wait', 'draining'],
  ])('for %s', (_, more, level, word) => {
    expect(statusOf(facts(more))).toMatchObject({ level, word });
  });

  it('is there since the first failure, however many attempts there were', () => {
    const history = past(['connecting', 1], ['up', 2], ['backoff', 3], ['connecting', 4], ['backoff', 5]);
    expect(statusOf(facts({ state: 'backoff', lastError: 'x', history })).since).toBe(at(3));
    expect(statusOf(facts({ history: [...history, ...past(['connecting', 6], ['up', 7])] })).since).toBe(
      at(7),
    );
    const never = past(['connecting', 1], ['backoff', 3], ['connecting', 4]);
    expect(statusOf(facts({ state: 'connecting', lastError: 'x', history: never })).since).toBe(at(3));
    expect(statusOf(facts({ started: 9 })).since).toBe(at(9));
  });
});

it('of a server without a login names the command that logs in, and since when that is missing', () => {
  const history = past(['connecting', 1], ['up', 2], ['login_required', 3]);
  const lastError = 'needs a login: mcpstead login a b';
  expect(statusOf(facts({ name: 'a b', state: 'login_required', lastError, history }))).toEqual({
    name: 'a b',
    level: 'attention',
    word: 'needs login',
    since: at(3),
    cause: 'needs a login',
    action: { text: 'log in to it', command: "mcpstead login 'a b'", post: 'servers/a%20b/login' },
  });
});

it('of a disabled server names the command that enables it', () => {
  expect(statusOfDisabled("it's", 7)).toEqual({
    name: "it's",
    level: 'off',
    word: 'off',
    since: at(7),
    cause: 'disabled in the configuration (disabled: true)',
    action: { text: 'enable it', command: "mcpstead enable 'it'\\''s'" },
  });
});

describe('cause and action', () => {
  const failed = (lastError: string, more: Partial<StatusFacts> = {}) =>
    statusOf(facts({ state: 'backoff', lastError, ...more }));

  it('are taken from errors that name a way out', () => {
    const where =
      "upstream 's' cannot start: command 'uvx' is not in PATH: install it, or write its full path (c.yaml:3)";
    expect(failed(where, { kind: 'stdio' })).toMatchObject({
      cause: "command 'uvx' is not in PATH (c.yaml:3)",
      action: { text: 'install it, or write its full path', post: 'servers/s/restart' },
    });
    expect(failed("upstream 's' answered HTTP 404 to POST /: is the path /mcp or /sse?")).toMatchObject({
      cause: 'answered HTTP 404 to POST /',
      action: { text: 'is the path /mcp or /sse?', post: 'reload', command: 'mcpstead reload' },
    });
  });

  it('are there for every server that is not up', () => {
    expect(failed('anything').action).toMatchObject({ command: 'mcpstead restart s' });
    expect(failed('X is not set', { hasProblem: true }).action).toMatchObject({ post: 'reload' });
    expect(failed('x'.repeat(3000)).cause?.length).toBe(500);
    expect(failed('x', { name: "it's" }).action?.command).toBe(String.raw`mcpstead restart 'it'\''s'`);
    expect(failed('x', { name: 'a/b' }).action?.post).toBe('servers/a%2Fb/restart');
  });
});
