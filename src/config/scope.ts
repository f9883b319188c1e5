import { resolve } from 'node:path';
import type { Entry } from './client-files.js';
import { isPlain } from './environment.js';
import { expand, type Values } from './expand.js';
import type { Findings, Path } from './problems.js';
import { readBounded } from './read.js';

const CERTIFICATE_BYTES = 1 << 20;

/** Expands the values of one server, and collects what is missing for it. */
export class Scope {
  readonly lacks: { readonly key: Path; readonly why: string; readonly text: string }[] = [];
  readonly values: Values;
  readonly findings: Findings;
  readonly #path: Path;
  readonly #filled = new Set<string>();

  constructor(entry: Entry, values: Values, findings: Findings) {
    this.values = {
      ...values,
      filled: (value, variable = '') => {
        if (!isPlain(variable)) this.#filled.add(value);
      },
    };
    this.findings = findings;
    this.#path = entry.path;
  }

  /** The values that replaced `${}`. */
  get filled(): string[] {
    return [...this.#filled].sort();
  }

  text(value: string, ...key: (string | number)[]): string {
    return expand(value, this.values, (why) => this.lack(key, why));
  }

  lack(key: Path, why: string): void {
    const where = this.findings.where([...this.#path, ...key]);
    const place = /:\d+$/.test(where) ? ` (${where})` : '';
    this.lacks.push({ key, why, text: `${key.join('.')}: ${why}${place}` });
  }

  /** Reports an invalid value: for this server alone if it contains a variable, otherwise for the file. */
  wrong(written: string, key: Path, why: string, fix?: string): void {
    if (written.includes('${')) this.lack(key, why);
    else this.findings.problem([...this.#path, ...key], why, fix);
  }

  warn(key: Path, why: string): void {
    this.findings.warn([...this.#path, ...key], why);
  }

  /** The path of a readable file, and its content, to detect changes. */
  file(written: string, key: Path): { path: string; content: string } {
    const path = resolve(this.values.folder, this.text(written, ...key));
    try {
      return { path, content: readBounded(path, CERTIFICATE_BYTES) };
    } catch (error) {
      this.lack(key, `file ${path}: ${(error as Error).message}`);
      return { path, content: '' };
    }
  }
}
