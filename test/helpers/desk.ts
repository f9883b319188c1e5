/** Where programs of a person run that open a browser. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { tempDir } from './cli.js';
import { browse } from './login.js';
import { until } from './wait.js';

/** A home folder, and a program there that clients start as a browser: it notes the URL. */
export class Desk {
  readonly home: string;
  #seen = 0;

  private constructor(home: string) {
    this.home = home;
  }

  static async create(): Promise<Desk> {
    const desk = new Desk(await tempDir());
    const script = `#!/bin/sh\nprintf '%s\\n' "$1" >>'${desk.#opened}'\n`;
    for (const name of ['xdg-open', 'open']) await writeFile(join(desk.home, name), script, { mode: 0o755 });
    await writeFile(desk.#opened, '');
    return desk;
  }

  get #opened(): string {
    return join(this.home, 'opened');
  }

  get env(): Record<string, string> {
    return {
      HOME: this.home,
      PATH: `${this.home}:${process.env['PATH'] ?? ''}`,
      BROWSER: join(this.home, 'xdg-open'),
    };
  }

  async opened(): Promise<URL[]> {
    const lines = (await readFile(this.#opened, 'utf8')).split('\n').slice(0, -1);
    return lines.map((line) => new URL(line));
  }

  /** Waits for the next URL. */
  async next(): Promise<URL> {
    const at = await until(async () => (await this.opened())[this.#seen], 'a browser');
    this.#seen += 1;
    return at;
  }

  /** Waits for the next URL, logs in there, and goes back to the client. */
  async login(): Promise<URL> {
    const at = await this.next();
    const back = await browse(at, at.searchParams.get('redirect_uri') as string);
    expect((await fetch(back)).status).toBe(200);
    return at;
  }
}
