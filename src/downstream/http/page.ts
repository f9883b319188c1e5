/** Small pages of the gateway for people: one heading, little else. Scripts and styles run by their hashes alone. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sha256 } from '../../lib/sha256.js';

/**
 * A `late` button works a second after the page is there, and a second after the pointer has come over it: the page may have been ready behind
 * the window of another site, which closes between the two clicks of a double click.
 */
const STYLE = `:root{color-scheme:light dark;--line:light-dark(#d0d7de,#3d444d);--dim:light-dark(#57606a,#9da7b3);--main:light-dark(#0a58ca,#79b8ff);--on-main:light-dark(#fff,#0d1117);--bad:light-dark(#b3261e,#ff8a80)}
*{box-sizing:border-box}body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:3rem 1rem;background:light-dark(#fff,#0d1117);color:light-dark(#1f2328,#e6edf3);overflow-wrap:anywhere}
h1{font-size:1.375rem;line-height:1.3;margin:0 0 1rem}h2{font-size:1rem;margin:1.25rem 0 .5rem}pre{font:.875rem/1.5 ui-monospace,monospace;max-height:24rem;overflow:auto;margin:0 0 1rem;padding:.75rem;border:1px solid var(--line);border-radius:.5rem;white-space:pre-wrap}.inline{font-weight:400}.inline input{display:inline;width:auto}[hidden]{display:none!important}p{margin:0 0 1rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.25rem;margin:0 0 1.25rem;padding:1rem;border:1px solid var(--line);border-radius:.5rem}
dt{color:var(--dim)}dd{margin:0;min-width:0}code{font:.9375rem/1.5 ui-monospace,monospace}label{display:block;font-weight:600;margin:0 0 .25rem}
input{display:block;width:100%;font:inherit;padding:.5rem .75rem;border:1px solid var(--dim);border-radius:.375rem;background:transparent;color:inherit}
small{display:block;color:var(--dim);margin:.25rem 0 1rem}button{font:inherit;font-weight:600;padding:.5rem 1.25rem;border:1px solid transparent;border-radius:.375rem;background:var(--main);color:var(--on-main);cursor:pointer}
button:disabled{opacity:.6;cursor:default}:focus-visible{outline:2px solid var(--main);outline-offset:2px}[role=alert]{color:var(--bad);margin-top:1rem}[role=alert]:empty{margin:0}
.late{animation:late 1s}@keyframes late{from,to{visibility:hidden}}@media(hover:hover){main:hover .late{animation:late 1s,settle 1s}}@keyframes settle{from,to{pointer-events:none;opacity:.6}}button+button{margin-left:.75rem}.second{background:transparent;color:inherit;border-color:var(--dim)}.warning{border-left:.25rem solid var(--bad);padding-left:.75rem}
@media(max-width:30rem){body{padding:1.5rem 1rem}dl{grid-template-columns:1fr;gap:0}dd+dt{margin-top:.625rem}}`;

export interface Page {
  readonly status: number;
  /** Not escaped yet. */
  readonly title: string;
  readonly body: readonly Html[];
  /** undefined: the page has none. */
  readonly script?: string;
  /** It has a form that leads to other sites, and may be in a window that another site has opened. */
  readonly hasForm?: true;
  /** Further headers: names and values in turn. */
  readonly headers?: readonly string[];
}

/** Text that was escaped: `markup` alone makes it. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A template whose values are escaped, unless they are Html. */
export function markup(
  parts: TemplateStringsArray,
  ...values: readonly (string | Html | readonly Html[])[]
): Html {
  return new Html(parts.reduce((sum, part, n) => sum + textOf(values[n - 1] ?? '') + part));
}

export function sendPage(
  req: IncomingMessage,
  res: ServerResponse,
  { status, title, body, script, hasForm, headers = [] }: Page,
): void {
  const code = script === undefined ? '' : `<script>${script}</script>`;
  const heading = escaped(title);
  const bytes = Buffer.from(
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${heading} - mcpstead</title><style>${STYLE}</style></head><body><main><h1>${heading}</h1>${body.map(({ text }) => text).join('')}</main>${code}</body></html>\n`,
  );
  const scripts =
    script === undefined
      ? ''
      : `script-src ${hashOf(script)}; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'; `;
  // form-action would stop the redirects that follow a form, no-referrer its Origin, an opener policy the window of an application.
  const ofForm = hasForm
    ? ['Referrer-Policy', 'same-origin', 'X-Frame-Options', 'DENY']
    : ['Referrer-Policy', 'no-referrer', 'Cross-Origin-Opener-Policy', 'same-origin'];
  res.writeHead(status, [
    ...['Content-Type', 'text/html; charset=utf-8', 'Content-Length', String(bytes.length)],
    'Content-Security-Policy',
    `default-src 'none'; style-src ${hashOf(STYLE)}; ${scripts}base-uri 'none'; ${hasForm ? '' : "form-action 'none'; "}frame-ancestors 'none'`,
    ...['X-Content-Type-Options', 'nosniff', 'Cache-Control', 'no-store'],
    ...ofForm,
    ...headers,
  ]);
  if (req.method === 'HEAD') res.end();
  else res.end(bytes);
}

/** A source of a Content-Security-Policy. */
function hashOf(text: string): string {
  return `'sha256-${Buffer.from(sha256(text), 'base64url').toString('base64')}'`;
}

function textOf(value: string | Html | readonly Html[]): string {
  if (typeof value === 'string') return escaped(value);
  return value instanceof Html ? value.text : value.map(({ text }) => text).join('');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
