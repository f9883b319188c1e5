/** Views under profiles, overrides, pins and rules together. */
import { describe, expect, it } from 'vitest';
import type { Pins, PinMode } from '../../../src/catalog/pins.js';
import { resolveConfig } from '../../../src/config/index.js';
import { createAccess } from '../../../src/policy/access.js';
import { readListPage, type Definition } from '../../../src/protocol/lists.js';
import type { View } from '../../../src/protocol/ports.js';
import { createViews } from '../../../src/proxy/views.js';
import { routeTo } from '../../../src/proxy/route.js';
import { EVERY_CAPABILITY } from '../../../src/upstream/link/envelope.js';
import { catalogOf, linkOf, namesIn, toolsOf, viewerOf } from './stage.js';

const SERVER = { name: 'a', url: 'http://127.0.0.1:1/mcp' };

function viewOf(config: object, tools: readonly Definition[], { pins }: { pins?: Pins } = {}): View {
  const access = createAccess(
    resolveConfig({ state: { dir: '/nowhere' }, servers: [SERVER], ...config }, {}).config,
  );
  const catalog = catalogOf(linkOf('a', { tools }));
  const own = (): undefined => undefined;
  const catalogs = { legacy: catalog, modern: catalog };
  return createViews({ catalogs, full: EVERY_CAPABILITY, own, access: () => access, pins }).of(
    viewerOf('c'),
    routeTo({}),
  );
}

/** Pins that approved `definition` alone. */
function pinned(mode: PinMode, definition: string): Pins {
  const approved = Buffer.from(definition);
  return {
    version: 1,
    mode: () => mode,
    approves: (_server, _kind, { bytes }) => bytes.equals(approved),
    knows: () => true,
    approved: () => approved,
    approvesInstructions: () => true,
  };
}

const listOf = (...definitions: readonly string[]): readonly Definition[] =>
  readListPage('tools', Buffer.from(`{"tools":[${definitions.join()}]}`)).definitions;

const READS = '{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}';
const WRITES = '{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":false}}';

describe('a definition that changed under pin: warn', () => {
  it('is judged by what was approved, under another title too', () => {
    const readers = {
      policy: { rules: [{ name: 'r', allow: [{ servers: ['a'], annotations: { readOnlyHint: true } }] }] },
    };
    const titled = { servers: [{ ...SERVER, pin: 'warn', overrides: { t: { title: 'T' } } }] };
    // It claims to be read-only only since it changed.
    const pins = pinned('warn', WRITES);
    expect(namesIn(viewOf({ ...readers, ...titled }, listOf(READS), { pins }), 'tools')).toEqual([]);
    expect(
      namesIn(viewOf({ ...readers, ...titled }, listOf(READS), { pins: pinned('warn', READS) }), 'tools'),
    ).toEqual(['a__t']);
  });
});

describe('what belongs to a tool, such as a task', () => {
  it('is allowed where the tool is listed under another name, or is pinned', () => {
    const renamed = { servers: [{ ...SERVER, overrides: { one: { name: 'other' } } }] };
    const view = viewOf(renamed, toolsOf('one', 'two'));
    expect(view.find('tool', 'a__one')).toBeUndefined();
    expect(view.allows('a', 'tool', 'one')).toBe(true);
    expect(view.allows('a', 'tool', 'other')).toBe(false);
    const enforced = { servers: [{ ...SERVER, pin: 'enforce' }] };
    expect(viewOf(enforced, listOf(READS), { pins: pinned('enforce', READS) }).allows('a', 'tool', 't')).toBe(
      true,
    );
    expect(
      viewOf(enforced, listOf(READS), { pins: pinned('enforce', WRITES) }).allows('a', 'tool', 't'),
    ).toBe(false);
  });

  it('is not allowed where a rule hides the tool', () => {
    const view = viewOf(
      {
        servers: [{ ...SERVER, overrides: { one: { name: 'other' } } }],
        policy: { rules: [{ name: 'r', allow: [{ servers: ['a'], tools: ['two'] }] }] },
      },
      toolsOf('one', 'two'),
    );
    expect(view.allows('a', 'tool', 'one')).toBe(false);
    expect(view.allows('a', 'tool', 'two')).toBe(true);
  });
});
