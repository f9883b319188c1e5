/** Reads a part of the API for a screen, again when something changes. */
import { useSignal, type ReadonlySignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, type Failure } from '../data/api.js';

export interface Loaded<T> {
  readonly value: ReadonlySignal<T | null>;
  readonly failure: ReadonlySignal<Failure | null>;
  readonly again: () => void;
}

/** What was read stays until the next answer. `path` null: nothing is read. `version` changes: it is read again. */
export function useLoad<T>(path: string | null, version: unknown = 0): Loaded<T> {
  const value = useSignal<T | null>(null);
  const failure = useSignal<Failure | null>(null);
  const from = useSignal<string | null>(null);
  const tries = useSignal(0);
  useEffect(() => {
    if (path === null) return;
    const controller = new AbortController();
    void get<T>(path, controller.signal).then((result) => {
      if (controller.signal.aborted) return;
      if (result.ok) {
        value.value = result.value;
        failure.value = null;
      } else {
        failure.value = result;
        if (from.value !== path) value.value = null;
      }
      from.value = path;
    });
    return () => controller.abort();
  }, [path, version, tries.value]);
  return { value, failure, again: () => tries.value++ };
}

/** The rows of an answer that is a list, or an object with one. */
export function rowsOf<T>(answer: unknown, member: string): readonly T[] {
  if (Array.isArray(answer)) return answer as T[];
  const rows = (answer as Record<string, unknown> | null)?.[member];
  return Array.isArray(rows) ? (rows as T[]) : [];
}
