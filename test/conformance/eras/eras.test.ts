/**
 * Servers of one era each behind one gateway, and every client of the official SDKs in front of it: what becomes of each
 * message, row by row. Makes docs/eras.md with UPDATE_DOCS=1, else compares it with what was seen.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';
import './rows/calls.js';
import './rows/lists.js';
import './rows/progress.js';
import './rows/questions.js';
import './rows/capabilities.js';
import './rows/cancel.js';
import './rows/changes.js';
import './rows/subscriptions.js';
import './rows/ping.js';
import './rows/tasks.js';
import { COLUMNS, table } from './stage.js';

const DOC = fileURLToPath(new URL('../../../docs/eras.md', import.meta.url));

test('docs/eras.md says what was seen', async () => {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  const rows = [...table].map(([title, cells]) => [
    title,
    ...COLUMNS.map((column) => {
      const { tests, passed } = cells.get(column) ?? { tests: 0, passed: 0 };
      return tests > 0 && passed === tests ? 'passes' : '**fails**';
    }),
  ]);
  const head = COLUMNS.map((column) => column.replace(/^(.*)-(.*)$/, '$1 client, $2 server'));
  const plain =
    '# Where the eras meet\n\n' +
    'MCP has two eras: the revisions up to 2025-11-25, with a handshake and sessions, are the legacy one; from 2026-07-28 on it\n' +
    'is the modern one, without. The gateway stands between servers that speak one era alone, over HTTP and over stdio, and the\n' +
    'clients of the official SDKs: SDK v1, and SDK v2 pinned to each revision. A cell passes when every test of\n' +
    '`test/conformance/eras/` passed for it. Made by `UPDATE_DOCS=1 npx vitest run test/conformance/eras`; every test run compares it.\n\n' +
    line(['what becomes of', ...head]) +
    line(['---', ...head.map(() => '---')]) +
    rows.map(line).join('');
  const made = await format(plain, { ...(await resolveConfig(DOC)), parser: 'markdown' });
  const written = (): string => (existsSync(DOC) ? readFileSync(DOC, 'utf8') : '');
  if (process.env['UPDATE_DOCS'] === '1' && written() !== made) writeFileSync(DOC, made);
  expect(written()).toBe(made);
  expect(made).not.toContain('**fails**');
});
