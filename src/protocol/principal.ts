/** Who asks: what a request shows, and what authentication makes of it. */
import type { AuthFailureReason } from '../observe/stats.js';
import { foldWide } from '../wire/fold.js';

/** Who asks. State belongs to a principal's `id`; for every other principal it does not exist. */
export interface Principal {
  /** Unique among all kinds of principals. */
  readonly id: string;
  readonly kind: PrincipalKind;
  /** For people. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** Further facts that its issuer vouches for. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** Fingerprint of its credential; empty: none. Sessions and calls end when the credential is withdrawn. */
  readonly credential: string;
  /** Unix time in milliseconds, allowing for clocks that differ; undefined: never. */
  readonly expires: number | undefined;
  /** The profile that it is confined to; undefined: it may use all routes. */
  readonly profile?: string | undefined;
  /** The person that the configuration names for its key or certificate; `none`: it is a machine. Absent: it names nobody. */
  readonly owner?: string | undefined;
  /** Its key is for votes about calls that are held, and for nothing else. */
  readonly approves?: boolean | undefined;
  /** The sign-in at the gateway itself that its token is of; undefined: the token is from elsewhere. */
  readonly grant?: { readonly id: string; readonly isConsole: boolean };
}

/** `operator`: a holder of the console key. */
export type PrincipalKind =
  'anonymous' | 'local' | 'bearer' | 'key' | 'token' | 'proxy' | 'cert' | 'operator';

/** Whether it is one person, or one program, that can have a login of its own: holders of one contract token cannot be told apart. */
export function isPerson({ kind }: Pick<Principal, 'kind'>): boolean {
  return kind === 'key' || kind === 'token' || kind === 'proxy' || kind === 'cert';
}

/** The person behind a principal, as others know him; undefined: nobody that is known. */
export function personOf({ kind, id, owner }: Pick<Principal, 'kind' | 'id' | 'owner'>): string | undefined {
  if (owner !== undefined) return owner === MACHINE ? undefined : owner;
  return kind === 'token' ? id : undefined;
}

/** Equal for persons that are taken for one where they must differ: in whatever case and width, and with whatever cannot be seen. */
export function foldPerson(person: string): string {
  return foldWide(person).replace(/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu, '');
}

/** The owner of a key that belongs to no person. */
export const MACHINE = 'none';

/** Whether it is an application that a person signed in for at the gateway itself: it may use MCP routes, and operates nothing. */
export function isApplication({ grant }: Pick<Principal, 'grant'>): boolean {
  return grant?.isConsole === false;
}

/** A token that was verified. */
export interface ShownToken {
  readonly token: string;
  /** The URL of its issuer. */
  readonly issuer: string;
  /** Unix time in milliseconds. */
  readonly expires: number | undefined;
  /** The sign-in at the gateway that it is of: such a token means nothing to others, who must not get it. */
  readonly grant: string | undefined;
}

/** What a client sends in headers that servers get (`headers_from_client`): secrets, by name in lower case. */
export interface PassedValues {
  readonly values: ReadonlyMap<string, string>;
  /** Equal for equal values. */
  readonly digest: string;
}

/** What a request shows about its sender. An IncomingMessage is one. */
export interface Shown {
  /** In lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>> & {
    readonly authorization?: string | undefined;
  };
  /** Names and values in turn, as they were sent: shows a header that was sent twice. */
  readonly rawHeaders?: readonly string[];
  readonly socket: {
    readonly remoteAddress?: string | undefined;
    readonly localPort?: number | undefined;
    /** Over TLS. */
    readonly encrypted?: boolean;
    /** Over TLS: the certificate of the client was verified. */
    readonly authorized?: boolean;
    readonly getPeerCertificate?: () => ClientCertificate;
  };
}

/** The members of Node's PeerCertificate that are read; without a certificate it is an empty object. */
export interface ClientCertificate {
  readonly subject?: { readonly CN?: string | readonly string[] | undefined };
  /** `URI:spiffe://a/b, DNS:c`; a value that contains a delimiter is a JSON string. */
  readonly subjectaltname?: string | undefined;
  readonly fingerprint256?: string;
  readonly valid_to?: string;
}

/** A refusal in place of a principal. */
export interface Denied {
  /** 429: too many wrong credentials from this address; 503: the credential cannot be verified now. */
  readonly status: 401 | 403 | 429 | 503;
  /** Value of WWW-Authenticate for the route that was asked for. */
  readonly challenge?: string;
  readonly reason: AuthFailureReason;
  /** The text names the reason, which it does not where an access token is judged: its challenge does. */
  readonly named?: true;
  /** Seconds until another attempt is worthwhile. */
  readonly retryAfter?: number;
}
