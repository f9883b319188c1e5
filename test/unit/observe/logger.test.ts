import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createLogger } from '../../../src/observe/logger.js';
import type { LoggerSettings, LoggerSurroundings } from '../../../src/observe/logger.js';
import { openSink } from '../../../src/observe/sink.js';
import { until } from '../../helpers/wait.js';

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

function capture(settings: Partial<LoggerSettings> = {}, surroundings: LoggerSurroundings = {}) {
  const lines: string[] = [];
  const logger = createLogger(
    { level: 'info', format: 'pretty', destination: 'stdout', ...settings },
    {
      terminal: false,
      env: {},
      ...surroundings,
      sink: { write: (line) => lines.push(line), flush: () => Promise.resolve() },
    },
  );
  return { logger, lines };
}

describe('the log', () => {
  it('is one JSON object a line for machines', () => {
    const { logger, lines } = capture({ format: 'json' });
    logger.info('upstream is up', { server: 'x', tools: 3, forced: true, session: undefined });
    logger.error('plain');
    const first = JSON.parse(lines[0] as string) as Record<string, unknown>;
    expect(Object.keys(first)).toEqual(['level', 'time', 'server', 'tools', 'forced', 'msg']);
    expect(first).toMatchObject({
      level: 'info',
      server: 'x',
      tools: 3,
      forced: true,
      msg: 'upstream is up',
    });
    expect(first['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(JSON.parse(lines[1] as string)).toMatchObject({ level: 'error', msg: 'plain' });
  });

  it('is one short line an event for people', () => {
    const { logger, lines } = capture();
    logger.warn('upstream is down', {
      server: 'x',
      reason: 'connection refused',
      after_ms: 12,
      tool: undefined,
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}upstream is down {2}server=x reason="connection refused" after_ms=12\n$/,
    );
  });

  it('is for people on a terminal and for machines elsewhere, unless told otherwise', () => {
    const isJson = (format: 'auto' | 'pretty' | 'json', terminal: boolean) => {
      const { logger, lines } = capture({ format }, { terminal });
      logger.info('x');
      return lines[0]?.startsWith('{');
    };
    expect(isJson('auto', true)).toBe(false);
    expect(isJson('auto', false)).toBe(true);
    expect(isJson('json', true)).toBe(true);
    expect(isJson('pretty', false)).toBe(false);
  });

  it('has colours only on a terminal that wants them', () => {
    const coloured = (terminal: boolean, env: Record<string, string>) => {
      const { logger, lines } = capture({}, { terminal, env });
      logger.info('x', { key: 'v' });
      return (lines[0] as string).includes('\u001b[');
    };
    expect(coloured(true, { TERM: 'xterm' })).toBe(true);
    expect(coloured(true, { NO_COLOR: '1' })).toBe(false);
    expect(coloured(true, { TERM: 'dumb' })).toBe(false);
    expect(coloured(false, {})).toBe(false);
  });

  it('writes what its level asks for and says whether debug is on', () => {
    const written = (level: LoggerSettings['level']) => {
      const { logger, lines } = capture({ level });
      logger.debug('d');
      logger.info('i');
      logger.warn('w');
      logger.error('e');
      return [logger.debugEnabled, lines.length];
    };
    expect(written('trace')).toEqual([true, 4]);
    expect(written('debug')).toEqual([true, 4]);
    expect(written('info')).toEqual([false, 3]);
    expect(written('warn')).toEqual([false, 2]);
    expect(written('error')).toEqual([false, 1]);
    expect(written('off')).toEqual([false, 0]);
  });

  it('lets no value forge a line or command the terminal', () => {
    const evil = 'a\n12:00:00.000 error fake\u001b[2J\u009b31m\u2028\u202e\u0000 "x"';
    for (const format of ['pretty', 'json'] as const) {
      const { logger, lines } = capture({ format });
      logger.info(evil, { value: evil });
      expect(lines).toHaveLength(1);
      expect(lines[0]?.slice(0, -1)).not.toMatch(/[\n\u001b\u0000]/);
      if (format === 'pretty') {
        expect(lines[0]?.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
        expect(lines[0]).toContain(
          'value="a\\n12:00:00.000 error fake\\u001b[2J\\u009b31m\\u2028\\u202e\\u0000 \\"x\\""',
        );
      } else {
        expect(JSON.parse(lines[0] as string)).toMatchObject({ msg: evil, value: evil });
      }
    }
  });
});

describe('what the log is written to', () => {
  it('gets every line in order', async () => {
    const file = join(folder, 'log');
    const fd = openSync(file, 'w');
    const sink = openSink(fd, () => {});
    let expected = '';
    for (let i = 0; i < 5000; i++) {
      const line = `line ${i} \u00e4\u6c34\n`;
      expected += line;
      sink.write(line);
    }
    await sink.flush();
    expect(readFileSync(file, 'utf8')).toBe(expected);
    await sink.flush();
    closeSync(fd);
  });

  it('loses lines, and says how many, rather than block when nobody reads', async () => {
    const reader = spawn(process.execPath, [
      '-e',
      'process.on("SIGUSR2", () => process.stdin.on("data", (c) => process.stdout.write(c))); setInterval(() => {}, 1000); console.error("up")',
    ]);
    const { fd } = (reader.stdin as unknown as { _handle: { fd: number } })._handle;
    let dropped = 0;
    const sink = openSink(fd, (lines) => {
      dropped = lines;
      sink.write(`dropped ${lines}\n`);
    });
    let read = '';
    reader.stdout.on('data', (chunk) => (read += String(chunk)));
    await once(reader.stderr, 'data');
    const line = `${'x'.repeat(999)}\n`;
    // To block here would be to block for ever: the reader begins after it.
    for (let i = 0; i < 5000; i++) sink.write(line);
    reader.kill('SIGUSR2');
    await until(() => read.endsWith(`dropped ${dropped}\n`) && dropped > 0);
    await sink.flush();
    const got = (read.length - `dropped ${dropped}\n`.length) / 1000;
    expect(got + dropped).toBe(5000);
    expect(got).toBeGreaterThan(1000);
    expect(got).toBeLessThan(1200);
    reader.kill();
  });

  it('does not hold an exit when nobody reads, nor fail when nobody can', async () => {
    const reader = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const { fd } = (reader.stdin as unknown as { _handle: { fd: number } })._handle;
    const sink = openSink(fd, () => {});
    for (let i = 0; i < 1000; i++) sink.write(`${'x'.repeat(999)}\n`);
    // It comes to an end, though nobody reads.
    await sink.flush();
    reader.kill();
    await until(async () => {
      sink.write('more\n');
      await sink.flush();
      return true;
    });
  });
});
