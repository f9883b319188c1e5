import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli, tempDir } from './cli.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/clients/', import.meta.url));

/** Where clients on Linux have the files of test/fixtures/clients. */
export const PLACES: Readonly<Record<string, readonly [fixture: string, path: string]>> = {
  'claude-desktop': ['claude_desktop_config.json', '.config/Claude/claude_desktop_config.json'],
  'claude-code': ['claude.json', '.claude.json'],
  cursor: ['cursor.json', '.cursor/mcp.json'],
  vscode: ['vscode.json', '.config/Code/User/mcp.json'],
  windsurf: ['windsurf.json', '.codeium/windsurf/mcp_config.json'],
  zed: ['zed.json', '.config/zed/settings.json'],
  gemini: ['gemini.json', '.gemini/settings.json'],
  codex: ['codex.toml', '.codex/config.toml'],
  cline: ['cline.json', '.cline/mcp.json'],
  continue: ['continue.yaml', '.continue/config.yaml'],
  lmstudio: ['lmstudio.json', '.lmstudio/mcp.json'],
  goose: ['goose.yaml', '.config/goose/config.yaml'],
};

export interface Ran {
  readonly status: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

/** The folder of a user without any files. */
export class Home {
  readonly path: string;
  /** What commands get; without programs in PATH. */
  readonly env: NodeJS.ProcessEnv;

  constructor(path: string) {
    this.path = path;
    this.env = { HOME: path, PATH: '/nowhere', XDG_CONFIG_HOME: undefined, XDG_STATE_HOME: undefined };
  }

  async run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
    const run = runCli(args, { env: { ...this.env, ...env }, cwd: this.path });
    const status = await run.exit();
    return { status, stdout: run.stdout, stderr: run.stderr };
  }

  at(path: string): string {
    return join(this.path, path);
  }

  async write(path: string, text: string | object): Promise<string> {
    const whole = this.at(path);
    await mkdir(dirname(whole), { recursive: true });
    await writeFile(whole, typeof text === 'string' ? text : JSON.stringify(text, null, 2));
    return whole;
  }

  read(path: string): string {
    return readFileSync(this.at(path), 'utf8');
  }

  has(path: string): boolean {
    return existsSync(this.at(path));
  }

  /** Puts the files of clients where they have them. */
  async fill(...clients: readonly string[]): Promise<void> {
    for (const client of clients) {
      const [fixture = '', path = ''] = PLACES[client] ?? [];
      await mkdir(dirname(this.at(path)), { recursive: true });
      await copyFile(join(FIXTURES, fixture), this.at(path));
    }
  }
}

export async function emptyHome(): Promise<Home> {
  return new Home(await tempDir());
}
