/** The last hour of each server, drawn and as a table. */
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Series } from '../../../src/admin/schemas.js';
import { series } from '../data/live.js';
import { bytes, count, duration, timeOfDay, UNKNOWN } from '../format.js';
import { place, setQuery } from '../router.js';
import { Empty, Tabs, Title } from '../ui/basics.js';
import { Choice, same } from '../ui/filters.js';

type Metric = keyof Series['servers'][string];

interface Drawn {
  readonly id: Metric;
  readonly text: string;
  readonly show: (value: number) => string;
  /** Its values are whole numbers. */
  readonly whole?: boolean;
}

const METRICS: readonly [Drawn, ...Drawn[]] = [
  { id: 'calls', text: 'Calls', show: count, whole: true },
  { id: 'failed', text: 'Failures', show: count, whole: true },
  { id: 'p50_ms', text: 'p50', show: duration },
  { id: 'p95_ms', text: 'p95', show: duration },
  { id: 'in_flight', text: 'In flight', show: count, whole: true },
  { id: 'bytes', text: 'Bytes', show: bytes },
];
const DASHES: readonly number[][] = [[], [6, 3], [2, 3], [10, 3, 2, 3]];
const COLOURS = 6;
const HEIGHT = 260;
const ROWS = 60;
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 1_000_000];

export function Charts(): JSX.Element {
  const all = series.value;
  const { query } = place.value;
  const metric = METRICS.find(({ id }) => id === query.get('metric')) ?? METRICS[0];
  const only = query.get('server') ?? '';
  const names = useMemo(() => Object.keys(all?.servers ?? {}).sort(), [all]);
  const shown = only === '' ? names : names.filter((name) => name === only);
  const times = useMemo(() => timesOf(all), [all]);
  return (
    <>
      <Title>Charts</Title>
      {!all || times.length < 2 || names.length === 0 ? (
        <Empty>Nothing yet: a line needs two intervals of 10 s.</Empty>
      ) : (
        <>
          <div class="actions">
            <Tabs
              label="What is drawn"
              now={metric.id}
              pick={(id) => setQuery({ metric: id === 'calls' ? undefined : id })}
              tabs={METRICS.map(({ id, text }) => ({ id, text }))}
            />
            <Choice name="server" label="Server" options={[['', 'all servers'], ...same(names)]} />
            <span class="dim">each point: {duration(all.step_ms)}</span>
          </div>
          <Legend names={shown} />
          <Plot all={all} metric={metric} names={shown} times={times} />
          <Table all={all} metric={metric} names={shown} times={times} />
        </>
      )}
    </>
  );
}

/** Seconds since 1970 of each point. */
function timesOf(all: Series | null): number[] {
  if (!all) return [];
  const length = Math.max(0, ...Object.values(all.servers).map(({ calls }) => calls.length));
  const end = Date.parse(all.until);
  return Array.from({ length }, (_, n) => (end - (length - 1 - n) * all.step_ms) / 1_000);
}

/** Values of a server, aligned at the end. */
function valuesOf(all: Series, name: string, metric: Metric, length: number): (number | null)[] {
  const values: readonly (number | null)[] = all.servers[name]?.[metric] ?? [];
  return [...Array<null>(Math.max(0, length - values.length)).fill(null), ...values];
}

function Legend({ names }: { names: readonly string[] }): JSX.Element {
  return (
    <ul class="legend">
      {names.map((name, n) => (
        <li key={name}>
          <svg width="28" height="8" aria-hidden="true" class={`line c${n % COLOURS}`}>
            <line x1="0" y1="4" x2="28" y2="4" stroke-dasharray={dashOf(n).join(' ')} />
          </svg>{' '}
          <bdi>{name}</bdi>
        </li>
      ))}
    </ul>
  );
}

const dashOf = (n: number): readonly number[] => DASHES[n % DASHES.length] ?? [];

interface Shown {
  readonly all: Series;
  readonly metric: Drawn;
  readonly names: readonly string[];
  readonly times: readonly number[];
}

function Plot({ all, metric, names, times }: Shown): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useMemo(
    (): uPlot.AlignedData => [
      [...times],
      ...names.map((name) => valuesOf(all, name, metric.id, times.length)),
    ],
    [all, metric, names.join('\n'), times],
  );
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const colour = colourOf(element);
    const axis = { stroke: colour('--chart-text'), grid: { stroke: colour('--chart-grid'), width: 1 } };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        axes: [
          { ...axis, values: (_plot, ticks) => ticks.map((tick) => timeOfDay(tick * 1_000)), space: 90 },
          {
            ...axis,
            size: 70,
            ...(metric.whole ? { incrs: WHOLE } : {}),
            values: (_plot, ticks) => ticks.map((tick) => metric.show(tick)),
          },
        ],
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.05)] } },
        series: [
          {},
          ...names.map((name, n) => ({
            label: name,
            stroke: colour(`--chart-${n % COLOURS}`),
            width: 2,
            dash: [...dashOf(n)],
            points: { show: false },
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [metric, names.join('\n'), useScheme()]);
  useEffect(() => plot.current?.setData(data), [data]);
  return (
    <div
      class="chart"
      ref={box}
      role="img"
      aria-label={`${metric.text} of the last hour; the table below has the numbers`}
    />
  );
}

/** What a custom property is in the theme of now: a canvas does not know light-dark(). */
function colourOf(element: HTMLElement): (name: string) => string {
  return (name) => {
    element.style.color = `var(${name})`;
    const { color } = getComputedStyle(element);
    element.style.color = '';
    return color;
  };
}

/** Changes with the theme: a canvas keeps the colours that it was drawn with. */
function useScheme(): boolean {
  return matchMedia('(prefers-color-scheme: dark)').matches;
}

function Table({ all, metric, names, times }: Shown): JSX.Element {
  const columns = names.map((name) => valuesOf(all, name, metric.id, times.length));
  const from = Math.max(0, times.length - ROWS);
  return (
    <details>
      <summary>As a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label="Numbers of the chart">
        <table>
          <thead>
            <tr>
              <th scope="col">Until</th>
              {names.map((name) => (
                <th key={name} scope="col" class="number">
                  <bdi>{name}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {times
              .slice(from)
              .map((time, n) => (
                <tr key={time}>
                  <th scope="row" class="number">
                    {timeOfDay(time * 1_000)}
                  </th>
                  {columns.map((values, column) => {
                    const value = values[from + n] ?? null;
                    return (
                      <td key={column} class="number">
                        {value === null ? UNKNOWN : metric.show(value)}
                      </td>
                    );
                  })}
                </tr>
              ))
              .reverse()}
          </tbody>
        </table>
      </div>
    </details>
  );
}
