import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  appendFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { LOCAL } from '../../../src/auth/authenticate.js';
import type { Config } from '../../../src/config/types.js';
import { GatewayError } from '../../../src/errors.js';
import { Audit } from '../../../src/observe/audit.js';
import { verify } from '../../../src/observe/audit/verify.js';
import { Boundary } from '../../../src/observe/boundary.js';
import type { CallDetails, EndedCall } from '../../../src/observe/calls.js';
import { silent, type LogFields, type Logger } from '../../../src/observe/log.js';
import { atEnd } from '../../helpers/cleanup.js';
import { until } from '../../helpers/wait.js';

type Settings = Omit<Config['audit'], 'file'>;
type Line = Readonly<Record<string, unknown>>;

const SETTINGS: Settings = {
  arguments: 'none',
  redact: ['password'],
  rotate_bytes: 1e9,
  keep: 10,
  on_full: 'block',
};

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'mcpstead-audit-'));
  atEnd(() => {
    rmSync(dir, { recursive: true });
  });
  return dir;
}

function begin(
  file = join(folder(), 'audit.log'),
  settings: Partial<Settings> = {},
  key: Promise<void> = Promise.resolve(),
) {
  const caught: string[] = [];
  const logged: [string, LogFields | undefined][] = [];
  const note = (message: string, fields?: LogFields): void => void logged.push([message, fields]);
  const log: Logger = { ...silent, info: note, warn: note, error: note };
  const stats = { auditDropped: 0 };
  let config: Settings = { ...SETTINGS, ...settings };
  const audit = new Audit({
    file,
    config: () => config,
    hmac: () => key.then(() => (bytes) => `hmac-${bytes.length}`),
    log,
    boundary: new Boundary(log, { add: (place) => caught.push(place) }),
    stats,
    version: '1.2.3',
  });
  atEnd(() => {
    audit.destroy();
    expect(caught).toEqual([]);
  });
  return {
    audit,
    file,
    logged,
    stats,
    set: (more: Partial<Settings>) => (config = { ...config, ...more }),
    lines: () => read(file),
  };
}

function read(file: string): Line[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

const DETAILS: CallDetails = {
  decision: undefined,
  rule: undefined,
  error: undefined,
  rpcCode: undefined,
  named: undefined,
  address: '192.0.2.7',
  revision: '2025-11-25',
  bytesIn: 120,
  bytesOut: 340,
  traceId: undefined,
  parents: [undefined, undefined],
  arrived: 0,
  began: undefined,
  argumentBytes: () => Buffer.from('{"password":"hunter2","n":1}'),
};

function call(more: Partial<EndedCall> = {}, details: Partial<CallDetails> = {}): EndedCall {
  return {
    method: 'tools/call',
    id: '7',
    principal: { ...LOCAL, id: 'key:ci', kind: 'key', credential: 'fingerprint' },
    route: '/mcp',
    sessionId: 'abcdefgh-secret',
    target: undefined,
    sent: true,
    result: 'success',
    reason: undefined,
    outcome: 'ok',
    ms: 12.3456,
    details: { ...DETAILS, named: { kind: 'tool', name: 't' }, ...details },
    ...more,
  };
}

describe('a line of the audit log', () => {
  it('has the members of the documentation, in its order', async () => {
    const on = begin();
    on.audit.over(call());
    await on.audit.close();
    const [start, line, stop] = on.lines();
    expect(start).toMatchObject({ seq: 1, event: 'start', version: '1.2.3', prev: null });
    expect(Object.entries(line ?? {}).slice(1, -1)).toEqual(
      Object.entries({
        seq: 2,
        event: 'call',
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 't',
        'user.id': 'key:ci',
        credential: 'fingerprint',
        'mcp.session.id': 'abcdefgh',
        'jsonrpc.request.id': '7',
        'mcp.protocol.version': '2025-11-25',
        route: '/mcp',
        'client.address': '192.0.2.7',
        decision: 'allow',
        outcome: 'ok',
        ms: 12.3,
        bytes_in: 120,
        bytes_out: 340,
      }),
    );
    expect(Object.keys(line ?? {}).at(0)).toBe('time');
    expect(Object.keys(line ?? {}).at(-1)).toBe('prev');
    expect(line?.['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(stop).toMatchObject({ seq: 3, event: 'stop' });
    expect(statSync(on.file).mode & 0o777).toBe(0o600);
  });

  it('says how the call ended, and what decided that', async () => {
    const on = begin();
    const failed = { result: 'error', sent: false } as const;
    on.audit.over(call({ reason: 'upstream_returned_error' }));
    on.audit.over(call({ ...failed, reason: 'upstream_returned_error' }, { rpcCode: -32602 }));
    on.audit.over(call({ ...failed, reason: 'cancelled' }));
    on.audit.over(call(failed, { error: new GatewayError('rate_limited', 'x', undefined, 'slow') }));
    on.audit.over(
      call(failed, { error: new GatewayError('invalid_params', 'x'), decision: 'hide', rule: 'never' }),
    );
    on.audit.over(call({ ...failed, reason: 'internal' }));
    await on.audit.close();
    const shown = on
      .lines()
      .filter(({ event }) => event === 'call')
      .map((line) => [line['outcome'], line['error.type'], line['decision'], line['rule']]);
    expect(shown).toEqual([
      ['tool_error', 'tool_error', 'allow', undefined],
      ['error', '-32602', 'allow', undefined],
      ['cancelled', 'cancelled', 'allow', undefined],
      ['error', 'rate_limited', 'limit', 'slow'],
      ['error', 'invalid_params', 'hide', 'never'],
      ['error', 'internal', 'allow', undefined],
    ]);
  });

  it('names prompts and resources as such', async () => {
    const on = begin();
    on.audit.over(call({ method: 'prompts/get' }, { named: { kind: 'prompt', name: 'p' } }));
    on.audit.over(call({ method: 'resources/read' }, { named: { kind: 'resource', name: 'file:///x' } }));
    await on.audit.close();
    const [, prompt, resource] = on.lines();
    expect(prompt).toMatchObject({ 'gen_ai.prompt.name': 'p' });
    expect(resource).toMatchObject({ 'mcp.resource.uri': 'file:///x' });
    for (const line of [prompt, resource]) expect(line).not.toHaveProperty('gen_ai.tool.name');
  });

  it('is one line, whatever breaks lines in a name, an id or an argument', async () => {
    const on = begin(undefined, { arguments: 'keep' });
    const evil = 'a\nb\r\u2028c\u2029d\u0085e\u001b[31m"\\\ud800';
    on.audit.over(
      call(
        { id: JSON.stringify(evil), route: evil },
        {
          named: { kind: 'tool', name: evil },
          revision: evil,
          address: evil,
          argumentBytes: () => Buffer.from(JSON.stringify({ [evil]: evil }, undefined, '\n')),
        },
      ),
    );
    await on.audit.close();
    const text = readFileSync(on.file, 'utf8');
    expect(text.split(/\r|\n|\u2028|\u2029|\u0085/).filter((line) => line !== '')).toHaveLength(3);
    expect(text).not.toContain('\u001b');
    const [, line] = on.lines();
    for (const key of ['jsonrpc.request.id', 'route', 'gen_ai.tool.name', 'client.address'])
      expect(line?.[key], key).toBe(evil);
    expect(await verify([on.file], undefined)).toMatchObject({ ok: true, lines: 3 });
  });

  it('has arguments as audit.arguments says', async () => {
    const on = begin();
    for (const kept of ['none', 'hash', 'keep'] as const) {
      on.set({ arguments: kept });
      on.audit.over(call());
      // The key is there at once.
      await new Promise(setImmediate);
    }
    on.audit.over(call({ method: 'prompts/get' }));
    on.set({ redact: ['N'] });
    on.audit.over(call());
    await on.audit.close();
    expect(
      on
        .lines()
        .slice(1, -1)
        .map(({ args }) => args),
    ).toEqual([
      undefined,
      'hmac-28',
      { password: '***', n: 1 },
      undefined,
      { password: 'hunter2', n: '***' },
    ]);
  });

  it('waits for the key of its hash, and is left out if that does not come', async () => {
    let arrive = (): void => undefined;
    const on = begin(undefined, { arguments: 'hash' }, new Promise((resolve) => (arrive = resolve)));
    on.audit.over(call({ id: '1' }));
    on.audit.over(call({ id: '2', method: 'prompts/get' }));
    arrive();
    await on.audit.close();
    const shown = (lines: Line[]) =>
      lines.slice(1, -1).map((line) => [line['jsonrpc.request.id'], line['args']]);
    expect(shown(on.lines())).toEqual([
      ['2', undefined],
      ['1', 'hmac-28'],
    ]);
    const never = begin(undefined, { arguments: 'hash' }, new Promise(() => undefined));
    never.audit.over(call({ id: '3' }));
    never.audit.destroy();
    expect(shown(never.lines())).toEqual([['3', undefined]]);
  });

  it('is there for requests alone, but not for ping', async () => {
    const on = begin();
    on.audit.over(call({ details: undefined }));
    on.audit.over(call({ method: 'ping' }));
    on.audit.over(call({ method: 'tools/list' }));
    await on.audit.close();
    expect(on.lines().map((line) => line['mcp.method.name'] ?? line['event'])).toEqual([
      'start',
      'tools/list',
      'stop',
    ]);
  });
});

describe('refused credentials', () => {
  it('have ten lines in a second, then one with the count', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    atEnd(() => vi.useRealTimers());
    const on = begin();
    const refuse = (times: number): void => {
      for (let i = 0; i < times; i++)
        on.audit.refused({ reason: 'wrong_token', address: '192.0.2.7', route: '/mcp' });
    };
    refuse(1000);
    vi.advanceTimersByTime(1000);
    refuse(3);
    on.audit.refused({ reason: 'missing_header', address: '192.0.2.7', route: '/mcp' });
    refuse(9);
    vi.useRealTimers();
    await on.audit.close();
    const lines = on.lines().slice(1, -1);
    expect(lines.slice(0, 1)).toMatchObject([
      { event: 'refused', route: '/mcp', 'client.address': '192.0.2.7', 'error.type': 'wrong_token' },
    ]);
    expect(lines.map(({ event, count }) => [event, count])).toEqual([
      ...Array<unknown>(10).fill(['refused', undefined]),
      ['refused', 990],
      ...Array<unknown>(10).fill(['refused', undefined]),
      ['refused', 2],
    ]);
  });
});

describe('acts', () => {
  it('have who did what, from where, and how it ended', async () => {
    const on = begin();
    on.audit.acted('admin', { act: 'keys.revoke', subject: 'ci', principal: LOCAL, address: '192.0.2.1' });
    on.audit.acted('pin', { act: 'approve', server: 's', subject: 't' });
    on.audit.acted('reload', { outcome: 'error', error: 'line 3: no' });
    await on.audit.close();
    expect(on.lines().slice(1, -1)).toMatchObject([
      {
        event: 'admin',
        act: 'keys.revoke',
        subject: 'ci',
        'user.id': 'local',
        'client.address': '192.0.2.1',
        outcome: 'ok',
      },
      { event: 'pin', act: 'approve', 'mcpstead.server': 's', subject: 't' },
      { event: 'reload', outcome: 'error', error: 'line 3: no' },
    ]);
  });
});

it('has the time at which each call ended and what it was then, however much later it is written', async () => {
  const on = begin();
  vi.useFakeTimers({ toFake: ['Date'] });
  atEnd(() => void vi.useRealTimers());
  // Takes no turn of the event loop: all are written together.
  const details = { ...DETAILS, bytesOut: 0 };
  for (let n = 1; n <= 3; n++) {
    vi.setSystemTime(n * 1000);
    details.bytesOut = n;
    on.audit.over(call({ id: String(n), details }));
  }
  vi.setSystemTime(60_000);
  await on.audit.close();
  expect(on.lines().slice(1)).toMatchObject([
    { time: '1970-01-01T00:00:01.000Z', seq: 2, 'jsonrpc.request.id': '1', bytes_out: 1 },
    { time: '1970-01-01T00:00:02.000Z', seq: 3, 'jsonrpc.request.id': '2', bytes_out: 2 },
    { time: '1970-01-01T00:00:03.000Z', seq: 4, 'jsonrpc.request.id': '3', bytes_out: 3 },
    { event: 'stop', time: '1970-01-01T00:01:00.000Z', seq: 5 },
  ]);
  expect(await verify([on.file], undefined)).toMatchObject({ ok: true });
});

describe('a log that is written too slowly', () => {
  const long = call({}, { named: { kind: 'tool', name: 'n'.repeat(2000) } });
  /** Takes no turn of the event loop, so that nothing is written. */
  const fill = (on: ReturnType<typeof begin>, megabytes: number): void => {
    for (let bytes = 0; bytes < megabytes * 1e6; bytes += 2400) on.audit.over(long);
  };

  it('takes 8 MB under count, counts what it loses, and says how much that was', async () => {
    const on = begin(undefined, { on_full: 'count' });
    fill(on, 8);
    expect(on.stats.auditDropped).toBe(0);
    fill(on, 2);
    const lost = on.stats.auditDropped;
    expect(lost).toBeGreaterThan(100);
    expect([on.audit.refusal, on.audit.trouble]).toEqual([undefined, undefined]);
    await until(() => readFileSync(on.file, 'utf8').length > 8e6);
    on.audit.over(call());
    await on.audit.close();
    expect(on.lines().slice(-3)).toMatchObject([
      { event: 'gap', lost },
      { event: 'call' },
      { event: 'stop' },
    ]);
    expect(await verify([on.file], undefined)).toMatchObject({ ok: true });
  });

  it('refuses calls under block, but loses none that were under way', async () => {
    const on = begin();
    fill(on, 8);
    expect(on.audit.refusal).toBeUndefined();
    fill(on, 2);
    const { refusal } = on.audit;
    expect(refusal).toMatchObject({ code: 'unavailable' });
    expect(on.audit.trouble).toContain('is written too slowly');
    for (let i = 0; i < 5; i++) on.audit.over(call({ sent: false, result: 'error' }, { error: refusal }));
    expect(on.stats.auditDropped).toBe(0);
    await until(() => on.audit.refusal === undefined);
    on.audit.over(call());
    await on.audit.close();
    expect(on.lines().slice(-3)).toMatchObject([
      { event: 'gap', lost: 0, refused: 5 },
      { event: 'call' },
      { event: 'stop' },
    ]);
    expect(await verify([on.file], undefined)).toMatchObject({ ok: true });
  });

  it('has as much room for those under way where their names take three bytes a character', async () => {
    const on = begin();
    const wide = call({}, { named: { kind: 'tool', name: '\u540d'.repeat(2000) } });
    while (on.audit.refusal === undefined) on.audit.over(wide);
    // Lines are made, and the first ones are being written.
    await new Promise(setImmediate);
    on.audit.over(wide);
    expect(on.stats.auditDropped).toBe(0);
    await on.audit.close();
    expect(await verify([on.file], undefined)).toMatchObject({ ok: true });
  });

  it('bounds what it keeps under block too', () => {
    const on = begin();
    fill(on, 18);
    expect(on.stats.auditDropped).toBeGreaterThan(100);
  });
});

/** The text of a file; of one that is being renamed, none. */
function textIn(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '';
  }
}

describe('the chain', () => {
  it('goes on after a stop, and says so after an end without one', async () => {
    const first = begin();
    await first.audit.close();
    const second = begin(first.file);
    await second.audit.close();
    expect(first.lines().map(({ event }) => event)).toEqual(['start', 'stop', 'start', 'stop']);
    // Without its last line, the log looks as after a crash.
    const text = readFileSync(first.file, 'utf8').split('\n').slice(0, 3);
    writeFileSync(first.file, `${text.join('\n')}\n`);
    const third = begin(first.file);
    await third.audit.close();
    expect(first.lines().map(({ event }) => event)).toEqual([
      'start',
      'stop',
      'start',
      'unclean_end',
      'start',
      'stop',
    ]);
    expect(third.logged[0]?.[0]).toContain('did not stop cleanly');
    expect(await verify([first.file], undefined)).toMatchObject({ ok: true, lines: 6, from: 1, to: 6 });
  });

  it.each([
    ['half a line', '{"time":"2026-01-01T00:00:00.000Z","se'],
    ['a line without its line break', undefined],
  ])('takes up %s that a crash left', async (_, torn) => {
    const first = begin();
    first.audit.over(call());
    await first.audit.close();
    if (torn !== undefined) appendFileSync(first.file, torn);
    else writeFileSync(first.file, readFileSync(first.file, 'utf8').slice(0, -1));
    const second = begin(first.file);
    await second.audit.close();
    expect(readFileSync(first.file, 'utf8')).toContain('unclean_end');
    expect(await verify([first.file], undefined)).toMatchObject({ ok: true });
    // The unfinished line is part of the chain.
    if (torn === undefined) return;
    writeFileSync(first.file, readFileSync(first.file, 'utf8').replace('"se\n', '"so\n'));
    expect(await verify([first.file], undefined)).toMatchObject({ ok: false, line: 4 });
  });

  it('takes up a first line that a crash cut', async () => {
    const file = join(folder(), 'audit.log');
    writeFileSync(file, '{"time":"20');
    const on = begin(file);
    await on.audit.close();
    expect(await verify([file], undefined)).toMatchObject({ ok: true, lines: 3, from: 1 });
  });

  it('begins in no file that is none of its own', () => {
    const file = join(folder(), 'notes.txt');
    for (const text of ['dear diary\n', 'dear diary', '{"level":"info"}\n', '\n\n']) {
      writeFileSync(file, text);
      expect(() => begin(file), JSON.stringify(text)).toThrow(
        `${file} does not end like an audit log: move it away`,
      );
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
    expect(() => begin('/dev/null')).toThrow('/dev/null is not a regular file');
    expect(() => begin(join(file, 'x'))).toThrow('ENOTDIR');
  });

  it('goes over files that are full, of which it keeps some', async () => {
    const on = begin(undefined, { rotate_bytes: 2000, keep: 3 });
    const dir = join(on.file, '..');
    for (let i = 0; i < 40; i++) on.audit.over(call({ id: String(i) }));
    // While a full file is renamed, none has its name.
    await until(() => textIn(on.file).includes('"jsonrpc.request.id":"39"'));
    await on.audit.close();
    const files = readdirSync(dir).map((name) => join(dir, name));
    expect(files).toHaveLength(4);
    for (const file of files) expect(statSync(file).size).toBeLessThanOrEqual(2000);
    for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600);
    const result = await verify(files.reverse(), undefined);
    expect(result).toMatchObject({ ok: true, to: 42 });
    // The next start finds the chain even if the current file is gone.
    rmSync(on.file);
    const [last] = readdirSync(dir).sort().reverse();
    const seq = Number(last?.split('.').at(-1));
    const next = begin(on.file, { rotate_bytes: 2000 });
    await next.audit.close();
    expect(next.lines()[0]).toMatchObject({ event: 'unclean_end', seq: seq + 1 });
  });

  it('goes on in another file once the first was moved or deleted', async () => {
    const on = begin();
    await until(() => statSync(on.file).size > 0);
    renameSync(on.file, `${on.file}.moved`);
    on.audit.reopen();
    await until(() => readdirSync(join(on.file, '..')).length === 2);
    on.audit.over(call());
    await on.audit.close();
    expect(read(`${on.file}.moved`).map(({ event }) => event)).toEqual(['start']);
    expect(on.lines().map(({ event }) => event)).toEqual(['call', 'stop']);
    expect(await verify([on.file, `${on.file}.moved`], undefined)).toMatchObject({ ok: true, lines: 3 });
    expect(await verify([on.file], undefined)).toMatchObject({ ok: true, lines: 2, from: 2 });
  });

  it('keeps lines of one turn together, and writes what waits when it is destroyed', () => {
    const on = begin();
    for (let i = 0; i < 5; i++) on.audit.over(call());
    on.audit.destroy();
    on.audit.over(call());
    expect(on.lines().map(({ event }) => event)).toEqual(['start', ...Array<string>(5).fill('call'), 'stop']);
    expect(on.stats.auditDropped).toBe(0);
  });

  it('shows its head in the log every ten minutes, if there is a new one', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    atEnd(() => vi.useRealTimers());
    const on = begin();
    vi.advanceTimersByTime(600_000);
    vi.advanceTimersByTime(600_000);
    on.audit.over(call());
    vi.advanceTimersByTime(600_000);
    await on.audit.close();
    const heads = on.logged.filter(([message]) => message === 'head of the audit log');
    expect(heads.map(([, fields]) => fields?.['seq'])).toEqual([1, 2, 3]);
    for (const [, fields] of heads) {
      const head = String(fields?.['head']);
      expect(await verify([on.file], head)).toMatchObject({ ok: true, seen: true });
    }
    expect(await verify([on.file], 'x'.repeat(43))).toMatchObject({ ok: true, seen: false });
  });
});

describe('verify', () => {
  async function log(): Promise<{ file: string; lines: string[]; write: (lines: string[]) => void }> {
    const on = begin();
    for (let i = 0; i < 8; i++) on.audit.over(call({ id: String(i) }));
    await on.audit.close();
    const lines = readFileSync(on.file, 'utf8').split('\n').slice(0, -1);
    return {
      file: on.file,
      lines,
      write: (next) => {
        writeFileSync(on.file, next.map((line) => `${line}\n`).join(''));
      },
    };
  }

  it('names the line in which any one byte was changed', async () => {
    const { file, lines, write } = await log();
    // The last line has no follower that vouches for it.
    for (const index of [0, 3, lines.length - 2]) {
      const line = lines[index] ?? '';
      for (let at = 0; at < line.length; at += 7) {
        const changed = `${line.slice(0, at)}${line[at] === '1' ? '2' : '1'}${line.slice(at + 1)}`;
        write(lines.with(index, changed));
        const verdict = await verify([file], undefined);
        expect(verdict, changed).toMatchObject({ ok: false, file, line: index + 1 });
      }
    }
  });

  it('names the line before which lines are missing, added or in another order', async () => {
    const { file, lines, write } = await log();
    const at = (...order: number[]): void => {
      write(order.map((index) => lines[index] ?? ''));
    };
    at(0, 1, 3, 4);
    expect(await verify([file], undefined)).toMatchObject({
      ok: false,
      line: 3,
      why: expect.stringContaining('must be 3') as string,
    });
    at(0, 1, 1, 2);
    expect(await verify([file], undefined)).toMatchObject({ ok: false, line: 3 });
    at(0, 2, 1, 3);
    expect(await verify([file], undefined)).toMatchObject({ ok: false, line: 2 });
    write([...lines.slice(0, 4), 'not a line', ...lines.slice(4)]);
    expect(await verify([file], undefined)).toMatchObject({ ok: false, line: 5 });
    write([...lines, '{"time":"']);
    expect(await verify([file], undefined)).toMatchObject({ ok: false, line: lines.length + 1 });
    at(2, 3, 4);
    expect(await verify([file], undefined)).toMatchObject({ ok: true, from: 3, to: 5 });
    write([]);
    expect(await verify([file], undefined)).toMatchObject({ ok: true, lines: 0 });
  });
});
