import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from '../../helpers/markdown.js';
import { scratchFolder } from '../../helpers/state.js';

const run = promisify(execFile);
const ANALYZE = '/usr/bin/systemd-analyze';
const text = (name: string): string => readFileSync(join(root, 'packaging', name), 'utf8');
const settings = (name: string): string[] => text(name).match(/^[A-Z]\w+=.*$/gm) ?? [];

it('the template differs from the unit in its name, its user and the state key', () => {
  const one = settings('mcpstead.service');
  const many = settings('mcpstead@.service');
  expect(one.filter((line) => !many.includes(line))).toEqual(['Description=mcpstead, an MCP gateway']);
  expect(many.filter((line) => !one.includes(line))).toEqual([
    'Description=mcpstead, an MCP gateway, process %i',
    'Environment=INSTANCE=%i',
    'LoadCredential=state-key:/etc/mcpstead/state-key',
    'Environment=MCPSTEAD_STATE_KEY_FILE=%d/state-key',
    // SO_REUSEPORT shares a port among the processes of one user.
    'User=mcpstead',
  ]);
});

it('the template names what several processes need', () => {
  const header = text('mcpstead@.service');
  for (const word of ['net.ipv4.tcp_migrate_req=1', 'reuse_port: true', 'fleet:', 'state-key'])
    expect(header).toContain(word);
});

it.each(['mcpstead.service', 'mcpstead@.service'])(
  'systemd accepts %s, where it is installed',
  async (name) => {
    if (!existsSync(ANALYZE)) return;
    const path = join(scratchFolder(), name.replace('@', '@1'));
    // It must name a program that exists.
    writeFileSync(path, text(name).replace('/usr/local/bin/mcpstead', process.execPath));
    const { stdout, stderr } = await run(ANALYZE, ['verify', '--man=no', '--recursive-errors=no', path]);
    expect(`${stdout}${stderr}`).toBe('');
  },
);
