/** One server: its state, what it offers, what happened to it, and what an operator can do about it. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Prompt, Resource, Server, ServerDetail, Tool, Transition } from '../../../src/admin/schemas.js';
import { post, type Failure } from '../data/api.js';
import { isOperator, listsVersion, servers } from '../data/live.js';
import { count, dateAndTime, duration, plural, share, timeOfDay, UNKNOWN } from '../format.js';
import { place, setQuery, to } from '../router.js';
import { SchemaView } from '../schema/tree.js';
import { announce } from '../ui/announce.js';
import { Age, Button, Copy, Crumbs, Empty, Foreign, Loading, Problem, Status, Tabs } from '../ui/basics.js';
import { rowsOf, useLoad } from '../ui/load.js';
import { WayOut } from '../ui/way-out.js';

export function ServerPage({ name }: { name: string }): JSX.Element {
  const server = servers.value?.find((each) => each.name === name);
  const path = `servers/${encodeURIComponent(name)}`;
  const detail = useLoad<ServerDetail>(path, `${server?.word} ${server?.since} ${listsVersion.value}`);
  const tab = place.value.query.get('tab') ?? 'about';
  if (!servers.value) return <Loading what="the servers" />;
  if (!server)
    return (
      <>
        <Crumbs links={[['Servers', ['servers']]]} here={name} />
        <Empty>No server has this name now. A reload of the configuration may have removed it.</Empty>
      </>
    );
  // Of a server that never answered nothing is known.
  const counted = (items: number): string => (server.era === null ? '' : ` (${count(items)})`);
  const tabs = [
    { id: 'about', text: 'About' },
    { id: 'tools', text: `Tools${counted(server.tools)}` },
    { id: 'prompts', text: `Prompts${counted(server.prompts)}` },
    { id: 'resources', text: `Resources${counted(server.resources)}` },
    { id: 'history', text: 'History' },
    ...(isOperator() ? [{ id: 'stderr', text: 'stderr' }] : []),
  ];
  return (
    <>
      <Crumbs links={[['Servers', ['servers']]]} here={name} />
      <div class={`card ${server.level}`}>
        <div class="row">
          <Status level={server.level} word={server.word} />
          <span class="dim">
            for <Age time={server.since} />
          </span>
          <span>{server.kind}</span>
          <code class="break">{server.target}</code>
          {server.required ? <span class="tag">required</span> : null}
        </div>
        {server.cause === null ? null : <Foreign text={server.cause} block />}
        <WayOut
          action={server.action}
          name={name}
          words={isOperator() && !/reload$/.test(server.action?.post ?? '')}
        />
        {isOperator() && !isDisabled(server) ? <Acts server={server} again={detail.again} /> : null}
      </div>
      <Tabs
        label="Parts of the server"
        tabs={tabs}
        now={tab}
        pick={(id) => setQuery({ tab: id === 'about' ? undefined : id })}
      />
      {detail.failure.value ? <Problem failure={detail.failure.value} retry={detail.again} /> : null}
      {tab === 'tools' ? (
        <Tools name={name} />
      ) : tab === 'prompts' ? (
        <Prompts name={name} />
      ) : tab === 'resources' ? (
        <Resources name={name} />
      ) : tab === 'history' ? (
        <History path={path} version={`${server.word} ${server.since} ${detail.value.value?.reconnects}`} />
      ) : tab === 'stderr' ? (
        <Stderr path={path} kind={server.kind} />
      ) : detail.value.value ? (
        <About detail={detail.value.value} server={server} />
      ) : detail.failure.value ? null : (
        <Loading what="the server" />
      )}
    </>
  );
}

/** The configuration disables it: the page cannot turn it on. */
const isDisabled = ({ level, action }: Server): boolean => level === 'off' && action?.post === undefined;

type Act = 'restart' | 'refresh' | 'enable' | 'disable';

function Acts({ server, again }: { server: Server; again: () => void }): JSX.Element {
  const failed = useSignal<Failure | null>(null);
  const busy = useSignal<Act | null>(null);
  // A restart that fails at once changes nothing else on the page.
  const said = useSignal<{ readonly text: string; readonly time: string } | null>(null);
  const act = (what: Act, done: string) => (): void => {
    busy.value = what;
    void post(`servers/${encodeURIComponent(server.name)}/${what}`).then((result) => {
      busy.value = null;
      failed.value = result.ok ? null : result;
      said.value = result.ok ? { text: done, time: new Date().toISOString() } : null;
      if (result.ok) announce(`${server.name}: ${done}`);
      again();
    });
  };
  const off = server.level === 'off';
  return (
    <>
      <p class="actions">
        {off ? (
          <Button kind="main" disabled={busy.value !== null} onClick={act('enable', 'switched on')}>
            Switch on
          </Button>
        ) : (
          <>
            <Button disabled={busy.value !== null} onClick={act('restart', 'restart begun')}>
              Restart
            </Button>{' '}
            <Button disabled={busy.value !== null} onClick={act('refresh', 'lists are read again')}>
              Refresh lists
            </Button>{' '}
            <Button kind="danger" disabled={busy.value !== null} onClick={act('disable', 'switched off')}>
              Switch off until reload
            </Button>
          </>
        )}
      </p>
      {said.value ? (
        <p class="dim">
          {timeOfDay(said.value.time)} {said.value.text}
        </p>
      ) : null}
      {failed.value ? <Problem failure={failed.value} /> : null}
    </>
  );
}

function About({ detail, server }: { detail: ServerDetail; server: Server }): JSX.Element {
  return (
    <>
      <dl class="facts">
        <dt>Says it is</dt>
        <dd>
          {detail.title === null ? UNKNOWN : <bdi>{detail.title}</bdi>} {detail.version ?? ''}
        </dd>
        <dt>Era</dt>
        <dd>
          {server.era ?? 'not known yet'} {server.revision ?? ''}
        </dd>
        {detail.legacy === null ? null : (
          <>
            <dt>For older clients</dt>
            <dd>
              {detail.legacy.state} {detail.legacy.revision ?? ''} <bdi>{detail.legacy.error}</bdi>
            </dd>
          </>
        )}
        <dt>Tokens of its tools</dt>
        <dd>{server.tokens > 0 ? `~${count(server.tokens)}` : UNKNOWN}</dd>
        <dt>Calls, last minute</dt>
        <dd>
          {count(server.calls_per_minute)}, {share(server.failed_share)} failed
        </dd>
        <dt>p50, p95</dt>
        <dd>
          {duration(server.p50_ms)}, {duration(server.p95_ms)}
        </dd>
        <dt>In flight</dt>
        <dd>{count(server.in_flight)}</dd>
        <dt>Failed connections</dt>
        <dd>{count(server.reconnects)}</dd>
        {/* Turning it off is no error. */}
        {detail.last_error === null || server.level === 'off' ? null : (
          <>
            <dt>Last error</dt>
            <dd>
              <Foreign text={detail.last_error} />
            </dd>
          </>
        )}
        {detail.lists
          .filter(({ stale, error }) => stale || error !== null)
          .map(({ kind, error }) => (
            <>
              <dt>List of {kind}</dt>
              <dd>
                may be out of date <bdi>{error}</bdi>
              </dd>
            </>
          ))}
      </dl>
      <h2>Capabilities</h2>
      {detail.capabilities === null ? (
        <p class="dim">Not known while it is not connected.</p>
      ) : (
        <pre class="code" tabIndex={0}>
          {JSON.stringify(detail.capabilities, null, 2)}
        </pre>
      )}
      <h2>Instructions</h2>
      {detail.capabilities === null ? (
        <p class="dim">Not known either.</p>
      ) : detail.instructions === null || detail.instructions === '' ? (
        <p class="dim">It gives none.</p>
      ) : (
        <pre class="said" dir="auto" tabIndex={0}>
          {detail.instructions}
        </pre>
      )}
    </>
  );
}

function Tools({ name }: { name: string }): JSX.Element {
  const answer = useLoad<unknown>(`tools?full=true&server=${encodeURIComponent(name)}`, listsVersion.value);
  if (answer.failure.value) return <Problem failure={answer.failure.value} retry={answer.again} />;
  if (!answer.value.value) return <Loading what="the tools" />;
  const tools = rowsOf<Tool>(answer.value.value, 'tools').filter(({ server }) => server === name);
  if (tools.length === 0) return <Empty>It offers no tools now.</Empty>;
  return (
    <ul class="items">
      {tools.map((tool) => (
        <li key={tool.name} data-row>
          <details>
            <summary>
              <bdi class="name">{tool.own_name}</bdi>{' '}
              <span class="number dim">~{count(tool.tokens)} tokens</span>
            </summary>
            <p class="actions">
              <a class="button" href={to(['tools', tool.name])}>
                Try
              </a>{' '}
              <Copy text={JSON.stringify(tool.definition, null, 2)}>Copy the definition</Copy>
            </p>
            {tool.description === null ? null : <Foreign text={tool.description} block />}
            <SchemaView title="Arguments" schema={tool.definition?.['inputSchema']} />
            {tool.definition?.['outputSchema'] === undefined ? null : (
              <SchemaView title="Result" schema={tool.definition['outputSchema']} />
            )}
          </details>
        </li>
      ))}
    </ul>
  );
}

function Prompts({ name }: { name: string }): JSX.Element {
  const answer = useLoad<unknown>(`prompts?server=${encodeURIComponent(name)}`, listsVersion.value);
  if (answer.failure.value) return <Problem failure={answer.failure.value} retry={answer.again} />;
  if (!answer.value.value) return <Loading what="the prompts" />;
  const prompts = rowsOf<Prompt>(answer.value.value, 'prompts').filter(({ server }) => server === name);
  if (prompts.length === 0) return <Empty>It offers no prompts now.</Empty>;
  return (
    <ul class="items">
      {prompts.map((prompt) => (
        <li key={prompt.name} data-row>
          <a class="name" href={to(['prompts', prompt.name])}>
            <bdi>{prompt.own_name}</bdi>
          </a>
          {prompt.description === null ? null : <Foreign text={prompt.description} block />}
        </li>
      ))}
    </ul>
  );
}

function Resources({ name }: { name: string }): JSX.Element {
  const answer = useLoad<unknown>(`resources?server=${encodeURIComponent(name)}`, listsVersion.value);
  if (answer.failure.value) return <Problem failure={answer.failure.value} retry={answer.again} />;
  if (!answer.value.value) return <Loading what="the resources" />;
  const resources = rowsOf<Resource>(answer.value.value, 'resources').filter(({ server }) => server === name);
  if (resources.length === 0) return <Empty>It offers no resources now.</Empty>;
  return (
    <ul class="items">
      {resources.map((resource) => (
        <li key={resource.uri} data-row>
          <a class="name break" href={to(['resources', resource.uri])}>
            <bdi>{resource.uri}</bdi>
          </a>
          {resource.template ? <span class="tag">template</span> : null}
          {resource.description === null ? null : <Foreign text={resource.description} block />}
        </li>
      ))}
    </ul>
  );
}

function History({ path, version }: { path: string; version: string }): JSX.Element {
  const answer = useLoad<unknown>(`${path}/history`, version);
  if (answer.failure.value) return <Problem failure={answer.failure.value} retry={answer.again} />;
  if (!answer.value.value) return <Loading what="the history" />;
  const rows = [...rowsOf<Transition>(answer.value.value, 'history')].reverse();
  if (rows.length === 0) return <Empty>Nothing has changed since the gateway started.</Empty>;
  return (
    <>
      <p class="dim">The last {plural(rows.length, 'change')}, newest first</p>
      <div class="scroll" tabIndex={0} role="region" aria-label="State changes">
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">State</th>
              <th scope="col">Cause</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ time, state, cause }, n) => (
              <tr key={n}>
                <td class="number">{dateAndTime(time)}</td>
                <td>{state}</td>
                <td>
                  <bdi>{cause}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Stderr({ path, kind }: { path: string; kind: Server['kind'] }): JSX.Element {
  const answer = useLoad<unknown>(kind === 'stdio' ? `${path}/stderr` : null);
  if (kind !== 'stdio') return <Empty>Only a server that the gateway starts (stdio) has a stderr.</Empty>;
  if (answer.failure.value) return <Problem failure={answer.failure.value} retry={answer.again} />;
  if (!answer.value.value) return <Loading what="stderr" />;
  const lines = rowsOf<string | { text: string }>(answer.value.value, 'lines').map((line) =>
    typeof line === 'string' ? line : line.text,
  );
  return (
    <>
      <p class="actions">
        <Button onClick={answer.again}>Read again</Button> <Copy text={lines.join('\n')} />{' '}
        <span class="dim">the last {plural(lines.length, 'line')}, secrets masked</span>
      </p>
      {lines.length === 0 ? (
        <Empty>It has written nothing to stderr.</Empty>
      ) : (
        <pre class="code" dir="auto" tabIndex={0}>
          {lines.join('\n')}
        </pre>
      )}
    </>
  );
}
