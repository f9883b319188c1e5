/** Servers of clients become servers of the gateway, and the gateway an entry of clients: in an empty home, by the built command. */
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { lstat, rename, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runCli } from '../helpers/cli.js';
import { emptyHome, PLACES, type Home } from '../helpers/home.js';
import { onTerminal } from '../helpers/pty.js';
import { scriptedStdio } from '../helpers/upstreams.js';

const CONFIG = '.config/mcpstead/config.yaml';
const ALL = Object.keys(PLACES);
const URL_OPTION = ['--url', 'http://127.0.0.1:8766/mcp'] as const;

/** Whatever must not be readable outside of secrets/. */
const SECRETS = [
  'ghp_0123456789abcdefghijABCDEFGHIJ012345',
  'notes-secret-1234567890',
  'hunter22',
  'abcdef0123456789',
  'zed-secret-abcdef123456',
  'ctx7sk-1111-2222-3333-444455556666',
  'hf_abcdefghijklmnopqrstuvwxyz',
];

function filesOf(home: Home): readonly string[] {
  return readdirSync(home.path, { recursive: true }).map(String).sort();
}

/** A client whose one server leaves a trace when it starts. */
async function withTrace(home: Home): Promise<string> {
  const trace = home.at('started');
  const { command, args } = scriptedStdio('real', { record: trace });
  await home.write('.cursor/mcp.json', { mcpServers: { real: { command, args } } });
  return trace;
}

describe('mcpstead init', () => {
  it('finds twelve clients, takes each server once, and keeps no secret in the config', async () => {
    const home = await emptyHome();
    await home.fill(...ALL);
    const { status, stdout, stderr } = await home.run(['init', '--yes']);
    expect(status).toBe(0);
    const [found, take, wrote] = stdout.split('\n');
    expect(found).toBe(
      'found    claude-desktop 3 servers, claude-code 3, cursor 3 (1 the same), vscode 2, windsurf 2, zed 2, gemini 3, codex 2, cline 3, continue 2, lmstudio 1, goose 2',
    );
    expect(take).toContain('[x] files [x] remote-notes');
    expect(take).toContain('[x] files-cursor');
    expect(take?.match(/\] github/g)).toHaveLength(1);
    expect(take).toContain('[ ] figma (asks for ${input:figma})');
    expect(take).toContain('[ ] local (asks for ${workspaceFolder})');
    expect(take).toContain('[ ] jira (asks for ${keyring:JIRA_TOKEN})');
    expect(wrote).toBe(
      'wrote    ~/.config/mcpstead/config.yaml: 24 servers; 7 secrets moved to secrets/ (0600)',
    );
    expect(stdout).toMatch(
      /github: command 'npx' is not in PATH \(.*config\.yaml:\d+\): install it, or write its full path/,
    );
    expect(stdout).toContain(
      'next     mcpstead service install     mcpstead install claude-desktop claude-code cursor',
    );
    const config = home.read(CONFIG);
    expect(config.startsWith('# yaml-language-server: $schema=./config.schema.json\n')).toBe(true);
    expect(JSON.parse(home.read('.config/mcpstead/config.schema.json'))).toMatchObject({ type: 'object' });
    for (const secret of SECRETS) {
      expect(config).not.toContain(secret);
      expect(stdout + stderr).not.toContain(secret);
    }
    const folder = home.at('.config/mcpstead/secrets');
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const names = readdirSync(folder);
    for (const name of names) expect(statSync(`${folder}/${name}`).mode & 0o777).toBe(0o600);
    const kept = names.map((name) => readFileSync(`${folder}/${name}`, 'utf8')).join('');
    for (const secret of SECRETS) expect(kept).toContain(secret);
    // Again: all of them are there already.
    const again = await home.run(['init', '--yes']);
    expect(again.stdout).toContain('wrote    nothing');
    expect(home.read(CONFIG)).toBe(config);
  });

  it('runs and writes nothing without consent, and nothing with --dry-run', async () => {
    const home = await emptyHome();
    const trace = await withTrace(home);
    const before = filesOf(home);
    const refused = await home.run(['init']);
    expect(refused.status).toBe(5);
    expect(refused.stderr).toContain('that needs consent');
    const dry = await home.run(['init', '--dry-run']);
    expect(dry.status).toBe(0);
    expect(dry.stdout).toContain('  - name: real');
    expect(filesOf(home)).toEqual(before);
    const done = await home.run(['init', '--yes', '--json']);
    expect(done.status).toBe(0);
    expect(JSON.parse(done.stdout)).toMatchObject({
      taken: [{ name: 'real', client: 'cursor' }],
      checked: [{ name: 'real', up: true }],
    });
    expect(readFileSync(trace, 'utf8')).toContain('initialize');
  });

  it('asks at a terminal, and takes what is chosen', async () => {
    const home = await emptyHome();
    const trace = await withTrace(home);
    await home.fill('vscode');
    const terminal = onTerminal(['init'], home.env);
    await terminal.sees('Which servers does the gateway take over?');
    // Down to the second, which asks for an input, and Enter.
    terminal.type('\u001b[B \r');
    await terminal.sees('${input:figma} of figma');
    terminal.type('typed-secret\r');
    await terminal.sees('start these servers once to check them?');
    expect(home.has(CONFIG)).toBe(false);
    expect(home.has('started')).toBe(false);
    terminal.type('y');
    expect(await terminal.exit()).toBe(0);
    expect(terminal.shown).toContain('runs     real:');
    expect(terminal.shown).not.toContain('typed-secret');
    expect(home.read(CONFIG)).toContain('X-Figma-Token: ${file:secrets/figma-X-Figma-Token}');
    expect(home.read('.config/mcpstead/secrets/figma-X-Figma-Token')).toBe('typed-secret\n');
    expect(readFileSync(trace, 'utf8')).toContain('initialize');
  });

  it('leaves everything whole on Ctrl-C', async () => {
    const home = await emptyHome();
    await withTrace(home);
    const before = filesOf(home);
    const first = onTerminal(['init'], home.env);
    await first.sees('Which servers does the gateway take over?');
    first.type('\u0003');
    expect(await first.exit()).toBe(130);
    const second = onTerminal(['init'], home.env);
    await second.sees('Which servers does the gateway take over?');
    second.type('\r');
    await second.sees('start these servers once to check them?');
    second.type('\u0003');
    expect(await second.exit()).toBe(130);
    expect(filesOf(home)).toEqual(before);
  });

  it('names a broken file with its line and leaves it alone', async () => {
    const home = await emptyHome();
    const path = await home.write(
      '.cursor/mcp.json',
      '{\n  "mcpServers": {\n    "a": { "command": }\n  }\n}\n',
    );
    await home.fill('lmstudio');
    const { status, stdout, stderr } = await home.run(['init', '--yes']);
    expect(status).toBe(0);
    expect(stderr).toContain(`cursor is left alone: ${path}:3:23: not valid JSON`);
    expect(stdout).toContain('[x] hf');
    const install = await home.run(['install', 'cursor', '--yes', ...URL_OPTION]);
    expect(install.status).toBe(1);
    expect(install.stderr).toContain(`${path}:3:23`);
    expect(home.read('.cursor/mcp.json')).toContain('"command": }');
  });
});

describe('mcpstead import', () => {
  it('turns the references of other files into its own, and names unknown members', async () => {
    const home = await emptyHome();
    await home.write('servers.json', {
      mcpServers: {
        a: {
          command: 'run',
          args: ['--as', '${env:WHO}'],
          env: { ONE: '$ONE', TWO: '${env:TWO}', THREE: '${{ secrets.THREE }}', FOUR: '${input:four}' },
        },
        b: { url: 'https://b.example.com/mcp', headers: { 'X-Key': '${{ secrets.B }}' }, color: 'red' },
        c: { command: 'other' },
      },
    });
    const { status, stderr } = await home.run(['import', 'servers.json', '--only', 'a,b', '--yes']);
    expect(status).toBe(0);
    expect(stderr).toContain('b: not taken over from servers: color');
    expect(stderr).toContain('a of servers is left out: asks for ${input:four}');
    expect(home.read(CONFIG)).toContain('X-Key: ${B}');
    const terminal = onTerminal(['import', home.at('servers.json'), '--only', 'a'], home.env);
    await terminal.sees('does the gateway take over?');
    terminal.type(' \r');
    await terminal.sees('${input:four} of a');
    terminal.type('4\r');
    await terminal.sees('Add a to');
    terminal.type('y');
    expect(await terminal.exit()).toBe(0);
    const config = home.read(CONFIG);
    expect(config).toContain('- ${WHO}');
    for (const name of ['ONE', 'TWO', 'THREE']) expect(config).toContain(`${name}: \${${name}}`);
    expect(config).not.toContain('name: c');
    const missing = await home.run(['import', 'servers.json', '--only', 'x', '--yes']);
    expect([missing.status, missing.stderr]).toEqual([
      1,
      "servers.json has no server 'x'; it has: a, b, c\n",
    ]);
  });
});

describe('mcpstead install', () => {
  it('shows a diff, keeps a backup, and uninstall brings back the same bytes', async () => {
    const home = await emptyHome();
    await home.fill(...ALL);
    const before = ALL.map((client) => home.read(PLACES[client]?.[1] ?? ''));
    const refused = await home.run(['install', ...ALL, ...URL_OPTION]);
    expect(refused.status).toBe(5);
    expect(refused.stdout).toMatch(/^ {2}\+ .*"mcpstead": \{/m);
    expect(ALL.map((client) => home.read(PLACES[client]?.[1] ?? ''))).toEqual(before);
    const { status, stdout, stderr } = await home.run(['install', ...ALL, '--yes', ...URL_OPTION]);
    expect([status, stderr]).toEqual([0, '']);
    for (const secret of SECRETS) expect(stdout).not.toContain(secret);
    ALL.forEach((client, index) => {
      const text = home.read(PLACES[client]?.[1] ?? '');
      expect(text).not.toBe(before[index]);
      expect(text).toContain('http://127.0.0.1:8766/mcp');
    });
    const backups = home.at('.local/state/mcpstead/backups');
    expect(statSync(backups).mode & 0o777).toBe(0o700);
    const kept = readdirSync(backups);
    for (const client of ALL) expect(kept.filter((name) => name.startsWith(`${client}-2`))).toHaveLength(1);
    for (const name of kept) expect(statSync(`${backups}/${name}`).mode & 0o777).toBe(0o600);
    // Twice changes nothing more.
    const again = await home.run(['install', ...ALL, '--yes', ...URL_OPTION]);
    expect(again.stdout.match(/has the gateway already/g)).toHaveLength(12);
    const back = await home.run(['uninstall', ...ALL, '--yes']);
    expect([back.status, back.stderr]).toEqual([0, '']);
    expect(ALL.map((client) => home.read(PLACES[client]?.[1] ?? ''))).toEqual(before);
    const none = await home.run(['uninstall', 'cursor', '--yes']);
    expect([none.status, none.stdout]).toEqual([0, 'cursor does not have the gateway\n']);
  });

  it('makes files that are not there, and uninstall removes them', async () => {
    const home = await emptyHome();
    const { status } = await home.run(['install', ...ALL, '--yes', ...URL_OPTION]);
    expect(status).toBe(0);
    expect(statSync(home.at('.cursor/mcp.json')).mode & 0o777).toBe(0o644);
    await home.run(['uninstall', ...ALL, '--yes']);
    for (const client of ALL.filter((name) => name !== 'cline'))
      expect(home.has(PLACES[client]?.[1] ?? '')).toBe(false);
    expect(home.has('.cline/data/settings/cline_mcp_settings.json')).toBe(false);
  });

  it('leaves what somebody has edited since', async () => {
    const home = await emptyHome();
    await home.fill('cursor', 'codex', 'continue');
    await home.run(['init', '--yes']);
    const clients = ['cursor', 'codex', 'continue'];
    expect((await home.run(['install', ...clients, '--replace', '--yes', ...URL_OPTION])).status).toBe(0);
    const edits = [
      ['.cursor/mcp.json', '\n// mine\n'],
      ['.codex/config.toml', '\n[mine]\nx = 1\n'],
      ['.continue/config.yaml', '# mine\nrules: []\n'],
    ] as const;
    for (const [path, more] of edits) {
      expect(home.read(path)).not.toMatch(/server-github|context7-mcp|mcp-sqlite/);
      await writeFile(home.at(path), home.read(path) + more);
    }
    const { status, stdout } = await home.run(['uninstall', ...clients, '--yes']);
    expect(status).toBe(0);
    expect(stdout).toContain('later edits of its file stay');
    for (const [path, more] of edits) {
      const text = home.read(path);
      expect(text).toContain(more.trim());
      expect(text).not.toContain('8766');
      // What was taken out is back.
      expect(text).toMatch(/server-github|context7-mcp|mcp-sqlite/);
    }
  });

  it('--replace takes out what the gateway has, and nothing else', async () => {
    const home = await emptyHome();
    await home.fill('cursor', 'windsurf');
    expect((await home.run(['import', 'cursor', '--only', 'github,files', '--yes'])).status).toBe(0);
    expect(
      (await home.run(['install', 'cursor', 'windsurf', '--replace', '--yes', ...URL_OPTION])).status,
    ).toBe(0);
    const cursor = JSON.parse(home.read('.cursor/mcp.json')) as { mcpServers: object };
    expect(Object.keys(cursor.mcpServers)).toEqual(['linear', 'mcpstead']);
    const windsurf = JSON.parse(home.read(PLACES['windsurf']?.[1] ?? '')) as { mcpServers: object };
    expect(Object.keys(windsurf.mcpServers)).toEqual(['search', 'time', 'mcpstead']);
    const doctor = await home.run(['doctor']);
    expect(doctor.stdout).not.toContain('directly and through the gateway');
  });

  it('keeps the mode of a file, and writes through a symbolic link', async () => {
    const home = await emptyHome();
    await home.fill('cursor');
    await rename(home.at('.cursor/mcp.json'), home.at('dotfiles.json'));
    symlinkSync('../dotfiles.json', home.at('.cursor/mcp.json'));
    chmodSync(home.at('dotfiles.json'), 0o640);
    expect((await home.run(['install', 'cursor', '--yes', ...URL_OPTION])).status).toBe(0);
    expect((await lstat(home.at('.cursor/mcp.json'))).isSymbolicLink()).toBe(true);
    expect(home.read('dotfiles.json')).toContain('8766');
    expect(statSync(home.at('dotfiles.json')).mode & 0o777).toBe(0o640);
  });

  it('asks at a terminal, and Ctrl-C leaves the files whole', async () => {
    const home = await emptyHome();
    await home.fill('cursor', 'vscode');
    const before = [home.read('.cursor/mcp.json'), home.read('.config/Code/User/mcp.json')];
    const first = onTerminal(['install', 'cursor', 'vscode', ...URL_OPTION], home.env);
    await first.sees('Write this into cursor, vscode?');
    expect(first.shown).toContain('+     "mcpstead": {');
    first.type('\u0003');
    expect(await first.exit()).toBe(130);
    expect([home.read('.cursor/mcp.json'), home.read('.config/Code/User/mcp.json')]).toEqual(before);
    expect(home.has('.local/state/mcpstead/backups')).toBe(false);
    const second = onTerminal(['install', 'cursor', ...URL_OPTION], home.env);
    await second.sees('Write this into cursor?');
    second.type('y');
    expect(await second.exit()).toBe(0);
    expect(home.read('.cursor/mcp.json')).toContain('8766');
  });

  it('makes a key for each client under bearer, in its file only where it knows no variables', async () => {
    const home = await emptyHome();
    await home.write(CONFIG, 'mcp: {auth: {mode: bearer, keys_file: keys.yaml}}\nservers: []\n');
    await home.fill('cursor', 'zed', 'claude-desktop');
    const { status, stdout, stderr } = await home.run([
      'install',
      'cursor',
      'zed',
      'claude-desktop',
      '--yes',
      ...URL_OPTION,
    ]);
    expect(status).toBe(0);
    expect(home.read('.config/mcpstead/keys.yaml').match(/name: (cursor|zed|claude-desktop)/g)).toHaveLength(
      3,
    );
    expect(home.read('.cursor/mcp.json')).toContain('"Bearer ${env:MCPSTEAD_KEY_CURSOR}"');
    expect(stdout).toMatch(/^MCPSTEAD_KEY_CURSOR=mcps_[0-9A-Za-z]{36}$/m);
    const [key = ''] = /mcps_[0-9A-Za-z]{36}/.exec(home.read('.config/zed/settings.json')) ?? [];
    expect(key).not.toBe('');
    expect(stdout + stderr).not.toContain(key);
    expect(stderr).toContain('warning: zed cannot refer to a variable: the key is in its file');
    expect(home.read(PLACES['claude-desktop']?.[1] ?? '')).toMatch(/"MCPSTEAD_BEARER_TOKEN": "mcps_/);
  });

  it('has Claude Code write its own file, if it is there', async () => {
    const home = await emptyHome();
    await home.fill('claude-code');
    const before = home.read('.claude.json');
    const script = `#!${process.execPath}\nconst fs = require('fs'); const [, , ...args] = process.argv;\nfs.writeFileSync(process.env.HOME + '/argv', JSON.stringify(args));\nconst path = process.env.HOME + '/.claude.json'; const value = JSON.parse(fs.readFileSync(path));\nvalue.mcpServers[args[4]] = JSON.parse(args[5]); fs.writeFileSync(path, JSON.stringify(value));\n`;
    chmodSync(await home.write('bin/claude', script), 0o755);
    const { status } = await home.run(['install', 'claude-code', '--yes', ...URL_OPTION], {
      PATH: home.at('bin'),
    });
    expect(status).toBe(0);
    expect(JSON.parse(home.read('argv'))).toEqual([
      'mcp',
      'add-json',
      '-s',
      'user',
      'mcpstead',
      '{"type":"http","url":"http://127.0.0.1:8766/mcp"}',
    ]);
    await home.run(['uninstall', 'claude-code', '--yes']);
    expect(home.read('.claude.json')).toBe(before);
  });
});

describe('mcpstead doctor', () => {
  it('finds a client that leads to no gateway, and servers that a client has twice', async () => {
    const home = await emptyHome();
    const { command, args } = scriptedStdio('real');
    await home.write('.cursor/mcp.json', { mcpServers: { real: { command, args } } });
    const config = await home.write(
      CONFIG,
      `port: 0\nservers:\n  - name: real\n    command: ${command}\n    args: ${JSON.stringify(args)}\n`,
    );
    const gateway = runCli(['--config', config], { env: home.env });
    const base = await gateway.listening();
    await home.run(['install', 'cursor', '--yes', '--url', `${base}/mcp`]);
    const dead = 'http://127.0.0.1:1/mcp';
    await home.run(['install', 'windsurf', '--yes', '--url', dead]);
    await home.write(CONFIG, home.read(CONFIG).replace('port: 0', `port: ${new URL(base).port}`));
    const { status, stdout } = await home.run(['doctor']);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      new RegExp(`problem +windsurf +its entry leads to ${dead}, where no gateway of yours runs`),
    );
    expect(stdout).toMatch(
      /problem +cursor +has real directly and through the gateway: mcpstead install cursor --replace/,
    );
    expect(stdout).not.toMatch(/cursor +its entry leads/);
  });
});
