import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { errorPages } from '../../src/cli/error-pages.js';
import { resolveConfig } from '../../src/config/index.js';
import { fileSchema, serverSchema } from '../../src/config/schema.js';
import { keysOf } from '../../src/config/schema-tree.js';
import { ERRORS } from '../../src/errors.js';
import { anchors, pages, prose, root, rows } from '../helpers/markdown.js';

const sources = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' });

describe.each(pages)('%s', (path) => {
  it('links to files and headings that exist', () => {
    const links = [...prose(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((each) => !/^https?:/.test(each))) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : join(dirname(path), file);
      expect(existsSync(root + target), `${link} in ${path}`).toBe(true);
      if (anchor !== undefined) expect([...anchors(target)], `${link} in ${path}`).toContain(anchor);
    }
  });

  it('names source files that exist', () => {
    for (const [, name = ''] of prose(path).matchAll(/`([\w./-]+\.(?:[cm]?js|ts))`/g)) {
      const isThere = existsSync(root + name) || sources.some((source) => `/${source}`.endsWith(`/${name}`));
      expect(isThere, `${name} in ${path}`).toBe(true);
    }
  });

  it('writes keys of the config as they are', () => {
    const atTop = Object.keys(keysOf(fileSchema) ?? {});
    const ofServer = Object.keys(keysOf(serverSchema) ?? {});
    for (const [, code = ''] of prose(path).matchAll(/`([a-z_]+: ?\{[^`]*\})`/g)) {
      const value = parse(code) as Record<string, unknown>;
      const [key = ''] = Object.keys(value);
      const server = { name: 'x', url: 'http://127.0.0.1:1/mcp', ...value };
      const local = key === 'env' || key === 'inherit_env' ? { name: 'x', command: 'x', ...value } : server;
      expect([...atTop, ...ofServer], `${code} in ${path}`).toContain(key);
      const input = atTop.includes(key) ? { servers: [], ...value } : { servers: [local] };
      expect(resolveConfig(input, {}).warnings, `${code} in ${path}`).toEqual([]);
    }
  });

  it('names dotted keys of the config that exist', () => {
    const known = (schema: Parameters<typeof keysOf>[0], prefix: string): string[] =>
      Object.entries(keysOf(schema) ?? {}).flatMap(([key, member]) => [
        prefix + key,
        ...known(member, `${prefix}${key}.`),
      ]);
    const keys = new Set([...known(fileSchema, ''), ...known(serverSchema, '')]);
    const tops = Object.keys({ ...keysOf(fileSchema), ...keysOf(serverSchema) });
    for (const [, code = ''] of prose(path).matchAll(/`([a-z_]+(?:\.[a-z_]+)+)(?:: [^`]*)?`/g)) {
      // OpenTelemetry's names begin like ours.
      if (/^mcp\.(json|method|resource|session\.id|protocol)/.test(code)) continue;
      if (tops.includes(code.split('.')[0] as string)) expect([...keys], `in ${path}`).toContain(code);
    }
  });
});

describe('docs/errors.md', () => {
  const path = 'docs/errors.md';

  it('has a table with the numbers of every error, and links to its section', () => {
    const documented = rows(path)
      .slice(1)
      .map(([code, rpc, http]) => [code, Number(rpc), Number(http)]);
    const actual = Object.entries(ERRORS).map(([code, { legacy }]) => [
      `[\`${code}\`](#${code})`,
      legacy.rpc,
      legacy.http,
    ]);
    expect(documented).toEqual(actual);
  });

  it('has a section for every error: numbers, cause and what to do, in sentences', () => {
    const pages = errorPages();
    expect(pages.map(({ cause: _cause, action: _action, ...numbers }) => numbers)).toEqual(
      Object.entries(ERRORS).map(([code, { legacy, modern }]) => ({
        code,
        rpc: String(legacy.rpc),
        http: String(legacy.http),
        modern_rpc: String(modern.rpc),
        modern_http: String(modern.http),
      })),
    );
    for (const { code, cause, action } of pages) {
      expect([...anchors(path)]).toContain(code);
      for (const text of [cause, action]) expect(text, code).toMatch(/^[A-Z`][^|]{30,}\.$/);
    }
  });
});

it('docs/dependencies.md names what package.json installs', () => {
  const text = prose('docs/dependencies.md');
  const file = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const words = new Set(text.match(/[@\w/.-]+/g));
  for (const name of Object.keys({ ...file.dependencies, ...file.devDependencies }))
    expect(words.has(name) || words.has(name.replace('@modelcontextprotocol/', '')), name).toBe(true);
});
