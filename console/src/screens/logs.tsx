/** The log of the gateway, as it comes. */
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { ServerStatus } from '../../../src/admin/schemas.js';
import { logs } from '../data/live.js';
import { count, timeOfDay } from '../format.js';
import { place } from '../router.js';
import { Empty, Status, Title } from '../ui/basics.js';
import { Choice, SearchField } from '../ui/filters.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const MARKS: Readonly<Record<(typeof LEVELS)[number], ServerStatus['level']>> = {
  debug: 'wait',
  info: 'off',
  warn: 'attention',
  error: 'failed',
};
const SHOWN = 300;

export function Logs(): JSX.Element {
  const { query } = place.value;
  const q = (query.get('q') ?? '').toLowerCase();
  const least = LEVELS.indexOf((query.get('level') ?? 'debug') as (typeof LEVELS)[number]);
  const lines = logs.value;
  const found = useMemo(
    () =>
      lines.filter(
        (line) =>
          LEVELS.indexOf(line.level) >= least &&
          (q === '' || `${line.message} ${JSON.stringify(line.fields)}`.toLowerCase().includes(q)),
      ),
    [lines, q, least],
  );
  return (
    <>
      <Title>Log</Title>
      {lines.length === 0 ? (
        <Empty commands={['mcpstead logs -f']}>
          The gateway has logged nothing since this page was opened.
        </Empty>
      ) : (
        <>
          <div class="filters">
            <SearchField label="Search the log" />
            <Choice
              name="level"
              label="Level"
              none="debug"
              options={LEVELS.map((level) => [level, level === 'debug' ? 'all levels' : `from ${level}`])}
            />
            <span class="dim" role="status">
              {count(found.length)}
            </span>
          </div>
          <ul class="rows">
            {found
              .slice(-SHOWN)
              .reverse()
              .map((line, n) => (
                <li key={`${line.time} ${n}`} class="log-row">
                  <time class="number dim" dateTime={line.time}>
                    {timeOfDay(line.time)}
                  </time>
                  <Status level={MARKS[line.level]} word={line.level} />
                  <bdi>{line.message}</bdi>
                  <span class="break dim">
                    {Object.entries(line.fields)
                      .map(([name, value]) => `${name}=${value}`)
                      .join('  ')}
                  </span>
                </li>
              ))}
          </ul>
        </>
      )}
    </>
  );
}
