import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Registry, REGISTRY_PATH } from '../../src/downstream/http/registry.js';
import { GatewayError } from '../../src/errors.js';
import type { PublishedEndpoint } from '../../src/protocol/cards.js';

interface Page {
  readonly servers: readonly { readonly server: { readonly name: string } }[];
  readonly metadata: { readonly count: number; readonly nextCursor?: string };
}

const endpoint = (name: string): PublishedEndpoint => ({
  publisher: 'com.example',
  name,
  version: '1.0.0',
  description: undefined,
  url: `https://gw.example/servers/${name}/mcp`,
  key: 'none',
});
const names = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9._-]{1,8}$/), { maxLength: 150 });
const NOW = Date.parse('2026-06-01T00:00:00Z');

function listed(registry: Registry, query: string): Page {
  const answer = registry.answer(REGISTRY_PATH, query, NOW);
  if (answer instanceof GatewayError) throw answer;
  const page = JSON.parse(answer) as Page;
  expect(page.metadata.count).toBe(page.servers.length);
  return page;
}

describe('the registry', () => {
  it('gives each server once, page by page, in the order of names', () => {
    fc.assert(
      fc.property(names, fc.integer({ min: 1, max: 200 }), (all, limit) => {
        const registry = new Registry(all.map(endpoint));
        const seen: string[] = [];
        let cursor: string | undefined = '';
        do {
          const page: Page = listed(registry, `limit=${limit}&cursor=${encodeURIComponent(cursor)}`);
          expect(page.servers.length).toBeLessThanOrEqual(Math.min(limit, 100));
          seen.push(...page.servers.map(({ server }) => server.name));
          cursor = page.metadata.nextCursor;
        } while (cursor !== undefined);
        expect(seen).toEqual(all.map((name) => `com.example/${name}`).sort());
      }),
    );
  });

  it('finds by a part of the name what a filter finds', () => {
    fc.assert(
      fc.property(names, fc.string({ maxLength: 4 }), (all, search) => {
        const registry = new Registry(all.slice(0, 100).map(endpoint));
        const query = new URLSearchParams({ search, limit: '100', version: 'latest' }).toString();
        const expected = all
          .slice(0, 100)
          .map((name) => `com.example/${name}`)
          .filter((name) => name.toLowerCase().includes(search.toLowerCase()));
        expect(listed(registry, query).servers.map(({ server }) => server.name)).toEqual(expected.sort());
      }),
    );
  });

  it('finds each server by its name, with the slash encoded or not', () => {
    fc.assert(
      fc.property(names, fc.boolean(), (all, encoded) => {
        const registry = new Registry(all.map(endpoint));
        for (const name of all) {
          const full = `com.example/${name}`;
          const path = `${REGISTRY_PATH}/${encoded ? encodeURIComponent(full) : full}/versions`;
          expect(registry.answer(`${path}/latest`, '', NOW)).toContain(`"name":"${full}"`);
          expect(registry.answer(`${path}/1.0.0`, '', NOW)).toContain(`"name":"${full}"`);
          expect(registry.answer(path, '', NOW)).toContain(`"name":"${full}"`);
        }
      }),
    );
  });

  it('answers anything with JSON or an error', () => {
    const parameter = fc.tuple(
      fc.constantFrom('limit', 'cursor', 'search', 'updated_since', 'version', 'x'),
      fc.string(),
    );
    const query = fc.oneof(
      fc.string(),
      fc.array(parameter).map((all) => all.map(([key, value]) => `${key}=${value}`).join('&')),
    );
    const path = fc.oneof(
      fc.constant(''),
      fc.string().map((rest) => `/${rest}`),
      fc.string().map((rest) => `/${rest}/versions/%`),
    );
    const registry = new Registry(['a', 'b'].map(endpoint));
    fc.assert(
      fc.property(path, query, (rest, text) => {
        const answer = registry.answer(REGISTRY_PATH + rest, text, NOW);
        if (answer instanceof GatewayError) expect(['not_found', 'invalid_request']).toContain(answer.code);
        else expect(JSON.parse(answer)).toBeTypeOf('object');
      }),
    );
  });
});
