import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A fenced block. The info string is a language and, for blocks that a test treats differently, a mark. */
export interface Block {
  readonly language: string;
  readonly mark: string;
  readonly text: string;
  /** For test names: `README.md:12 npm start`. */
  readonly title: string;
}

/** Every page of the project, as paths from its root. */
export const pages = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(`${root}docs`)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export const page = (path: string): string => readFileSync(root + path, 'utf8');

export function blocks(path: string): Block[] {
  const found: Block[] = [];
  const lines = page(path).split('\n');
  for (let i = 0; i < lines.length; i++) {
    const [, language = '', mark = ''] = /^```(\w*) ?(.*)$/.exec(lines[i] as string) ?? [];
    if (language === '') continue;
    const start = i + 1;
    while (lines[++i] !== '```') if (i >= lines.length) throw new Error(`${path}:${start} never ends`);
    const body = lines.slice(start, i);
    found.push({
      language,
      mark,
      text: `${body.join('\n')}\n`,
      title: `${path}:${start + 1} ${(body[0] ?? '').slice(0, 60)}`,
    });
  }
  return found;
}

/** The text without fenced blocks. */
export const prose = (path: string): string => page(path).replace(/^```[^]*?^```$/gm, '');

/** The anchors of a page, as GitHub generates them from its headings. */
export function anchors(path: string): Set<string> {
  const headings = [...prose(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** The rows of every table, as cells. */
export function rows(path: string): string[][] {
  return prose(path)
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\|[ |-]+$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
}
