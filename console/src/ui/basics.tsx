/** Small parts that all screens use. Whatever a server says is rendered as text. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import type { ServerStatus } from '../../../src/admin/schemas.js';
import type { Failure } from '../data/api.js';
import { since } from '../data/live.js';
import { age, dateAndTime } from '../format.js';
import { to } from '../router.js';
import { announce } from './announce.js';

type Level = ServerStatus['level'];

/** A shape a level, so that colour is never the only sign. */
const MARKS: Readonly<Record<Level, string>> = { ok: '●', wait: '◐', attention: '▲', failed: '✕', off: '○' };

export function Status({ level, word }: { level: Level; word: string }): JSX.Element {
  return (
    <span class={`status ${level}`}>
      <span class="mark" aria-hidden="true">
        {MARKS[level]}
      </span>{' '}
      {word}
    </span>
  );
}

/** Text of a server or client: in its own direction. */
export function Foreign({ text, block }: { text: string; block?: boolean }): JSX.Element {
  return block ? (
    <p class="foreign" dir="auto">
      {text}
    </p>
  ) : (
    <bdi>{text}</bdi>
  );
}

export function Age({ time }: { time: string }): JSX.Element {
  return (
    <time dateTime={time} title={dateAndTime(time)}>
      {age(since(time))}
    </time>
  );
}

type ButtonProps = {
  readonly children: ComponentChildren;
  readonly onClick: () => void;
  readonly kind?: 'main' | 'danger' | 'quiet';
  readonly disabled?: boolean;
  readonly label?: string;
  readonly pressed?: boolean;
};

export function Button({ children, onClick, kind, disabled, label, pressed }: ButtonProps): JSX.Element {
  return (
    <button
      type="button"
      class={kind ?? ''}
      onClick={onClick}
      disabled={disabled ?? false}
      {...(label === undefined ? {} : { 'aria-label': label })}
      {...(pressed === undefined ? {} : { 'aria-pressed': pressed })}
    >
      {children}
    </button>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    announce('Copied');
  } catch {
    // Without a secure context there is no clipboard.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    announce('Copied');
  }
}

export function Copy({
  text,
  children = 'Copy',
  label,
}: {
  text: string;
  children?: string;
  label?: string;
}): JSX.Element {
  const done = useSignal(false);
  return (
    <Button
      kind="quiet"
      {...(label === undefined ? {} : { label })}
      onClick={() => {
        void copy(text).then(() => {
          done.value = true;
          setTimeout(() => (done.value = false), 1_500);
        });
      }}
    >
      {done.value ? 'Copied' : children}
    </Button>
  );
}

/** A command line with its button. */
export function Command({ text }: { text: string }): JSX.Element {
  return (
    <span class="command">
      <code>{text}</code> <Copy text={text} label={`Copy ${text}`} />
    </span>
  );
}

export function Problem({ failure, retry }: { failure: Failure; retry?: () => void }): JSX.Element {
  return (
    <div class="note failed" role="alert">
      <p>
        <strong>{failure.status === 403 ? 'Not for your role.' : 'This did not work.'}</strong>{' '}
        <bdi>{failure.message}</bdi>
        {failure.code === '' ? null : <small> ({failure.code})</small>}
      </p>
      {failure.action === null ? null : <p>{failure.action}</p>}
      {retry ? (
        <p>
          <Button onClick={retry}>Try again</Button>
        </p>
      ) : null}
    </div>
  );
}

export function Empty({
  children,
  commands = [],
}: {
  children: ComponentChildren;
  commands?: readonly string[];
}): JSX.Element {
  return (
    <div class="empty">
      <p>{children}</p>
      {commands.map((command) => (
        <p key={command}>
          <Command text={command} />
        </p>
      ))}
    </div>
  );
}

export const Loading = ({ what }: { what: string }): JSX.Element => <p class="empty">Reading {what} ...</p>;

/** A number with its unit, aligned. */
export const Figure = ({
  value,
  label,
  kind,
}: {
  value: string;
  label: string;
  kind?: string;
}): JSX.Element => (
  <div class={`figure ${kind ?? ''}`}>
    <b>{value}</b> <span>{label}</span>
  </div>
);

export function Spark({ values, label }: { values: readonly number[]; label: string }): JSX.Element {
  const top = Math.max(1, ...values);
  const step = 90 / Math.max(1, values.length - 1);
  const points = values.map((value, n) => `${(n * step).toFixed(1)},${(19 - (value / top) * 17).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 90 20" role="img" aria-label={label} width="90" height="20">
      <polyline points={points.join(' ')} />
    </svg>
  );
}

export interface Tab {
  readonly id: string;
  readonly text: string;
}

/** Links that change one member of the address, or buttons that change a state. */
export function Tabs({
  tabs,
  now,
  pick,
  label,
}: {
  tabs: readonly Tab[];
  now: string;
  pick: (id: string) => void;
  label: string;
}): JSX.Element {
  return (
    <div class="tabs" role="group" aria-label={label}>
      {tabs.map(({ id, text }) => (
        <button key={id} type="button" aria-pressed={id === now} onClick={() => pick(id)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** Where the page is: links to what is above it. */
export function Crumbs({
  links,
  here,
}: {
  links: readonly (readonly [string, readonly string[]])[];
  here: string;
}): JSX.Element {
  return (
    <h1 tabIndex={-1}>
      {links.map(([text, path]) => (
        <span key={text}>
          <a href={to(path)}>{text}</a>
          <span class="dim" aria-hidden="true">
            {' '}
            ›{' '}
          </span>
        </span>
      ))}
      <bdi>{here}</bdi>
    </h1>
  );
}

export const Title = ({ children }: { children: ComponentChildren }): JSX.Element => (
  <h1 tabIndex={-1}>{children}</h1>
);
