import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../../src/config/index.js';

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-config-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let files = 0;
function problems(text: string, env: NodeJS.ProcessEnv = {}): readonly string[] {
  const path = join(folder, `${++files}.yaml`);
  writeFileSync(path, text);
  try {
    loadConfig(path, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split('\n').map((line) => line.replace(path, 'FILE'));
  }
  return [];
}

describe('a configuration that would keep the gateway busy', () => {
  it.each([
    ['brackets in brackets', `servers: ${'['.repeat(400_000)}`, 'FILE:1:110: nested too deeply'],
    ['lists in lists', `${'- '.repeat(400_000)}x`, 'FILE:1:201: nested too deeply'],
    ['tags', `a: ${'! '.repeat(2000)}`, 'FILE:1:2004: more than 1000 anchors, aliases and tags'],
    [
      'anchors and aliases',
      `servers: []\nx:\n${Array.from({ length: 30_000 }, (_, i) => `- &a${i} x\n- *a${i}\n`).join('')}`,
      'FILE:1003:3: more than 1000 anchors, aliases and tags',
    ],
    [
      'words',
      `servers: []\nx: {${Array.from({ length: 120_000 }, (_, i) => `k${i}`).join(',')}}`,
      /^FILE:2:\d+: more than 200000 tokens$/,
    ],
  ])('%s: one error with its place', (_, text, expected) => {
    const [first, ...more] = problems(text);
    expect(first).toMatch(expected);
    expect(more).toEqual([]);
  });

  it('a key that comes twice is told as before, in a large mapping too', () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}: 1\n`).join('');
    expect(problems(`servers: []\n${keys}k5: 2\n`)).toEqual([
      'FILE:20002:1: duplicate key k5 (keep one of them)',
    ]);
  });

  it('defaults in defaults', () => {
    const nested = `${'${A:-'.repeat(100_000)}x${'}'.repeat(100_000)}`;
    expect(problems(valueIs(nested)).join()).toContain("'${' nested deeper than 16");
    expect(problems(valueIs('${A:-${B:-${C:-http://x}}}'))).toEqual([]);
  });

  it('a value that grows, and one of many references', () => {
    const env = { A: 'x'.repeat(100_000) };
    expect(problems(valueIs('${A}'.repeat(999)), env).join()).toContain(
      'a value of more than 1048576 characters',
    );
    expect(problems(valueIs('${A}'.repeat(2000)), { A: 'x' }).join()).toContain(
      'more than 1000 references in one value',
    );
  });

  it('what is no regular file is not waited for', () => {
    const fifo = join(folder, 'fifo');
    execFileSync('sh', ['-c', 'mkfifo "$0"', fifo]);
    mkdirSync(join(folder, 'folder'));
    writeFileSync(join(folder, 'large'), 'x'.repeat(65_537));
    expect(loadError(fifo)).toContain('not a regular file');
    expect(loadError(join(folder, 'folder'))).toContain('is a directory');
    for (const path of [fifo, '/dev/zero']) expect(secretError(path)).toContain('not a regular file');
    expect(secretError(join(folder, 'folder'))).toContain('is a directory');
    expect(secretError(join(folder, 'large'))).toContain('larger than 65536 bytes');
  });
});

function loadError(path: string): string {
  try {
    loadConfig(path, {});
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

/** In a key of the file as a whole: in a server's key that server fails alone. */
function secretError(path: string): string {
  return problems(valueIs(`\${file:${path}}`)).join();
}

function valueIs(text: string): string {
  return `http: {public_url: "${text}"}\nservers: []\n`;
}
