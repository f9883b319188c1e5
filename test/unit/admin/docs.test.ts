import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { renderOpenApi, renderPage } from '../../../scripts/api-docs.mjs';
import { openApi, WHO } from '../../../src/admin/openapi.js';
import { createRoutes } from '../../../src/admin/routes.js';

const made = { openApi, WHO, routes: createRoutes(undefined) };
const page = (name: string): Promise<string> =>
  readFile(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

it('docs/openapi.json and docs/admin-api.md are what scripts/api-docs.mjs writes', async () => {
  expect(await page('openapi.json')).toBe(await renderOpenApi(made));
  expect(await page('admin-api.md')).toBe(await renderPage(made));
});

it('gives each route a name of its own, in the document', () => {
  const paths = Object.values(openApi(made.routes)['paths'] as Record<string, Record<string, object>>);
  const names = paths.flatMap((methods) =>
    Object.values(methods).map((each) => (each as { operationId: string }).operationId),
  );
  expect(new Set(names).size).toBe(made.routes.length);
});
