/**
 * The clients of the authorization server. None is stored: the id of a registered one contains its registration, sealed, and that of the
 * others is the URL of their metadata document. All are public clients, without a secret.
 */
import { arrayOf, readObject, textOf } from '../wire/json.js';
import { documentUrl, type ClientDocuments } from './client-documents.js';
import { cleanName, NAMELESS } from './client-names.js';
import { ClientProblem, unknownClient } from './client-problem.js';
import { matches, type Redirects } from './redirects.js';
import type { Seals } from './seals.js';

const PREFIX = 'mcpc_';
const MOST_ID_CHARS = 2048;
const MOST_BODY_BYTES = 16_384;
const MOST_URIS = 10;
/** Of a redirect URI in an error. */
const SHOWN_CHARS = 100;

/**
 * How a client came to its id: by dynamic registration (RFC 7591), from the operator, or as the URL of a metadata document. The console is
 * part of the gateway.
 */
export type ClientKind = 'dcr' | 'printed' | 'cimd' | 'console';

export interface Client {
  readonly id: string;
  readonly kind: ClientKind;
  /** What the client calls itself, in one line of at most 80 visible characters. */
  readonly name: string;
  /** With a port, if it is not 443. undefined: the id is not a URL. */
  readonly host: string | undefined;
  /** Those that the configuration allows now, at most 10; may be empty. */
  readonly redirectUris: readonly string[];
}

/** `mcp.auth.login`, as far as clients depend on it. */
export interface ClientSettings {
  readonly register: readonly ('cimd' | 'dcr')[];
  readonly redirects: Redirects;
}

export interface ClientsOptions {
  readonly seals: Seals;
  /** Asked each time: a reload applies at once. */
  readonly settings: () => ClientSettings;
  readonly documents: ClientDocuments;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/** For whom a client is looked up. */
export interface Ask {
  /** By which new fetches of documents are limited. */
  readonly address: string;
  readonly signal: AbortSignal;
}

/** The answer to a registration. */
export interface Registration {
  readonly status: 201 | 400 | 403;
  readonly body: object;
}

/** What an id contains. */
interface Sealed {
  readonly kind: 'dcr' | 'printed';
  readonly uris: readonly string[];
  readonly name: string | undefined;
}

export class Clients {
  readonly #options: ClientsOptions;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /**
   * Registers a client (RFC 7591, 3), whatever it asks for: as a public client, with those of its redirect URIs that are allowed. `body`:
   * that of the request.
   */
  register(body: Buffer): Registration {
    const { register, redirects } = this.#options.settings();
    if (!register.includes('dcr'))
      return {
        status: 403,
        body: {
          error: 'access_denied',
          error_description:
            'registration is off here: ask the operator for a client id (mcpstead grants client NAME URI)',
        },
      };
    const asked = readObject(body, MOST_BODY_BYTES);
    if (!asked) return wrong('invalid_client_metadata', 'the body is not a JSON object');
    const list = arrayOf(asked['redirect_uris']) ?? [];
    const uris = allowed(list, redirects);
    if (uris.length === 0) return wrong('invalid_redirect_uri', noneAllowed(list, redirects));
    const name = cleanName(textOf(asked['client_name']) ?? '');
    const seconds = this.#seconds();
    const id = this.#seal('dcr', uris, name, seconds);
    if (id.length > MOST_ID_CHARS)
      return wrong(
        'invalid_client_metadata',
        `the client id would be longer than ${MOST_ID_CHARS} characters: register fewer or shorter redirect_uris`,
      );
    return {
      status: 201,
      body: {
        client_id: id,
        client_id_issued_at: seconds,
        ...(name === undefined ? {} : { client_name: name }),
        redirect_uris: uris,
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    };
  }

  /** Makes the id of a client that the operator knows. Throws an Error that says what is not allowed, and why. */
  print(name: string, uris: readonly string[]): string {
    const { redirects } = this.#options.settings();
    const cleaned = cleanName(name);
    if (cleaned === undefined)
      throw new Error('the name of the client has no visible characters: give another');
    const different = [...new Set(uris)];
    if (different.length === 0) throw new Error('a client needs a redirect URI: ask its makers for it');
    if (different.length > MOST_URIS)
      throw new Error(
        `a client has at most ${MOST_URIS} redirect URIs: leave some of the ${different.length} out`,
      );
    for (const uri of different) {
      const problem = redirects.problem(uri);
      if (problem !== undefined) throw new Error(`the redirect URI '${shown(uri)}' ${problem}`);
    }
    const id = this.#seal('printed', different, cleaned, this.#seconds());
    if (id.length > MOST_ID_CHARS)
      throw new Error(
        `the client id would be longer than ${MOST_ID_CHARS} characters: name fewer redirect URIs`,
      );
    return id;
  }

  /** The client with an id. Rejects with a ClientProblem, or with the reason of `ask.signal`. */
  async find(id: string, ask: Ask): Promise<Client> {
    const { register, redirects } = this.#options.settings();
    const sealed = this.#open(id);
    if (sealed) {
      if (sealed.kind !== 'printed' && !register.includes(sealed.kind)) throw unknownClient();
      return {
        id,
        kind: sealed.kind,
        name: sealed.name ?? NAMELESS,
        host: undefined,
        redirectUris: allowed(sealed.uris, redirects),
      };
    }
    if (!id.startsWith('https://') || !register.includes('cimd')) throw unknownClient();
    const url = documentUrl(id);
    if (!url)
      throw new ClientProblem(
        'refused',
        'The application cannot be used: its id is not the plain https URL of a metadata document.',
      );
    if (!redirects.allowsDocument(url))
      throw new ClientProblem(
        'refused',
        `The application cannot be used: applications of ${url.host} are not allowed here. Ask the operator.`,
        { message: `${url.host} is not in mcp.auth.login.redirects: add it to allow its clients` },
      );
    const isTrusted = redirects.namesInFull(url.host);
    const document = await this.#options.documents.get({ url, isTrusted, ...ask });
    return {
      id,
      kind: 'cimd',
      name: document.name,
      host: url.host,
      // Asked again: the configuration may have changed meanwhile.
      redirectUris: allowed(document.redirectUris, this.#options.settings().redirects),
    };
  }

  /** The kind of the client with an id, as far as the id says it; undefined: there is no such client. */
  kindOf(id: string): Exclude<ClientKind, 'console'> | undefined {
    const { register } = this.#options.settings();
    const kind = this.#open(id)?.kind ?? (documentUrl(id) ? 'cimd' : undefined);
    return kind === undefined || kind === 'printed' || register.includes(kind) ? kind : undefined;
  }

  /**
   * Whether a client that was found once may go on: its kind is still in `register`, its id opens, and the configuration still allows its
   * redirect URI and the host of its document. Fetches nothing.
   */
  check(kind: Exclude<ClientKind, 'console'>, id: string, redirectUri: string): boolean {
    const { register, redirects } = this.#options.settings();
    if (kind !== 'printed' && !register.includes(kind)) return false;
    if (!redirects.allows(redirectUri)) return false;
    if (kind === 'cimd') {
      const url = documentUrl(id);
      return url !== undefined && redirects.allowsDocument(url);
    }
    const sealed = this.#open(id);
    return sealed?.kind === kind && sealed.uris.some((uri) => matches(uri, redirectUri));
  }

  #seal(kind: Sealed['kind'], uris: readonly string[], name: string | undefined, seconds: number): string {
    return PREFIX + this.#options.seals.seal('client', { k: kind, u: uris, n: name, t: seconds });
  }

  #open(id: string): Sealed | undefined {
    if (!id.startsWith(PREFIX) || id.length > MOST_ID_CHARS) return undefined;
    const opened = this.#options.seals.open('client', id.slice(PREFIX.length));
    const kind = opened?.['k'];
    const uris = arrayOf(opened?.['u'])?.filter((uri) => typeof uri === 'string');
    if ((kind !== 'dcr' && kind !== 'printed') || !uris) return undefined;
    return { kind, uris, name: textOf(opened?.['n']) };
  }

  #seconds(): number {
    return Math.floor(this.#options.now() / 1000);
  }
}

/** The first redirect URIs of a list that the configuration allows. */
function allowed(list: readonly unknown[], redirects: Redirects): string[] {
  const uris = new Set<string>();
  for (const uri of list) {
    if (uris.size === MOST_URIS) break;
    if (typeof uri === 'string' && redirects.allows(uri)) uris.add(uri);
  }
  return [...uris];
}

function noneAllowed(list: readonly unknown[], redirects: Redirects): string {
  if (list.length === 0) return 'redirect_uris is not a list of at least one URI';
  const [first] = list;
  const problem = typeof first === 'string' ? redirects.problem(first) : 'is not a text';
  return `none of the redirect_uris is allowed here: the first ${problem}`;
}

function wrong(error: string, description: string): Registration {
  return { status: 400, body: { error, error_description: description } };
}

/** A redirect URI in an error: one line of ASCII. */
function shown(uri: string): string {
  const ascii = uri.replace(/[^\x20-\x7e]/g, '?');
  return ascii.length > SHOWN_CHARS ? `${ascii.slice(0, SHOWN_CHARS)}...` : ascii;
}
