/** Secrets in files of their own: `secrets/` beside the config, which refers to them by `${file:secrets/NAME}`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readText, writeText } from './files.js';

const FOLDER = 'secrets';

export class SecretFiles {
  readonly #folder: string;
  readonly #kept = new Map<string, string>();

  /** `config`: the folder of the config. */
  constructor(config: string) {
    this.#folder = join(config, FOLDER);
  }

  get count(): number {
    return this.#kept.size;
  }

  /** Chooses a file for a secret, and returns the reference to it. Nothing is written yet. */
  keep(name: string, value: string): string {
    const plain = name.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '') || 'secret';
    // The config drops one line break at the end.
    const content = `${value}\n`;
    for (let index = 1; ; index++) {
      const file = index === 1 ? plain : `${plain}-${index}`;
      const path = join(this.#folder, file);
      const before = this.#kept.get(file) ?? (existsSync(path) ? readText(path) : undefined);
      if (before !== undefined && before !== content) continue;
      if (before === undefined) this.#kept.set(file, content);
      return `\${file:${FOLDER}/${file}}`;
    }
  }

  /** Writes all of them: files for their owner alone, in a folder for him alone. Throws a Refusal. */
  write(): void {
    for (const [file, content] of this.#kept)
      writeText(join(this.#folder, file), content, { mode: 0o600, folderMode: 0o700 });
  }
}
