import type { openApi, WHO } from '../src/admin/openapi.js';
import type { RouteSpec } from '../src/admin/route.js';

interface Made {
  readonly routes: readonly RouteSpec[];
  readonly openApi: typeof openApi;
  readonly WHO: typeof WHO;
}

export function renderOpenApi(made: Made): Promise<string>;
export function renderPage(made: Made): Promise<string>;
