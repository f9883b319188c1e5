/**
 * The names of clients on links between replicas: `<era><alone>.<digest>.<tag>`. The digest hides the client; the tag proves that a replica
 * made the name, for one principal. So neither a client that writes a name into its own request, which reaches this replica over the same
 * port, nor one that has seen a name of another principal is taken for somebody else.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { NamedClient, PeerClient, PeerClients } from '../protocol/peer-clients.js';
import type { FleetKeys } from './keys.js';

const FORM = /^([lm])([01])\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{16})$/;
const DIGEST_BYTES = 16;
const TAG_BYTES = 12;

export class KeyedPeerClients implements PeerClients {
  readonly #keys: FleetKeys;
  /** The names of sessions, whose callers stay the same objects. */
  readonly #made = new WeakMap<object, { readonly principal: string; readonly text: string }>();

  constructor(keys: FleetKeys) {
    this.#keys = keys;
  }

  name(caller: NamedClient): string {
    const { id } = caller.principal;
    const made = this.#made.get(caller);
    if (made?.principal === id) return made.text;
    const key = this.#keys.current('peer');
    const digest = mac(key, 'client', caller.client).subarray(0, DIGEST_BYTES).toString('base64url');
    const said = `${caller.era === 'legacy' ? 'l' : 'm'}${caller.alone ? 1 : 0}.${digest}`;
    const text = `${said}.${tagOf(key, said, id).toString('base64url')}`;
    this.#made.set(caller, { principal: id, text });
    return text;
  }

  read(text: string, principal: string): PeerClient | undefined {
    const [, era, alone, digest, shown = ''] = FORM.exec(text) ?? [];
    if (digest === undefined) return undefined;
    const said = text.slice(0, -shown.length - 1);
    const tag = Buffer.from(shown, 'base64url');
    if (!this.#keys.all('peer').some((key) => timingSafeEqual(tagOf(key, said, principal), tag)))
      return undefined;
    // No client of this replica has a NUL at the start of its own.
    return {
      client: `\0peer\0${digest}`,
      alone: alone === '1',
      era: era === 'l' ? 'legacy' : 'modern',
    };
  }
}

function tagOf(key: Buffer, said: string, principal: string): Buffer {
  return mac(key, 'client tag', `${said}\0${principal}`).subarray(0, TAG_BYTES);
}

function mac(key: Buffer, purpose: string, text: string): Buffer {
  return createHmac('sha256', key).update(`${purpose}\0`).update(text).digest();
}
