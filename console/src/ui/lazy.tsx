/** Screens that are loaded when somebody opens them. */
import { useSignal } from '@preact/signals';
import type { ComponentType, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { Empty, Loading } from './basics.js';

/** `load`: the same function each time. */
export function Lazy<P extends object>({
  what,
  load,
  ...props
}: { what: string; load: () => Promise<ComponentType<P>> } & P): JSX.Element {
  const loaded = useSignal<{ readonly part: ComponentType<P> } | null>(null);
  const failed = useSignal(false);
  useEffect(() => {
    load().then(
      (part) => (loaded.value = { part }),
      () => (failed.value = true),
    );
  }, [load]);
  if (failed.value) return <Empty>The {what} could not be loaded: reload the page.</Empty>;
  if (!loaded.value) return <Loading what={`the ${what}`} />;
  const Part = loaded.value.part;
  return <Part {...(props as unknown as P)} />;
}

interface Approving {
  readonly id?: string;
  readonly own?: boolean;
}

const approvals = (): Promise<ComponentType<Approving>> =>
  import('../screens/approvals.js').then(({ Approvals }) => Approvals);

/** `id`: one call alone; `own`: as a part of another page, nothing if there are none. */
export const LazyApprovals = (props: Approving): JSX.Element => (
  <Lazy what="approvals" load={approvals} {...props} />
);
