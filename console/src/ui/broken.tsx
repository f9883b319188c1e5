/** A screen whose data could not be read. */
import type { JSX } from 'preact';
import { Problem, Title } from './basics.js';
import type { Loaded } from './load.js';

export function Broken<T>({ title, loaded }: { title: string; loaded: Loaded<T> }): JSX.Element | null {
  const failure = loaded.failure.value;
  if (!failure) return null;
  return (
    <>
      <Title>{title}</Title>
      <Problem failure={failure} retry={loaded.again} />
    </>
  );
}
