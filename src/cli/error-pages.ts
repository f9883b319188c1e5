/** The sections of docs/errors.md, which the build copies into the package. */
import { readPackageFile } from '../lib/package-files.js';

export interface ErrorPage {
  readonly code: string;
  /** JSON-RPC code for clients of older revisions. */
  readonly rpc: string;
  readonly http: string;
  /** The same for clients of 2026-07-28. */
  readonly modern_rpc: string;
  readonly modern_http: string;
  readonly cause: string;
  readonly action: string;
}

const NUMBERS = /^JSON-RPC (-\d+), HTTP (\d+); for 2026-07-28: JSON-RPC (-\d+), HTTP (\d+)\.$/m;

export function errorPages(): readonly ErrorPage[] {
  const [, ...sections] = readPackageFile('errors.md').toString().split(/^### /m);
  return sections.flatMap((section) => {
    const [code = ''] = section.split('\n', 1);
    const [, rpc = '', http = '', modern_rpc = '', modern_http = ''] = NUMBERS.exec(section) ?? [];
    if (rpc === '') return [];
    const cause = paragraph(section, 'Cause');
    return [{ code, rpc, http, modern_rpc, modern_http, cause, action: paragraph(section, 'What to do') }];
  });
}

/** The paragraph with this title, as one line of plain text: links lose their targets. */
function paragraph(section: string, title: string): string {
  const start = `**${title}:** `;
  const found = section.split(/\n{2,}/).find((each) => each.startsWith(start)) ?? '';
  return found
    .slice(start.length)
    .trim()
    .replace(/\s+/g, ' ')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
}
