/** Which URI schemes of extensions a server uses: its answers may hold such URIs. */
import { declaresList, type Lists } from '../../protocol/lists.js';
import type { Peer } from '../../protocol/ports.js';

const NONE: readonly string[] = [];

/** `ui`: it lists a tool with a page, or a page. `skill`: it declares skills. */
export function schemesOf(lists: Lists, peer: Peer | undefined): readonly string[] {
  const schemes: string[] = [];
  const isPage = ({ key }: { readonly key: string }): boolean => key.startsWith('ui://');
  if (
    lists.tools.some(({ extension }) => extension?.page !== undefined) ||
    lists.resources.some(isPage) ||
    lists.templates.some(isPage)
  )
    schemes.push('ui');
  if (peer && declaresList('skills', peer.capabilities)) schemes.push('skill');
  return schemes.length === 0 ? NONE : schemes;
}
