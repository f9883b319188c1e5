/** The files of the console: read once, sent compressed where the browser allows it. */
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { GatewayError } from '../../errors.js';
import { packagePath, packedNames, readPackageFile } from '../../lib/package-files.js';
import { sha256 } from '../../lib/sha256.js';
import { sendError } from './respond.js';

export const CONSOLE_PATH = '/-/console/';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
};

const SECURITY: readonly string[] = [
  'Content-Security-Policy',
  [
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'X-Content-Type-Options',
  'nosniff',
  'Referrer-Policy',
  'no-referrer',
  'Cross-Origin-Opener-Policy',
  'same-origin',
];

type Coding = 'identity' | 'br' | 'gzip';

interface ConsoleFile {
  readonly type: string;
  /** By content coding. */
  readonly bytes: Partial<Record<Coding, Buffer>> & { readonly identity: Buffer };
  readonly digest: string;
  /** Its name changes with its content. */
  readonly isHashed: boolean;
}

export interface ConsoleFiles {
  /** Serves a path below `/-/console`. */
  serve(req: IncomingMessage, res: ServerResponse, path: string): Promise<void>;
}

/** `folder` has the files, unless they are in the single file. */
export function createConsoleFiles(folder = packagePath('console/')): ConsoleFiles {
  let files: Promise<ReadonlyMap<string, ConsoleFile>> | undefined;

  async function load(): Promise<ReadonlyMap<string, ConsoleFile>> {
    const packed = packedNames('console/');
    if (packed) return await filesOf(packed, (name) => Promise.resolve(readPackageFile(`console/${name}`)));
    const names: string[] = await readdir(folder, { recursive: true }).catch(() => []);
    const found = await filesOf(names, (name) => readFile(join(folder, name)));
    if (found.has('index.html')) return found;
    // It may be built while the gateway runs.
    files = undefined;
    return new Map();
  }

  return {
    async serve(req, res, path) {
      if (req.method !== 'GET' && req.method !== 'HEAD')
        return sendError(res, new GatewayError('method_not_allowed', 'only GET is served here'), 'null', [
          'Allow',
          'GET, HEAD',
        ]);
      if (path === '/-/console') {
        // A proxy in front may have another path.
        res.writeHead(308, ['Location', 'console/', 'Content-Length', '0']).end();
        return;
      }
      const all = await (files ??= load());
      const name = path.slice(CONSOLE_PATH.length);
      // A page of the console is in its URL.
      const file = all.get(name.includes('.') ? name : 'index.html');
      if (!file) {
        const why =
          all.size === 0
            ? 'this gateway has no console: its files are not in the package (npm run build)'
            : `the console has no file ${name.slice(0, 128)}`;
        return sendError(res, new GatewayError('not_found', why));
      }
      send(req, res, file);
    },
  };
}

function send(
  req: IncomingMessage,
  res: ServerResponse,
  { type, bytes, digest, isHashed }: ConsoleFile,
): void {
  const coding = codingFor(req.headers['accept-encoding'], bytes);
  const body = bytes[coding] as Buffer;
  const etag = `"${digest}-${coding}"`;
  const headers = [
    ...['ETag', etag, 'Vary', 'Accept-Encoding'],
    ...['Cache-Control', isHashed ? 'public, max-age=31536000, immutable' : 'no-cache'],
    ...SECURITY,
  ];
  const known = String(req.headers['if-none-match'] ?? '')
    .split(',')
    .map((each) => each.trim().replace(/^W\//, ''));
  if (known.includes(etag)) {
    res.writeHead(304, headers).end();
    return;
  }
  headers.push('Content-Type', type, 'Content-Length', String(body.length));
  if (coding !== 'identity') headers.push('Content-Encoding', coding);
  res.writeHead(200, headers);
  if (req.method === 'HEAD') res.end();
  else res.end(body);
}

function codingFor(accept: string | string[] | undefined, bytes: ConsoleFile['bytes']): Coding {
  const accepted = new Map(
    String(accept ?? '')
      .toLowerCase()
      .split(',')
      .map((each) => {
        const [name = '', ...parameters] = each.split(';').map((part) => part.trim());
        return [name, !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))] as const;
      }),
  );
  return (['br', 'gzip'] as const).find((coding) => bytes[coding] && accepted.get(coding)) ?? 'identity';
}

/** By their path with slashes. */
async function filesOf(
  names: readonly string[],
  read: (name: string) => Promise<Buffer>,
): Promise<ReadonlyMap<string, ConsoleFile>> {
  const found = new Map<string, ConsoleFile>();
  for (const name of names) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const identity = await read(name);
    const [br, gzip] = await Promise.all(
      ['.br', '.gz'].map((ending) =>
        names.includes(name + ending) ? read(name + ending) : Promise.resolve(undefined),
      ),
    );
    found.set(name.split(sep).join('/'), {
      type,
      bytes: { identity, ...(br && { br }), ...(gzip && { gzip }) },
      digest: sha256(identity).slice(0, 22),
      isHashed: /-[\w-]{8,}\.\w+$/.test(name),
    });
  }
  return found;
}
