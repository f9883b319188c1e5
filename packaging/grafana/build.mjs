// Generates packaging/grafana/mcpstead.json from rows.mjs: `node packaging/grafana/build.mjs`. A test compares the file with the output.
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { format } from 'prettier';
import { ROWS } from './rows.mjs';

const SOURCE = { type: 'prometheus', uid: '${datasource}' };
const COLUMNS = 24;

const steps = (thresholds) => ({
  mode: 'absolute',
  steps: thresholds.map(([color, value]) => ({ color, value })),
});

const KINDS = {
  stat: ({ thresholds, text }) => ({
    height: 4,
    width: 4,
    color: { mode: thresholds ? 'thresholds' : 'fixed', ...(!thresholds && { fixedColor: 'text' }) },
    options: {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: text ?? 'value',
      wideLayout: true,
      showPercentChange: false,
      percentChangeColorMode: 'standard',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    },
  }),
  timeseries: ({ thresholds }) => ({
    height: 8,
    width: 8,
    color: { mode: 'palette-classic' },
    custom: {
      drawStyle: 'line',
      lineWidth: 1,
      fillOpacity: 10,
      showPoints: 'never',
      spanNulls: false,
      thresholdsStyle: { mode: thresholds ? 'dashed' : 'off' },
    },
    options: {
      legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  }),
  'state-timeline': () => ({
    height: 8,
    width: 24,
    color: { mode: 'thresholds' },
    custom: { fillOpacity: 70, lineWidth: 0 },
    options: {
      mergeValues: true,
      showValue: 'never',
      alignValue: 'left',
      rowHeight: 0.9,
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'single', sort: 'none' },
    },
  }),
};

function panelOf(spec, id, gridPos, { color, custom, options }) {
  const { kind, title, description, unit, queries, thresholds, max, states } = spec;
  return {
    id,
    type: kind,
    title,
    description,
    datasource: SOURCE,
    gridPos,
    fieldConfig: {
      defaults: {
        unit,
        color,
        thresholds: steps(thresholds ?? [['green', null]]),
        ...(kind === 'timeseries' && unit !== 's' && { min: 0 }),
        ...(max !== undefined && { max }),
        ...(custom && { custom }),
        ...(states && {
          mappings: [
            {
              type: 'value',
              options: Object.fromEntries(
                Object.entries(states).map(([value, [text, shade]], index) => [
                  value,
                  { text, color: shade, index },
                ]),
              ),
            },
          ],
        }),
      },
      overrides: [],
    },
    options,
    targets: queries.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode(65 + i),
      datasource: SOURCE,
      editorMode: 'code',
      expr,
      legendFormat,
      range: kind !== 'stat',
      instant: kind === 'stat',
    })),
  };
}

/** A row and its panels, from left to right, each as high as its kind. */
function* laidOut(rows) {
  let id = 0;
  let y = 0;
  for (const { title, panels } of rows) {
    yield {
      id: ++id,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { h: 1, w: COLUMNS, x: 0, y },
      panels: [],
    };
    y += 1;
    let x = 0;
    let high = 0;
    for (const spec of panels) {
      const kind = KINDS[spec.kind](spec);
      const w = spec.width ?? kind.width;
      if (x + w > COLUMNS) {
        y += high;
        x = high = 0;
      }
      yield panelOf(spec, ++id, { h: kind.height, w, x, y }, kind);
      x += w;
      high = Math.max(high, kind.height);
    }
    y += high;
  }
}

const choice = (name, label, query, description) => ({
  name,
  label,
  description,
  type: 'query',
  datasource: SOURCE,
  definition: query,
  query: { query, refId: name },
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { text: ['All'], value: ['$__all'] },
});
const number = (name, label, value, description) => ({
  name,
  label,
  description,
  type: 'textbox',
  query: value,
  current: { text: value, value },
  options: [{ text: value, value, selected: true }],
});

const VARIABLES = [
  {
    name: 'datasource',
    label: 'Data source',
    description: 'The Prometheus that scrapes the gateways.',
    type: 'datasource',
    query: 'prometheus',
    refresh: 1,
  },
  choice('job', 'Job', 'label_values(mcpstead_build_info, job)', 'Jobs that scrape gateways.'),
  choice(
    'instance',
    'Gateway',
    'label_values(mcpstead_build_info{job=~"$job"}, instance)',
    'Gateways of these jobs.',
  ),
  choice(
    'server',
    'Server',
    'label_values(mcpstead_upstream_connected{job=~"$job", instance=~"$instance"}, server)',
    'Servers of these gateways.',
  ),
  number(
    'buffered_limit',
    'limits.buffered_bytes',
    '268435456',
    'The limit of your configuration, in bytes.',
  ),
  number(
    'memory_limit',
    'Memory limit',
    '1073741824',
    'What a gateway may take, in bytes: that of the chart.',
  ),
];

/** The text of packaging/grafana/mcpstead.json. */
export function board() {
  const dashboard = {
    uid: 'mcpstead',
    title: 'mcpstead',
    description: 'MCP gateways: what docs/operations.md explains, row by row.',
    tags: ['mcpstead', 'mcp'],
    schemaVersion: 42,
    version: 1,
    editable: true,
    graphTooltip: 1,
    fiscalYearStartMonth: 0,
    liveNow: false,
    refresh: '30s',
    timezone: 'browser',
    time: { from: 'now-6h', to: 'now' },
    timepicker: {},
    links: [],
    annotations: { list: [] },
    templating: { list: VARIABLES },
    panels: [...laidOut(ROWS)],
  };
  return format(JSON.stringify(dashboard), { parser: 'json', singleQuote: true, printWidth: 110 });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  writeFileSync(new URL('mcpstead.json', import.meta.url), await board());
