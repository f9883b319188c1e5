/** A long list: rows of one height, of which only those in the window are in the page. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

/** Rows above and below the window. */
const SPARE = 8;

interface Props<T> {
  readonly rows: readonly T[];
  readonly height: number;
  readonly keyOf: (row: T) => string;
  readonly render: (row: T) => JSX.Element;
  readonly label: string;
}

export function VirtualList<T>({ rows, height, keyOf, render, label }: Props<T>): JSX.Element {
  const list = useRef<HTMLUListElement>(null);
  const span = useSignal<readonly [number, number]>([0, 40]);
  const measure = (): void => {
    const top = list.current?.getBoundingClientRect().top ?? 0;
    const first = Math.max(0, Math.floor(-top / height) - SPARE);
    const last = Math.ceil((innerHeight - top) / height) + SPARE;
    if (first !== span.value[0] || last !== span.value[1]) span.value = [first, last];
  };
  useEffect(() => {
    const options = { passive: true };
    addEventListener('scroll', measure, options);
    addEventListener('resize', measure, options);
    return () => {
      removeEventListener('scroll', measure);
      removeEventListener('resize', measure);
    };
  }, []);
  useLayoutEffect(measure, [rows]);
  const [first, last] = span.value;
  return (
    <ul class="virtual" aria-label={label} ref={list} style={{ height: `${rows.length * height}px` }}>
      {rows.slice(first, last).map((row, n) => (
        <li
          key={keyOf(row)}
          aria-setsize={rows.length}
          aria-posinset={first + n + 1}
          style={{ height: `${height}px`, top: `${(first + n) * height}px` }}
        >
          {render(row)}
        </li>
      ))}
    </ul>
  );
}
