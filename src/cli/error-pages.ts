/** The table of docs/errors.md, which the package contains. */
import { readFileSync } from 'node:fs';
import { readPackageFile } from '../lib/package-files.js';

export interface ErrorPage {
  readonly code: string;
  /** JSON-RPC code. */
  readonly rpc: string;
  readonly http: string;
  readonly cause: string;
  readonly action: string;
}

export function errorPages(): readonly ErrorPage[] {
  const text = page();
  return text.split('\n').flatMap((line) => {
    const [code, rpc, http, cause, action] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => plain(cell.trim()));
    const isRow = code !== undefined && /^-?\d+$/.test(rpc ?? '') && action !== undefined;
    return isRow ? [{ code, rpc: rpc ?? '', http: http ?? '', cause: cause ?? '', action }] : [];
  });
}

/** Markdown as plain text: links lose their targets, a cell that is code its marks. */
function plain(text: string): string {
  return text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/^`([^`]*)`$/, '$1');
}

/** The build copies the page; a source tree has it in docs. */
function page(): string {
  try {
    return readPackageFile('errors.md').toString();
  } catch {
    return readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  }
}
