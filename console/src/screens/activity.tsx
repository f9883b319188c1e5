/** Calls in flight and finished, and one of them. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { Call, CallDetail } from '../../../src/admin/schemas.js';
import { post, type Failure } from '../data/api.js';
import { calls, dropped, isOperator, me, now, since } from '../data/live.js';
import { Capturing } from './capturing.js';
import { bytes, count, dateAndTime, duration, plural, UNKNOWN } from '../format.js';
import { place, to } from '../router.js';
import { announce } from '../ui/announce.js';
import { Button, Crumbs, Empty, Loading, Problem, Title } from '../ui/basics.js';
import { Choice, same, SearchField } from '../ui/filters.js';
import { useLoad } from '../ui/load.js';
import { CallRows, hasFailed, nameOf, OutcomeOf, reasonOf } from './call-rows.js';

const SHOWN = 200;
const RANGES: Readonly<Record<string, number>> = { '1m': 60_000, '5m': 300_000, '1h': 3_600_000 };

function matches(call: Call, query: URLSearchParams): boolean {
  const is = (name: string, value: string | null): boolean => {
    const wanted = query.get(name);
    return wanted === null || wanted === '' || wanted === value;
  };
  const outcome = query.get('outcome') ?? '';
  const range = RANGES[query.get('since') ?? ''];
  const q = (query.get('q') ?? '').toLowerCase();
  return (
    is('server', call.server) &&
    is('client', call.client.name) &&
    (outcome === '' ||
      (outcome === 'open' && call.state === 'open') ||
      (outcome === 'failed' && hasFailed(call)) ||
      outcome === call.outcome) &&
    (range === undefined || since(call.started) <= range) &&
    (q === '' || nameOf(call).toLowerCase().includes(q))
  );
}

export function Activity(): JSX.Element {
  const { query } = place.value;
  const all = calls.value;
  // Without a filter by time, the clock changes nothing.
  const tick = query.get('since') === null ? 0 : now.value;
  const found = useMemo(
    () =>
      [...all.values()]
        .filter((call) => matches(call, query))
        .sort((a, b) => (a.started < b.started ? 1 : a.started > b.started ? -1 : 0)),
    [all, query, tick],
  );
  const open = found.filter(({ state }) => state === 'open');
  const over = found.filter(({ state }) => state === 'over');
  return (
    <>
      <Title>Activity</Title>
      {all.size === 0 ? (
        <Empty commands={me.value ? [`mcpstead call TOOL --url ${new URL(me.value.endpoint).origin}`] : []}>
          No calls yet. While this page is open it shows all of them; before, failed and slow ones were kept.
          Arguments and results are never kept.
        </Empty>
      ) : (
        <>
          <Filters all={all} found={found.length} />
          {isOperator() ? <Capturing /> : null}
          {open.length > 0 ? (
            <section aria-label="In flight">
              <h2>In flight ({count(open.length)})</h2>
              <CallRows calls={open.slice(0, SHOWN)} />
            </section>
          ) : null}
          <section aria-label="Finished">
            <h2>Finished</h2>
            {over.length === 0 ? (
              <p class="dim">None with these filters.</p>
            ) : (
              <CallRows calls={over.slice(0, SHOWN)} />
            )}
            {over.length > SHOWN ? (
              <p class="dim">{plural(over.length - SHOWN, 'older call')} not shown: narrow the filters.</p>
            ) : null}
          </section>
          {dropped.value > 0 ? (
            <p class="note attention">
              {plural(dropped.value, 'call')} left out, because this page was too slow.
            </p>
          ) : null}
        </>
      )}
    </>
  );
}

function Filters({ all, found }: { all: ReadonlyMap<string, Call>; found: number }): JSX.Element {
  const values = (of: (call: Call) => string | null): string[] =>
    [...new Set([...all.values()].map(of))].filter((value) => value !== null).sort();
  return (
    <div class="filters">
      <SearchField label="Name of the tool" hint="Tool, prompt or resource" />
      <Choice
        name="server"
        label="Server"
        options={[['', 'all servers'], ...same(values(({ server }) => server))]}
      />
      <Choice
        name="client"
        label="Client"
        options={[['', 'all clients'], ...same(values(({ client }) => client.name))]}
      />
      <Choice
        name="outcome"
        label="Outcome"
        options={[
          ['', 'all outcomes'],
          ['open', 'in flight'],
          ['failed', 'failed'],
          ['ok', 'ok'],
          ['cancelled', 'cancelled'],
        ]}
      />
      <Choice
        name="since"
        label="Time"
        options={[
          ['', 'any time'],
          ['1m', 'last minute'],
          ['5m', 'last 5 minutes'],
          ['1h', 'last hour'],
        ]}
      />
      <span class="dim" role="status">
        {found === all.size ? count(found) : `${count(found)} of ${count(all.size)}`}
      </span>
    </div>
  );
}

export function CallPage({ id }: { id: string }): JSX.Element {
  const live = calls.value.get(id);
  const answer = useLoad<CallDetail>(`calls/${encodeURIComponent(id)}`, live?.state);
  const failed = useSignal<Failure | null>(null);
  const detail = answer.value.value;
  const call: Call | null = live ?? detail;
  if (!call && answer.failure.value)
    return (
      <>
        <Crumbs links={[['Activity', ['activity']]]} here="a call" />
        {answer.failure.value.status === 404 ? (
          <Empty>This call is not kept any more. The oldest ones are dropped first.</Empty>
        ) : (
          <Problem failure={answer.failure.value} retry={answer.again} />
        )}
      </>
    );
  if (!call) return <Loading what="the call" />;
  return (
    <>
      <Crumbs links={[['Activity', ['activity']]]} here={nameOf(call)} />
      <div class="card">
        <div class="row">
          <OutcomeOf call={call} />
          <span class="number">{duration(call.ms ?? Math.max(0, since(call.started)))}</span>
          <span class="dim">{dateAndTime(call.started)}</span>
          {call.state === 'open' && isOperator() ? (
            <Button
              kind="danger"
              onClick={() =>
                void post(`calls/${encodeURIComponent(id)}/cancel`).then((result) => {
                  failed.value = result.ok ? null : result;
                  if (result.ok) announce('Cancelled');
                })
              }
            >
              Cancel
            </Button>
          ) : null}
        </div>
        {reasonOf(call) === '' ? null : (
          <p>
            <bdi>{reasonOf(call)}</bdi>
          </p>
        )}
        {call.outcome === 'tool_error' ? (
          <p>The tool answered that it failed (isError): what it said is part of the result.</p>
        ) : null}
        {failed.value ? <Problem failure={failed.value} /> : null}
      </div>
      <Waterfall call={call} />
      <dl class="facts">
        <dt>Method</dt>
        <dd>{call.method}</dd>
        <dt>Server</dt>
        <dd>
          {call.server === null ? (
            UNKNOWN
          ) : (
            <a href={to(['servers', call.server])}>
              <bdi>{call.server}</bdi>
            </a>
          )}
        </dd>
        <dt>Client</dt>
        <dd>
          <bdi>{call.client.name ?? 'unknown'}</bdi> <bdi>{call.client.version}</bdi>
        </dd>
        <dt>Person or key</dt>
        <dd>
          <bdi>{call.principal ?? UNKNOWN}</bdi>
        </dd>
        <dt>Eras</dt>
        <dd>
          client {call.client_era ?? UNKNOWN}, server {call.server_era ?? UNKNOWN}
        </dd>
        <dt>Endpoint</dt>
        <dd>{call.route ?? UNKNOWN}</dd>
        <dt>Session</dt>
        <dd>{call.session === null ? 'none' : `${call.session}...`}</dd>
        <dt>In, out</dt>
        <dd>
          {bytes(call.bytes_in)}, {bytes(call.bytes_out)}
        </dd>
        <dt>The server asked</dt>
        <dd>{call.asked.length === 0 ? 'nothing' : call.asked.join(', ')}</dd>
        {call.trace === null ? null : (
          <>
            <dt>Trace</dt>
            <dd>
              <code class="break">{call.trace}</code>
            </dd>
          </>
        )}
      </dl>
      <Bodies call={call} detail={detail} />
    </>
  );
}

function Bodies({ call, detail }: { call: Call; detail: CallDetail | null }): JSX.Element {
  if (!call.captured)
    return (
      <p class="dim">
        Arguments and results are not kept, unless an operator captures them
        {isOperator() ? (
          <>
            : on <a href={to(['activity'])}>Activity</a>, Capture
          </>
        ) : null}
        .
      </p>
    );
  if (!isOperator()) return <p class="dim">Arguments and results were captured: operators can see them.</p>;
  return (
    <>
      <h2>Captured request</h2>
      <pre class="code" tabIndex={0}>
        {detail?.request ?? 'not kept'}
      </pre>
      <h2>Captured answer</h2>
      <pre class="code" tabIndex={0}>
        {detail?.response ?? 'not kept'}
      </pre>
    </>
  );
}

/** Where the time went. */
function Waterfall({ call }: { call: Call }): JSX.Element {
  const parts = [
    ['gateway', call.gateway_ms],
    ['wait', call.wait_ms],
    ['stream', call.stream_ms],
  ] as const;
  const total = parts.reduce((sum, [, ms]) => sum + (ms ?? 0), 0);
  if (total === 0 && parts.every(([, ms]) => ms === null))
    return (
      <p class="dim">
        {call.state === 'open' ? 'In flight: its times are known at its end.' : 'Its times are not known.'}
      </p>
    );
  let before = 0;
  return (
    <table class="waterfall">
      <caption class="hidden">Where the time went</caption>
      <tbody>
        {parts.map(([name, ms]) => {
          const left = total === 0 ? 0 : (before / total) * 100;
          const width = total === 0 ? 0 : ((ms ?? 0) / total) * 100;
          before += ms ?? 0;
          return (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="track" aria-hidden="true">
                <div class={`bar ${name}`} style={{ marginInlineStart: `${left}%`, width: `${width}%` }} />
              </td>
              <td class="number">{duration(ms)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
