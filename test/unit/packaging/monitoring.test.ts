/** The dashboard and the alert rules: they name what the gateway has, and docs/operations.md explains them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { board } from '../../../packaging/grafana/build.mjs';
import { FAMILIES } from '../../../src/observe/families.js';
import { anchors, page, root } from '../../helpers/markdown.js';
import { checkPromql, metricsOf } from '../../helpers/promql.js';

const read = (path: string): string => readFileSync(join(root, 'packaging', path), 'utf8');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: unknown;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string; readonly thresholds?: unknown } };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
    readonly datasource: unknown;
  }[];
}
interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string | { readonly query: string };
  readonly current?: { readonly value: unknown };
}
interface Board {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}
interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook_url: string;
  };
}

const text = read('grafana/mcpstead.json');
const dashboard = JSON.parse(text) as Board;
const variables = dashboard.templating.list;
const rows = dashboard.panels.filter(({ type }) => type === 'row');
const panels = dashboard.panels.filter(({ type }) => type !== 'row');
const queries = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));
const rules = (
  parse(read('prometheus/alerts.yaml')) as { groups: readonly { rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules);

/** The query as Grafana sends it; selectors keep their variables, which any value fits. */
function sent(expr: string): string {
  const known = variables.map(({ name }) => name);
  return expr.replaceAll('$__rate_interval', '5m').replace(/(?<!")\$(\w+)/g, (_all, name: string) => {
    expect(known).toContain(name);
    return String(variables.find((variable) => variable.name === name)?.current?.value);
  });
}

describe('packaging/grafana/mcpstead.json', () => {
  it('is what build.mjs makes', async () => {
    expect(text).toBe(await board());
  });

  it('asks the data source that is chosen, for gateways and servers that are chosen', () => {
    expect(variables.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['job', 'query'],
      ['instance', 'query'],
      ['server', 'query'],
      ['buffered_limit', 'textbox'],
      ['memory_limit', 'textbox'],
    ]);
    for (const { datasource } of [...panels, ...queries])
      expect(datasource).toEqual({ type: 'prometheus', uid: '${datasource}' });
    for (const { expr, title } of queries.filter((query) => metricsOf(sent(query.expr)).length > 0)) {
      const selectors = expr.match(/\{[^}]*\}/g) ?? [];
      expect(selectors.length, title).toBe(metricsOf(sent(expr)).length);
      for (const selector of selectors) expect(selector).toContain('{job=~"$job", instance=~"$instance"');
      for (const [, name = ''] of expr.matchAll(/"\$(\w+)"/g))
        expect(variables.map((variable) => variable.name)).toContain(name);
    }
  });

  it('chooses among labels that metrics have', () => {
    const found = variables.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query]));
    expect(found).toHaveLength(3);
    for (const query of found) {
      const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
      expect([...(checkPromql(selector) ?? [])], query).toContain(label);
    }
  });

  it.each(queries)('$title: $expr has metrics, labels and values that exist', ({ expr, legendFormat }) => {
    const labels = checkPromql(sent(expr));
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      expect([...(labels ?? [])], legendFormat).toContain(label);
    expect(legendFormat).not.toBe('');
  });

  it.each(panels)(
    '$title says what it shows, in which unit',
    ({ title, description, fieldConfig, targets }) => {
      expect(title).toMatch(/^[A-Z/]/);
      expect(description).toMatch(/^[A-Z][^.]*(?:\.\S[^.]*)*\.$/);
      expect(['short', 's', 'bytes', 'Bps', 'reqps', 'percentunit']).toContain(fieldConfig?.defaults.unit);
      expect(fieldConfig?.defaults.thresholds).toBeDefined();
      expect(new Set(targets?.map(({ refId }) => refId)).size).toBe(targets?.length);
    },
  );

  it('has a place of its own for each panel', () => {
    expect(dashboard.schemaVersion).toBe(42);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    const cells = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.has(`${x} ${y}`), `${title} covers another panel`).toBe(false);
          cells.add(`${x} ${y}`);
        }
    }
  });

  it('shows every metric that somebody can act on', () => {
    const shown = new Set(queries.flatMap(({ expr }) => metricsOf(sent(expr))));
    const left = FAMILIES.map(({ name }) => name).filter(
      (name) => !shown.has(name) && !shown.has(`${name}_bucket`),
    );
    expect(left).toEqual([
      'mcpstead_start_time_seconds',
      'mcpstead_process_virtual_memory_bytes',
      'mcpstead_upstream_tools_count',
      'mcpstead_upstream_reconnect_attempts_total',
      'mcpstead_upstream_backoff_seconds_total',
      'mcpstead_upstream_in_backoff',
      'mcpstead_upstream_tools_refresh_duration_seconds',
      'mcpstead_upstream_tools_last_refresh_timestamp_seconds',
      'mcpstead_input_requests_total',
      'mcpstead_upstream_era',
      'mcpstead_downstream_sessions_total',
      'mcpstead_downstream_session_duration_seconds',
      'mcpstead_mcp_auth_attempts_total',
      'mcpstead_auth_keys_age_seconds',
      'mcpstead_oauth_logins_total',
      'mcpstead_config_last_reload_timestamp_seconds',
    ]);
  });

  it('has rows that docs/operations.md explains, in their order', () => {
    const explained = [...page('docs/operations.md').matchAll(/^\| \*\*(.+?)\*\*/gm)].map(
      ([, title]) => title,
    );
    expect(rows.map(({ title }) => title)).toEqual(explained);
  });
});

describe('packaging/prometheus/alerts.yaml', () => {
  it.each(rules)(
    '$alert has metrics, labels and values that exist',
    ({ alert, expr, labels, annotations }) => {
      const found = [...(checkPromql(expr) ?? [])];
      const { summary, description } = annotations;
      for (const sentence of [summary, description]) {
        expect(sentence, alert).toMatch(/\.(\{\{ end \}\})?$/);
        for (const [, label = ''] of sentence.matchAll(/\$labels\.(\w+)/g)) expect(found).toContain(label);
      }
      expect(['page', 'ticket']).toContain(labels.severity);
    },
  );

  it('has a section of docs/operations.md for each alert, and an alert for each section', () => {
    const path = 'docs/operations.md';
    const sections = [...page(path).matchAll(/^### (Mcpstead\w+)\n\n([^]*?)(?=\n##|$(?![^]))/gm)];
    expect(sections.map(([, name]) => name)).toEqual(rules.map(({ alert }) => alert));
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { annotations } of rules) {
      const [file, anchor = ''] = annotations.runbook_url.split('#');
      expect(file).toBe(path);
      expect([...anchors(path)]).toContain(anchor);
    }
    for (const { alert, annotations } of rules)
      expect(annotations.runbook_url).toBe(`${path}#${alert.toLowerCase()}`);
    for (const [, name, body] of sections)
      expect(body, name).toMatch(/^\*\*It says\*\* [^]+\n\n\*\*Why\.\*\* [^]+\n\n\*\*Do this\.\*\* /);
  });
});

describe('the check of expressions', () => {
  it.each([
    ['mcpstead_upstream_conected', /no metric/],
    ['mcpstead_tool_call_duration_seconds', /no metric/],
    ['mcpstead_upstream_connected{sever="a"}', /no label sever/],
    ['mcpstead_tool_call_errors_total{reason="bussy"}', /never 'bussy'/],
    ['mcpstead_tool_call_errors_total{reason!~"busy|cancled"}', /never 'cancled'/],
    ['sum by (tool) (rate(mcpstead_upstream_reconnects_total[5m]))', /grouped by tool/],
    ['sum by (server) (sum by (job) (mcpstead_upstream_connected))', /grouped by server/],
    ['histogram_quantile(0.5, sum(rate(mcpstead_tool_call_duration_seconds_bucket[5m])))', /without le/],
    ['mcpstead_upstream_connected / mcpstead_buffered_bytes', /never match/],
    ['mcpstead_upstream_connected * on (tool) mcpstead_buffered_bytes', /no tool/],
    ['sum(mcpstead_buffered_bytes', /not PromQL/],
  ])('refuses %s', (expr, why) => {
    expect(() => checkPromql(expr)).toThrow(why);
  });
});
