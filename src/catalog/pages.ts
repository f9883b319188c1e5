/** Tools without the pages that their caller may not read: the tool stays, its reference goes. */
import { withBytes, type Definition } from '../protocol/lists.js';
import type { Member, Span } from '../wire/scan.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { without } from '../wire/without.js';

const OPEN_OBJECT = 0x7b;

/** `isShown`: whether a page may be read. Returns the same definition if it refers to no other page. */
export function withoutPages(definition: Definition, isShown: (uri: string) => boolean): Definition {
  const { bytes, extension } = definition;
  const hidden = (extension?.uris ?? []).filter(({ uri }) => !isShown(uri));
  if (extension?.page === undefined || hidden.length === 0) return definition;
  const places = new Set(hidden.map(({ start }) => start));
  const patches: Patch[] = [];
  for (const meta of membersOf(bytes))
    if (meta.key === '_meta' && bytes[meta.start] === OPEN_OBJECT) {
      const members = membersOf(bytes, meta.start);
      for (const patch of cut(bytes, meta, members, places)) patches.push(patch);
      for (const { key, start, end } of members)
        if (key === 'ui' && bytes[start] === OPEN_OBJECT)
          for (const patch of cut(bytes, { start, end }, membersOf(bytes, start), places))
            patches.push(patch);
    }
  return withBytes(definition, splice(bytes, patches)) ?? definition;
}

/** Removes the members of an object whose values begin at `places`. Members of the same name go with them. */
function cut(
  bytes: Buffer,
  { start }: Span,
  members: readonly Member[],
  places: ReadonlySet<number>,
): Patch[] {
  const gone = members.filter((member) => places.has(member.start));
  return gone.length === 0 ? [] : without(bytes, start, members, new Set(gone.map(({ key }) => key)));
}
