/** The frame of all screens: where one can go, whether the data is live, and what is announced. */
import { computed, effect, useSignal } from '@preact/signals';
import type { ComponentType, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { key, signOut } from './data/api.js';
import {
  connection,
  heard,
  isOperator,
  isRoleless,
  me,
  now,
  openApprovals,
  readMe,
  servers,
} from './data/live.js';
import { fleet, isGone, replica, show } from './data/replica.js';
import { age, count } from './format.js';
import { helpOpen, keysOn, setKeys, type Letters } from './keys.js';
import { place, to } from './router.js';
import { Activity, CallPage } from './screens/activity.js';
import { Prompts, Resources, Tools } from './screens/catalog.js';
import { Clients } from './screens/clients.js';
import { Config } from './screens/config.js';
import { Connections } from './screens/connections.js';
import { Explain } from './screens/explain.js';
import { PromptPage, ResourcePage, ToolPage } from './screens/items.js';
import { Logs } from './screens/logs.js';
import { Overview } from './screens/overview.js';
import { Pins } from './screens/pins.js';
import { ServerPage } from './screens/server.js';
import { Servers } from './screens/servers.js';
import { SignIns } from './screens/sign-ins.js';
import { NoRole, SignIn } from './signin.js';
import { announced } from './ui/announce.js';
import { Button, Empty, Loading, Title } from './ui/basics.js';
import { Lazy, LazyApprovals } from './ui/lazy.js';

interface Screen {
  readonly id: string;
  readonly text: string;
  readonly letter: string;
  readonly shown: () => boolean;
}

const always = (): boolean => true;
const SCREENS: readonly Screen[] = [
  { id: '', text: 'Overview', letter: 'o', shown: always },
  { id: 'servers', text: 'Servers', letter: 's', shown: always },
  { id: 'tools', text: 'Tools', letter: 't', shown: always },
  { id: 'prompts', text: 'Prompts', letter: 'p', shown: always },
  { id: 'resources', text: 'Resources', letter: 'r', shown: always },
  { id: 'activity', text: 'Activity', letter: 'a', shown: always },
  {
    id: 'approvals',
    text: 'Approvals',
    letter: 'v',
    shown: () => me.value?.has.approvals === true,
  },
  {
    id: 'connections',
    text: 'Connections',
    letter: 'm',
    shown: () => me.value?.has.connections === true,
  },
  {
    id: 'sign-ins',
    text: 'Sign-ins',
    letter: 'i',
    shown: () => me.value?.has.sign_ins === true,
  },
  { id: 'clients', text: 'Clients', letter: 'c', shown: always },
  { id: 'charts', text: 'Charts', letter: 'h', shown: always },
  { id: 'config', text: 'Config', letter: 'f', shown: always },
  { id: 'explain', text: 'See as', letter: 'e', shown: () => me.value?.has.explain === true },
  { id: 'pins', text: 'Pins', letter: 'n', shown: () => me.value?.has.pins === true },
  { id: 'logs', text: 'Log', letter: 'l', shown: () => me.value?.has.logs === true && isOperator() },
];

const screens = computed(() => SCREENS.filter(({ shown }) => shown()));
export const letters = (): Letters =>
  new Map(screens.value.map(({ letter, id }) => [letter, to(id === '' ? [] : [id])]));

export function App(): JSX.Element {
  if (key.value === null) return <SignIn />;
  if (isRoleless.value || me.value?.role === 'none') return <NoRole />;
  if (!me.value && isGone())
    return (
      <main class="signin">
        <Gone />
      </main>
    );
  if (!me.value) return <Waiting />;
  return <Frame />;
}

/** The key is there, but the gateway has not said whose it is. */
function Waiting(): JSX.Element {
  return (
    <main class="signin">
      <h1>mcpstead console</h1>
      {connection.value === 'lost' ? (
        <>
          <p class="note failed" role="alert">
            <span aria-hidden="true">✕ </span>The gateway cannot be reached.
          </p>
          <p class="actions">
            <Button kind="main" onClick={() => void readMe()}>
              Try again
            </Button>
          </p>
        </>
      ) : (
        <Loading what="who is signed in" />
      )}
    </main>
  );
}

function Frame(): JSX.Element {
  const menu = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const here = place.value.path.join('/');
  const first = useRef(true);
  useEffect(() => {
    menu.value = false;
    scrollTo(0, 0);
    // The first screen leaves the focus at the beginning of the page.
    if (!first.current) main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
    first.current = false;
  }, [here]);
  const [part = ''] = place.value.path;
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        To the content
      </a>
      <header>
        <button
          type="button"
          class="menu quiet"
          aria-label="Menu"
          aria-expanded={menu.value}
          aria-controls="nav"
          onClick={() => (menu.value = !menu.value)}
        >
          <span aria-hidden="true">☰</span>
        </button>
        <a class="brand" href={to([])}>
          mcpstead
        </a>
        <Health />
        <Replicas />
        <span class="grow" />
        <Live />
        <Who />
      </header>
      <nav id="nav" aria-label="Screens" class={menu.value ? 'open' : ''}>
        <ul>
          {screens.value.map(({ id, text }) => (
            <li key={id}>
              <a
                href={to(id === '' ? [] : [id])}
                {...(part === id ? { 'aria-current': 'page' as const } : {})}
              >
                {text}
                {id === 'approvals' ? <Waits /> : null}
              </a>
            </li>
          ))}
        </ul>
        <Button kind="quiet" onClick={() => (helpOpen.value = true)}>
          Keys
        </Button>
      </nav>
      <main id="main" ref={main} tabIndex={-1}>
        <Differs />
        {isGone() ? <Gone /> : <Shown />}
      </main>
      <Help />
      <div class="hidden" role="status" aria-live="polite">
        {announced.value}
      </div>
    </div>
  );
}

function Shown(): JSX.Element {
  const [part = '', item] = place.value.path;
  if (!SCREENS.some(({ id }) => id === part)) return <Nothing />;
  if (!screens.value.some(({ id }) => id === part))
    return (
      <>
        <Title>{SCREENS.find(({ id }) => id === part)?.text ?? ''}</Title>
        <Empty>This gateway or your role ({me.value?.role}) does not have this screen.</Empty>
      </>
    );
  switch (part) {
    case '':
      return <Overview />;
    case 'servers':
      return item === undefined ? <Servers /> : <ServerPage key={item} name={item} />;
    case 'tools':
      return item === undefined ? <Tools /> : <ToolPage key={item} name={item} />;
    case 'prompts':
      return item === undefined ? <Prompts /> : <PromptPage key={item} name={item} />;
    case 'resources':
      return item === undefined ? <Resources /> : <ResourcePage key={item} uri={item} />;
    case 'activity':
      return item === undefined ? <Activity /> : <CallPage key={item} id={item} />;
    case 'approvals':
      return <LazyApprovals {...(item === undefined ? {} : { id: item })} />;
    case 'connections':
      return <Connections />;
    case 'sign-ins':
      return <SignIns />;
    case 'clients':
      return <Clients />;
    case 'config':
      return <Config />;
    case 'explain':
      return <Explain />;
    case 'pins':
      return <Pins />;
    case 'logs':
      return <Logs />;
    default:
      return <Lazy what="charts" load={charts} />;
  }
}

function Nothing(): JSX.Element {
  return (
    <>
      <Title>Nothing here</Title>
      <Empty>
        No screen has this address. <a href={to([])}>Overview</a>
      </Empty>
    </>
  );
}

/** Charts need a library that no other screen needs. */
const charts = (): Promise<ComponentType> => import('./screens/charts.js').then(({ Charts }) => Charts);

/** How many calls wait for a yes. */
function Waits(): JSX.Element | null {
  const open = openApprovals.value ?? 0;
  return open === 0 ? null : (
    <>
      {' '}
      <span class="tag number">
        {count(open)}
        <span class="hidden"> waiting</span>
      </span>
    </>
  );
}

/** How many servers are up, on every screen. */
function Health(): JSX.Element | null {
  const list = servers.value;
  if (!list || list.length === 0) return null;
  const wanted = list.filter(({ level }) => level !== 'off');
  const up = wanted.filter(({ level }) => level === 'ok').length;
  return (
    <span class={`number ${up < wanted.length ? 'some-down' : ''}`}>
      {count(up)} of {count(wanted.length)} up
    </span>
  );
}

/** Chooses the replica that the screens show, where there are several. */
function Replicas(): JSX.Element | null {
  const known = fleet.value;
  if (!known || (known.replicas.length < 2 && replica === '')) return null;
  return (
    <label class="replica">
      <span>Replica</span>
      <select value={replica} onChange={(event) => show(event.currentTarget.value)}>
        <option value="">the one that answers</option>
        {known.replicas.map(({ replica: id, name, draining }) => (
          <option key={id} value={id}>
            {name} · {id}
            {draining ? ' · draining' : ''}
          </option>
        ))}
        {isGone() ? <option value={replica}>{replica} · gone</option> : null}
      </select>
    </label>
  );
}

/** In what the replicas differ, once that is a warning. */
function Differs(): JSX.Element | null {
  const known = fleet.value;
  const warned = known?.differs.filter((each) => each.warned) ?? [];
  if (!known || warned.length === 0) return null;
  const names = new Map(known.replicas.map((each) => [each.replica, each.name]));
  return (
    <>
      {warned.map(({ what, groups }) => (
        <p class="note failed" role="status" key={what}>
          <span aria-hidden="true">✕ </span>
          {what === 'config'
            ? 'The replicas have different configurations: '
            : 'The replicas list different tools, prompts or resources: '}
          <bdi>
            {groups.map((ids) => ids.map((id) => `${names.get(id) ?? ''} (${id})`).join(', ')).join(' | ')}
          </bdi>
        </p>
      ))}
    </>
  );
}

function Gone(): JSX.Element {
  return (
    <>
      <Title>Replica {replica}</Title>
      <Empty>This replica has ended, or has started again under another id.</Empty>
      <p class="actions">
        <Button kind="main" onClick={() => show('')}>
          Show the one that answers
        </Button>
      </p>
    </>
  );
}

function Live(): JSX.Element {
  if (connection.value === 'live')
    return (
      <span class="status ok">
        <span class="mark" aria-hidden="true">
          ●
        </span>{' '}
        live
      </span>
    );
  const since = heard.value === 0 ? '' : `, data ${age(now.value - heard.value)} old`;
  return (
    <span class={`status ${connection.value === 'lost' ? 'failed' : 'wait'}`}>
      <span class="mark" aria-hidden="true">
        {connection.value === 'lost' ? '✕' : '◐'}
      </span>{' '}
      {connection.value === 'lost' ? `not connected${since}` : 'connecting'}
    </span>
  );
}

function Who(): JSX.Element | null {
  const known = me.value;
  if (!known) return null;
  return (
    <details class="who">
      <summary>{known.role}</summary>
      <div>
        <p>
          <bdi>{known.principal.name}</bdi>
        </p>
        <p class="dim">
          mcpstead {known.version} ({known.git_sha})
          <br />
          this replica: <bdi>{known.replica}</bdi>
          <br />
          {known.state}, endpoint <code class="break">{known.endpoint}</code>
        </p>
        <Button onClick={() => signOut(null)}>Sign out</Button>
      </div>
    </details>
  );
}

function Help(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(
    () =>
      effect(() => {
        if (helpOpen.value) dialog.current?.showModal();
        else dialog.current?.close();
      }),
    [],
  );
  return (
    <dialog ref={dialog} aria-labelledby="keys-title" onClose={() => (helpOpen.value = false)}>
      <h2 id="keys-title">Keys</h2>
      <dl class="keys">
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>search on this screen</dd>
        <dt>
          <kbd>j</kbd> <kbd>k</kbd>
        </dt>
        <dd>next, previous row</dd>
        <dt>
          <kbd>Ctrl</kbd> <kbd>⏎</kbd>
        </dt>
        <dd>call, get or read</dd>
        {screens.value.map(({ letter, text }) => (
          <>
            <dt>
              <kbd>g</kbd> <kbd>{letter}</kbd>
            </dt>
            <dd>{text}</dd>
          </>
        ))}
      </dl>
      <p>
        <label class="check">
          <input
            type="checkbox"
            checked={keysOn.value}
            onChange={(event) => setKeys(event.currentTarget.checked)}
          />{' '}
          Use these keys
        </label>
      </p>
      <p class="actions">
        <Button kind="main" onClick={() => (helpOpen.value = false)}>
          Close
        </Button>
      </p>
    </dialog>
  );
}
