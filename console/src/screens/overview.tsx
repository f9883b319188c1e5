/** Who needs somebody first. */
import type { JSX } from 'preact';
import type { Server, ServerStatus } from '../../../src/admin/schemas.js';
import { calls, me, servers } from '../data/live.js';
import { count, duration, plural, share, UNKNOWN } from '../format.js';
import { to } from '../router.js';
import { Age, Empty, Figure, Foreign, Loading, Spark, Status, Title } from '../ui/basics.js';
import { WayOut } from '../ui/way-out.js';
import { CallRows, hasFailed } from './call-rows.js';

const URGENCY: readonly ServerStatus['level'][] = ['failed', 'attention', 'wait', 'ok', 'off'];
const LATEST = 8;

export const byUrgency = (list: readonly Server[]): Server[] =>
  [...list].sort((a, b) => URGENCY.indexOf(a.level) - URGENCY.indexOf(b.level) || (a.name < b.name ? -1 : 1));

export function Overview(): JSX.Element {
  const list = servers.value;
  if (!list) return <Loading what="the servers" />;
  const failures = [...calls.value.values()]
    .filter(hasFailed)
    .sort((a, b) => (a.started < b.started ? 1 : -1))
    .slice(0, LATEST);
  const needs = list.filter(({ level }) => level === 'failed' || level === 'attention');
  return (
    <>
      <Title>Overview</Title>
      <Totals list={list} />
      {list.length === 0 ? (
        <Empty
          commands={[
            'mcpstead add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents',
            'mcpstead init',
          ]}
        >
          No servers are configured. The first command adds one, the second takes over those of your clients.
        </Empty>
      ) : (
        <>
          {needs.length > 0 ? (
            <section aria-label="Needs somebody">
              <h2>{plural(needs.length, 'server needs', 'servers need')} somebody</h2>
              <ul class="cards">
                {byUrgency(needs).map((server) => (
                  <li key={server.name} class={`card ${server.level}`} data-row>
                    <div class="row">
                      <a class="name" href={to(['servers', server.name])}>
                        <bdi>{server.name}</bdi>
                      </a>
                      <Status level={server.level} word={server.word} />
                      <span class="dim">
                        for <Age time={server.since} />
                      </span>
                      {server.required ? <span class="tag">required</span> : null}
                    </div>
                    {server.cause === null ? null : <Foreign text={server.cause} block />}
                    <WayOut action={server.action} name={server.name} />
                  </li>
                ))}
              </ul>
            </section>
          ) : null}
          <section aria-label="Servers">
            <h2>{needs.length > 0 ? 'The others' : 'Servers'}</h2>
            <ServerRows list={byUrgency(list.filter((server) => !needs.includes(server)))} />
          </section>
        </>
      )}
      {failures.length > 0 ? (
        <section aria-label="Latest failures">
          <h2>
            Latest failed calls <a href={to(['activity'], { outcome: 'failed' })}>all</a>
          </h2>
          <CallRows calls={failures} />
        </section>
      ) : list.some(({ calls_per_minute: perMinute }) => perMinute > 0) || list.length === 0 ? null : (
        <p class="dim">
          No calls in the last minute. Clients connect to <code>{me.value?.endpoint}</code>; to make one here,
          open a tool in <a href={to(['tools'])}>Tools</a>.
        </p>
      )}
    </>
  );
}

function Totals({ list }: { list: readonly Server[] }): JSX.Element {
  const sum = (of: (server: Server) => number): number =>
    list.reduce((total, server) => total + of(server), 0);
  const wanted = list.filter(({ level }) => level !== 'off');
  const up = wanted.filter(({ level }) => level === 'ok').length;
  const perMinute = sum(({ calls_per_minute: each }) => each);
  const failed = sum(({ calls_per_minute: each, failed_share: part }) => each * (part ?? 0));
  return (
    <div class="figures">
      <Figure
        value={`${count(up)} of ${count(wanted.length)}`}
        label="up"
        kind={up < wanted.length ? 'failed' : ''}
      />
      <Figure value={count(sum(({ tools }) => tools))} label="tools" />
      <Figure
        value={sum(({ tokens }) => tokens) > 0 ? `~${count(sum(({ tokens }) => tokens))}` : UNKNOWN}
        label="tokens"
      />
      <Figure value={count(perMinute)} label="calls/min" />
      <Figure value={perMinute > 0 ? share(failed / perMinute) : UNKNOWN} label="failed, last minute" />
      <Figure value={count(sum(({ in_flight: open }) => open))} label="in flight" />
    </div>
  );
}

export function ServerRows({ list }: { list: readonly Server[] }): JSX.Element {
  if (list.length === 0) return <p class="dim">None.</p>;
  return (
    <ul class="rows">
      {list.map((server) => (
        <li key={server.name} class="server-row" data-row>
          <a class="name" href={to(['servers', server.name])}>
            <bdi>{server.name}</bdi>
          </a>
          <Status level={server.level} word={server.word} />
          <span class="dim era">{server.era === null ? '' : `${server.era} ${server.revision ?? ''}`}</span>
          <span class="number">{server.level === 'ok' ? plural(server.tools, 'tool') : ''}</span>
          <span class="number" title="95 of 100 calls of the last minute were faster">
            {server.p95_ms === null ? '' : `p95 ${duration(server.p95_ms)}`}
          </span>
          <span class="number">{server.level === 'ok' ? `${count(server.calls_per_minute)}/min` : ''}</span>
          {server.level === 'ok' ? (
            <Spark
              values={server.recent}
              label={`${plural(
                server.recent.reduce((a, b) => a + b, 0),
                'call',
              )} in 5 minutes`}
            />
          ) : (
            <span class="dim">
              <Age time={server.since} />
            </span>
          )}
          {server.cause !== null && server.level !== 'ok' ? (
            <span class="cause">
              <bdi>{server.cause}</bdi>
            </span>
          ) : null}
        </li>
      ))}
    </ul>
  );
}
