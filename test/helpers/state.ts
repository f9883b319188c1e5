import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogFields, Logger } from '../../src/observe/log.js';
import { atEnd } from './cleanup.js';
import { until } from './wait.js';

export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcpstead-state-'));
  // A gateway that was destroyed may be writing a record.
  atEnd(() => until(() => isRemoved(folder), `the end of ${folder}`));
  return folder;
}

function isRemoved(folder: string): boolean {
  try {
    rmSync(folder, { recursive: true, force: true });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTEMPTY') return false;
    throw error;
  }
}

/** A logger that keeps its lines, as `level message {fields}`. */
export function keptLog(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const line = (level: string) => (message: string, fields?: LogFields) => {
    lines.push(`${level} ${message}${fields ? ` ${JSON.stringify(fields)}` : ''}`);
  };
  return {
    debugEnabled: true,
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    lines,
  };
}

/** The names of the files in a folder that end with `end`. */
export function filesIn(folder: string, end: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(end));
}

export async function all<T>(from: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const each of from) list.push(each);
  return list;
}
