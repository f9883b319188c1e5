import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { StdioServerConfig } from '../../../src/config/types.js';
import { createBudget } from '../../../src/lib/budget.js';
import type { LogFields, Logger } from '../../../src/observe/log.js';
import { KeptLines } from '../../../src/upstream/stdio/kept-lines.js';
import { spawnChild } from '../../../src/upstream/stdio/child.js';
import type { Child, ChildDeps, ExitInfo } from '../../../src/upstream/stdio/child.js';
import type { DroppedLine } from '../../../src/lib/lines.js';
import { Boundary } from '../../../src/observe/boundary.js';
import { Tally } from '../../../src/observe/stats.js';
import { createWatcher } from '../../../src/upstream/stdio/watcher.js';
import { atEnd } from '../../helpers/cleanup.js';
import { compileSources } from '../../helpers/compile.js';
import { settled, until } from '../../helpers/wait.js';

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-child-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const PATH = process.env.PATH as string;

interface Logged {
  level: string;
  message: string;
  fields: LogFields | undefined;
}
function recorder(): Logger & { lines: Logged[] } {
  const lines: Logged[] = [];
  const at = (level: string) => (message: string, fields?: LogFields) => {
    lines.push({ level, message, fields });
  };
  return {
    lines,
    debugEnabled: true,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
}

function config(command: string, args: string[], more: Partial<StdioServerConfig> = {}): StdioServerConfig {
  return {
    kind: 'stdio',
    name: 'files',
    where: 'config.yaml:12',
    command,
    args,
    env: {},
    environment: { PATH },
    inherit_env: [],
    required: false,
    reconnect: { max_attempts: 0, backoff_base_ms: 1000, backoff_max_ms: 30_000 },
    tools: { ttl_seconds: 300 },
    quirks: { normalize_sse_events: false },
    revision: 'auto',
    session: 'shared',
    roots: [],
    overrides: {},
    extensions: {},
    pin: 'off',
    drain_seconds: 30,
    restart: 'overlap',
    timeouts: {
      connect_ms: 2000,
      probe_ms: 5000,
      request_ms: 300_000,
      total_ms: 0,
      start_ms: 120_000,
      input_ms: 600_000,
    },
    ...more,
  };
}

interface Running {
  child: Child;
  lines: string[];
  dropped: DroppedLine[];
  exits: ExitInfo[];
  exited: Promise<ExitInfo>;
  logger: ReturnType<typeof recorder>;
}

function run(server: StdioServerConfig, more: Partial<ChildDeps> = {}): Running {
  const logger = recorder();
  const watcher = createWatcher({ logger });
  const lines: string[] = [];
  const dropped: DroppedLine[] = [];
  const exits: ExitInfo[] = [];
  let resolveExit: (info: ExitInfo) => void = () => {};
  const exited = new Promise<ExitInfo>((resolve) => (resolveExit = resolve));
  const child = spawnChild(server, {
    logger,
    boundary: new Boundary(logger, new Tally()),
    stderr: new KeptLines(server),
    watcher,
    budget: createBudget(1e9),
    maxLineBytes: 1_000_000,
    onLine: (line) => lines.push(line.toString()),
    onPieces: (pieces) => lines.push(Buffer.concat(pieces).toString()),
    onOutput: () => undefined,
    onSkipped: () => undefined,
    onOversize: (line) => dropped.push(line),
    onExit: (info) => {
      exits.push(info);
      resolveExit(info);
    },
    ...more,
  });
  atEnd(async () => {
    child.destroy();
    await exited;
    watcher.close();
  });
  return { child, lines, dropped, exits, exited, logger };
}

/** A child that runs this JavaScript. */
function js(code: string, more?: Partial<StdioServerConfig>, deps?: Partial<ChildDeps>): Running {
  return run(config(process.execPath, ['-e', code], more), deps);
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie is dead: here nobody may reap orphans.
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
};

/** Starts a grandchild that prints its pid to the child's output and ignores the end of its input and SIGTERM. */
const GRANDCHILD = `
  const { spawn } = require('node:child_process');
  const code = "process.on('SIGTERM', () => {}); console.log('pid ' + process.pid); setInterval(() => {}, 1000)";
  spawn(process.execPath, ['-e', code], { stdio: 'inherit' });
`;
async function grandchildOf(lines: string[]): Promise<number> {
  const line = await until(() => lines.find((each) => each.startsWith('pid ')), 'the grandchild');
  return Number(line.slice(4));
}

describe('a stdio child', () => {
  it('gets lines with a line break each and gives them back as they are', async () => {
    const { child, lines } = js('process.stdin.pipe(process.stdout)');
    const texts = ['{"a":1}', '"\u00e4\u6c34\u{1f600}"', 'x'.repeat(200_000)];
    for (const text of texts) child.write(Buffer.from(text));
    await until(() => lines.length === 3);
    expect(lines).toEqual(texts);
    await child.close(5000);
  });

  it('may split characters, use CRLF and write rubbish: every line comes, byte for byte', async () => {
    const { lines, exited } = js(`
      const text = Buffer.from('{"t":"\u6c34\u{1f600}"}\\r\\n\\n  \\nnot json\\n{"half":');
      let at = 0;
      const next = () => at < text.length ? process.stdout.write(text.subarray(at, ++at), next) : undefined;
      next();
    `);
    expect((await exited).reason).toBe('exited with status 0');
    expect(lines).toEqual(['{"t":"\u6c34\u{1f600}"}', '  ', 'not json']);
  });

  it('that writes a line larger than allowed loses that line alone', async () => {
    const { lines, dropped, exited, logger } = js(
      `process.stdout.write('first\\n{"id":7,"x":"' + 'y'.repeat(3000000) + '"}\\nlast\\n')`,
    );
    await exited;
    expect(lines).toEqual(['first', 'last']);
    expect(dropped).toHaveLength(1);
    expect(dropped[0]?.bytes).toBe(3_000_015);
    expect(dropped[0]?.head.toString()).toMatch(/^\{"id":7,/);
    expect(logger.lines).toContainEqual({
      level: 'warn',
      message: 'a line of the stdio server is larger than limits.message_bytes: dropped',
      fields: { server: 'files' },
    });
  });

  it('sees the environment it is given and nothing else', async () => {
    process.env.GATEWAY_SECRET = 'hidden';
    const { lines, exited } = js('console.log(JSON.stringify(process.env))', {
      environment: { PATH, TOKEN: 't' },
    });
    await exited;
    delete process.env.GATEWAY_SECRET;
    expect(JSON.parse(lines[0] as string)).toEqual({ PATH, TOKEN: 't' });
  });

  it('runs in its cwd', async () => {
    const { lines, exited } = js('console.log(process.cwd())', { cwd: folder });
    await exited;
    expect(lines).toEqual([folder]);
  });

  it('is held back by pause(), and lets write() say when it does not keep up', async () => {
    const many = js(
      'const line = "x".repeat(1000) + "\\n"; setInterval(() => process.stdout.write(line), 1)',
    );
    await until(() => many.lines.length > 3);
    many.child.pause();
    const held = await settled(() => many.lines.length);
    // What another child says comes, also what it says later.
    const other = js('console.log(1); setTimeout(() => console.log(2), 100)');
    await until(() => other.lines.length === 2);
    expect(many.lines.length).toBe(held);
    many.child.resume();
    await until(() => many.lines.length > held);

    const deaf = js('setTimeout(() => process.stdin.resume(), 300); console.log("up")');
    await until(() => deaf.lines.length === 1);
    let drained = 0;
    deaf.child.onDrain(() => drained++);
    const line = Buffer.alloc(60_000, 'y');
    let writes = 0;
    while (deaf.child.write(line)) expect(++writes).toBeLessThan(100);
    await until(() => drained > 0);
  });

  it('reports its exit once, after its last words, whatever it was', async () => {
    const status = js('console.log("bye"); process.exitCode = 3');
    expect(await status.exited).toEqual({ code: 3, signal: null, reason: 'exited with status 3' });
    expect(status.lines).toEqual(['bye']);
    const killed = js('process.kill(process.pid, "SIGKILL")');
    expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL', reason: 'was ended by SIGKILL' });
    const paused = js(
      'console.log("1"); process.stdin.once("data", () => { console.log("2"); process.exit() })',
    );
    await until(() => paused.lines.length === 1);
    paused.child.pause();
    paused.child.write(Buffer.from('go'));
    await paused.exited;
    expect(paused.lines).toEqual(['1', '2']);
    await js('').exited;
    expect([status.exits, killed.exits, paused.exits].map((each) => each.length)).toEqual([1, 1, 1]);
    expect(paused.child.write(Buffer.from('to nobody'))).toBe(true);
  });

  it('that closes its output or its input but lives on is ended', async () => {
    const mute = js('require("fs").closeSync(1); setInterval(() => {}, 1000)');
    expect((await mute.exited).reason).toBe('closed its standard output');
    const deaf = js('require("fs").closeSync(0); console.log("up"); setInterval(() => {}, 1000)');
    await until(() => deaf.lines.length === 1);
    deaf.child.write(Buffer.from('hello'));
    expect((await deaf.exited).reason).toBe('closed its standard input');
  });

  it('that cannot be started says which, why and what to do', async () => {
    const file = join(folder, 'plain.txt');
    writeFileSync(file, 'no program');
    const script = join(folder, 'script');
    writeFileSync(script, '#!/no/such/interpreter\n');
    chmodSync(script, 0o755);
    const start = (command: string, cwd?: string) =>
      run(config(command, [], cwd === undefined ? {} : { cwd })).exited.then((info) => info.reason);
    const said = (cause: string) => `cannot start: ${cause} (config.yaml:12)`;
    expect(await start('no-such-command')).toBe(
      said("command 'no-such-command' is not in PATH: install it, or write its full path"),
    );
    expect(await start('/no/such/command')).toBe(said("command '/no/such/command' does not exist"));
    expect(await start(script)).toBe(said(`the interpreter in the first line of '${script}' does not exist`));
    expect(await start(file)).toBe(
      said(`command '${file}' may not be executed: check its permissions (chmod +x)`),
    );
    expect(await start(folder)).toBe(said(`command '${folder}' is a directory: name the program in it`));
    expect(await start('./script', folder)).toBe(
      said("the interpreter in the first line of './script' does not exist"),
    );
    expect(await start('node', '/no/such/folder')).toBe(said("cwd '/no/such/folder' does not exist"));
    expect(await start('node', file)).toBe(said(`cwd '${file}' is not a directory`));
    const big = run(config('node', ['x'.repeat(5_000_000)]));
    await big.child.close(1000);
    expect((await big.exited).code).toBeNull();
  });

  it('has its stderr in the log at debug, 20 lines a second, the rest counted, secrets masked', async () => {
    const { child, exited, logger } = js(
      `for (let i = 0; i < 50; i++) console.error('\\x1b[31mline ' + i + '\\x1b[0m'); console.error('token is s3cret!\\n\\n')`,
      { env: { TOKEN: 's3cret!' } },
    );
    await exited;
    const said = logger.lines.filter((line) => line.message === 'stderr of the stdio server');
    expect(said).toHaveLength(20);
    expect(said[0]).toMatchObject({ level: 'debug', fields: { server: 'files', line: 'line 0' } });
    expect(logger.lines.find((line) => line.fields?.skipped)?.fields).toEqual({
      server: 'files',
      skipped: 31,
    });
    expect(child.lastStderr).toBe('line 48 | line 49 | token is ***');
  });

  it('keeps what it shows of stderr short, also without a line break', async () => {
    const { child, exited } = js(`process.stderr.write('last ' + 'x'.repeat(1000))`);
    await exited;
    expect(child.lastStderr).toBe(`last ${'x'.repeat(195)}`);
  });

  it('shows the first line of stderr that tells of an error, not what comes after it', async () => {
    const { child, exited } = run(config(process.execPath, ['/no/such/server.js']));
    await exited;
    expect(child.lastStderr).toBe("Error: Cannot find module '/no/such/server.js'");
  });

  it('shows what npm says behind the code of its error', async () => {
    const { child, exited } = js(
      `console.error('npm error code E404\\nnpm error 404 Not Found - GET https://r/pkg\\nnpm error 404')`,
    );
    await exited;
    expect(child.lastStderr).toBe('npm error 404 Not Found - GET https://r/pkg');
  });

  it('leaves no timer and no handle behind', async () => {
    const before = process.getActiveResourcesInfo().length;
    for (let i = 0; i < 3; i++) {
      const { child, exited } = js('process.stdin.resume()');
      await child.close(3000);
      await exited;
    }
    await until(() => process.getActiveResourcesInfo().length <= before);
  });
});

describe('the process group of a stdio child', () => {
  it('ends by itself when its input ends, if it does', async () => {
    const { child, exited } = js('process.stdin.resume()');
    await child.close(600_000);
    expect(await exited).toEqual({ code: 0, signal: null, reason: 'stopped' });
  });

  it('is asked by SIGTERM, then killed, within the grace', async () => {
    const polite = js(
      'process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1000); console.log(1)',
    );
    await until(() => polite.lines.length);
    await polite.child.close(30_000);
    expect((await polite.exited).code).toBe(7);

    const stubborn = js(
      'process.on("SIGTERM", () => console.log("asked")); setInterval(() => {}, 1000); console.log(1)',
    );
    await until(() => stubborn.lines.length);
    const closed = stubborn.child.close(30_000);
    await until(() => stubborn.lines.includes('asked'), 'SIGTERM');
    // The rest of the grace is over.
    await stubborn.child.close(0);
    await closed;
    expect((await stubborn.exited).signal).toBe('SIGKILL');
  });

  it('goes as a whole: on close, on destroy and when the leader ends by itself', async () => {
    const closed = js(`${GRANDCHILD} process.stdin.resume()`);
    const first = await grandchildOf(closed.lines);
    await closed.child.close(400);
    expect(alive(first)).toBe(false);

    const destroyed = js(`${GRANDCHILD} setInterval(() => {}, 1000)`);
    const second = await grandchildOf(destroyed.lines);
    destroyed.child.destroy('server removed');
    expect((await destroyed.exited).reason).toBe('server removed');
    await until(() => !alive(second));

    const left = js(`${GRANDCHILD} process.stdin.once('data', () => process.exit(1))`);
    const third = await grandchildOf(left.lines);
    left.child.write(Buffer.from('go\n'));
    expect((await left.exited).reason).toBe('exited with status 1');
    await until(() => !alive(third));
  });

  it('gives what the leader left running the rest of the grace to end in order', async () => {
    const file = join(folder, 'flushed');
    const code = `process.on('SIGTERM', () => setTimeout(() => { require('fs').writeFileSync('${file}', 'yes'); process.exit() }, 300)); console.log('pid ' + process.pid); setInterval(() => {}, 1000)`;
    const { child, lines } = js(
      `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(code)}], { stdio: 'inherit' }); process.stdin.resume(); process.stdin.on('end', () => process.exit())`,
    );
    await grandchildOf(lines);
    await child.close(30_000);
    expect(readFileSync(file, 'utf8')).toBe('yes');
  });

  it('is killed when the gateway is, by a shell that watches', async () => {
    const compiled = compileSources(
      'src/upstream/stdio/child.ts',
      'src/upstream/stdio/watcher.ts',
      'src/observe/log.ts',
    );
    const parent = join(folder, 'parent.mjs');
    writeFileSync(
      parent,
      `
      import { spawnChild } from '${compiled('src/upstream/stdio/child.ts')}';
      import { createWatcher } from '${compiled('src/upstream/stdio/watcher.ts')}';
      import { createBudget } from '${compiled('src/lib/budget.ts')}';
      import { silent } from '${compiled('src/observe/log.ts')}';
      const watcher = createWatcher({ logger: silent });
      const server = ${JSON.stringify(config(process.execPath, ['-e', `${GRANDCHILD} process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)`]))};
      const make = (server) => spawnChild(server, {
        logger: silent, boundary: { guard: (_where, work) => work, run: (_where, work) => work() }, watcher, budget: createBudget(1e6), maxLineBytes: 1e6,
        onLine: (line) => console.log(line.toString()), onPieces() {}, onOutput() {}, onSkipped() {}, onOversize() {}, onExit() {},
      });
      console.log('child ' + make(server).pid);
      const gone = make({ ...server, args: ['-e', 'process.stdin.resume()'] });
      await gone.close(5000);
      console.log('ready');
      `,
    );
    const gateway = spawn(process.execPath, [parent], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    gateway.stdout.on('data', (chunk) => (said += String(chunk)));
    await until(() => /child \d+/.test(said) && /pid \d+/.test(said) && said.includes('ready'));
    const pids = [/child (\d+)/, /pid (\d+)/].map((each) => Number(each.exec(said)?.[1]));
    expect(pids.every(alive)).toBe(true);
    gateway.kill('SIGKILL');
    await until(() => !pids.some(alive), 'the end of the group');
  });

  it('is not watched where there is no shell: one warning says so', async () => {
    const logger = recorder();
    const watcher = createWatcher({ logger, shell: '/no/such/shell' });
    watcher.add(999_999);
    await until(() => logger.lines.length > 0);
    watcher.add(999_998);
    // A second shell would have failed as fast.
    await new Promise((resolve) => spawn('/no/such/shell').on('error', resolve));
    watcher.close();
    expect(logger.lines).toHaveLength(1);
    expect(logger.lines[0]?.message).toMatch(/^no shell watches the stdio servers/);
  });
});
