/** Fields that filter a screen. What they hold is in the URL. */
import type { JSX } from 'preact';
import { place, setQuery } from '../router.js';

export type Options = readonly (readonly [value: string, text: string])[];

/** `hint`: in the empty field; default: the label. */
export function SearchField({ label, hint = label }: { label: string; hint?: string }): JSX.Element {
  return (
    <label class="grow">
      <span class="hidden">{label}</span>
      <input
        type="search"
        data-search
        placeholder={`${hint}  ( / )`}
        value={place.value.query.get('q') ?? ''}
        onInput={(event) => setQuery({ q: event.currentTarget.value })}
      />
    </label>
  );
}

/** `name`: in the query. `none`: the value where the URL has none. */
export function Choice({
  name,
  label,
  options,
  none = '',
}: {
  name: string;
  label: string;
  options: Options;
  none?: string;
}): JSX.Element {
  return (
    <label>
      <span class="hidden">{label}</span>
      <select
        value={place.value.query.get(name) ?? none}
        onChange={(event) => setQuery({ [name]: event.currentTarget.value })}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Texts that are their own values. */
export function same(list: readonly string[]): Options {
  return list.map((value) => [value, value]);
}
