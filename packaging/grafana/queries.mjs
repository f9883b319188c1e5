// Queries and panels, for rows.mjs.
//
// OF selects the gateways of the variables, SERVER their servers too. A query is [expression, legend].
export const OF = 'job=~"$job", instance=~"$instance"';
export const SERVER = `${OF}, server=~"$server"`;
export const W = '$__rate_interval';

/** A value by a fact, from all gateways. */
export const rate = (name, by, of = OF) => `sum by (${by}) (rate(${name}{${of}}[${W}]))`;
export const increase = (name, by, of = OF) => `sum by (${by}) (increase(${name}{${of}}[${W}]))`;
export const quantile = (q, name, by, of) =>
  `histogram_quantile(${q}, sum by (${['le', ...by].join(', ')}) (rate(${name}_bucket{${of}}[${W}])))`;
export const quantiles = (name, of) => [
  [quantile(0.5, name, [], of), 'p50'],
  [quantile(0.95, name, [], of), 'p95'],
  [quantile(0.99, name, [], of), 'p99'],
];

/** A part of a whole: 0 where there is a whole and no part. */
export const share = (part, whole) => `(${part} or 0 * ${whole}) / ${whole}`;

export const stat = (title, unit, description, queries, more) => ({
  kind: 'stat',
  title,
  unit,
  description,
  queries,
  ...more,
});
export const graph = (title, unit, description, queries, more) => ({
  kind: 'timeseries',
  title,
  unit,
  description,
  queries,
  ...more,
});

/** Colours from these values on; the first is that of everything below the second. */
export const RED_BELOW_1 = [
  ['red', null],
  ['green', 1],
];
export const RED_FROM_1 = [
  ['green', null],
  ['red', 1],
];
export const YELLOW_FROM_1 = [
  ['green', null],
  ['yellow', 1],
];
export const rises = (yellow, red) => [
  ['green', null],
  ['yellow', yellow],
  ['red', red],
];
