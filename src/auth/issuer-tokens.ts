/** Access tokens of the configured issuers: verifies each once, and recognises it afterwards. */
import type { AuthConfig } from '../config/index.js';
import type { Principal } from '../protocol/ports.js';
import type { Resource } from './challenge.js';
import { audienceOf, judge, type Judge, type Refusal } from './claims.js';
import { fingerprint } from './fingerprint.js';
import { createIntrospection, type Introspection } from './introspect.js';
import { Issuer, type IssuerDeps } from './issuer.js';
import { judgeHeader, readEnvelope, verifySignature } from './jwt.js';
import { Seen, type SeenEntry, type Verified } from './seen.js';

/** A refusal of a token, and the issuer that it names. */
export interface TokenRefusal extends Refusal {
  readonly issuer?: string;
  /** See Denied. */
  readonly named?: true;
}

/** A token that was verified. */
export interface ShownToken {
  readonly token: string;
  /** The URL of its issuer. */
  readonly issuer: string;
  /** Unix time in milliseconds. */
  readonly expires: number | undefined;
}

interface Known extends Judge {
  readonly issuer: Issuer;
  readonly introspection: Introspection | undefined;
}

export interface IssuerTokens {
  /** What is known of a header without verifying anything; undefined: nothing. */
  recognise(header: string, resource: Resource): Principal | TokenRefusal | undefined;
  /** Verifies the token of a header. Never rejects. */
  verify(
    header: string,
    token: string,
    form: 'jwt' | 'opaque',
    resource: Resource,
  ): Promise<Principal | TokenRefusal>;
  /** Whether opaque tokens can be introspected. */
  readonly introspects: boolean;
  /** The token that a principal has shown and that counts longest; undefined: he has shown none that counts now. */
  shownBy(principal: string): ShownToken | undefined;
  accepts(principal: Principal): boolean;
  /** Takes an issuer with its keys out of this, for its successor. */
  release(url: string): Issuer | undefined;
  close(): void;
}

export interface IssuerTokensDeps extends IssuerDeps {
  readonly previous: IssuerTokens | undefined;
  readonly scopesOf: (scopes: readonly string[]) => readonly string[];
}

export function createIssuerTokens({ issuers }: AuthConfig, deps: IssuerTokensDeps): IssuerTokens {
  const { now } = deps;
  const seen = new Seen();
  /** By `iss`. */
  const known = new Map<string, Known>();
  for (const config of issuers) {
    const issuer = deps.previous?.release(config.issuer) ?? new Issuer(config.issuer, config.name, deps);
    issuer.rename(config.name);
    issuer.withdrawn = () => {
      seen.dropIssuer(config.name);
    };
    known.set(config.issuer, {
      config,
      issuer,
      introspection: createIntrospection(issuer, config),
      tag: fingerprint(`${config.name}\n${config.issuer}`),
      scopesOf: deps.scopesOf,
    });
  }
  const byName = new Map([...known.values()].map((each) => [each.config.name, each]));
  const opaque = [...known.values()].find(({ introspection }) => introspection !== undefined);
  /** Verifications that run, by header: a client that opens several streams with a new token causes one. */
  const running = new Map<string, Promise<SeenEntry | TokenRefusal>>();

  function isFor(audience: readonly string[], resource: Resource, { config }: Known): boolean {
    return audience.some((each) => resource.audiences.has(each) || config.audiences.includes(each));
  }

  function admit(entry: SeenEntry, resource: Resource): Principal | TokenRefusal {
    if (entry.accepted === resource) return entry.principal;
    const from = byName.get(entry.issuer);
    if (!from || !isFor(entry.audience, resource, from))
      return { reason: 'wrong_audience', issuer: entry.issuer };
    entry.accepted = resource;
    return entry.principal;
  }

  async function verifyJwt(token: string, resource: Resource): Promise<Verified | TokenRefusal> {
    const envelope = readEnvelope(token);
    if ('reason' in envelope) return envelope;
    const from = known.get(envelope.issuer);
    if (!from) return { reason: 'unknown_issuer' };
    const issuer = from.config.name;
    const wrongHeader = judgeHeader(envelope, from.config);
    if (wrongHeader) return { ...wrongHeader, issuer };
    // What the token says of itself is judged first, because that is cheap.
    const audience = audienceOf(envelope.claims);
    if (!audience || !isFor(audience, resource, from)) return { reason: 'wrong_audience', issuer };
    const principal = judge(from, envelope.claims, now(), fingerprint(token));
    if ('reason' in principal) return { ...principal, issuer };
    const { withdrawals } = from.issuer;
    const wrong = await verifySignature(envelope, from.issuer, from.config);
    if (wrong) return { ...wrong, issuer };
    // The key may have been withdrawn in the meantime: what it signed must not be remembered.
    if (from.issuer.withdrawals !== withdrawals) return verifyJwt(token, resource);
    return { principal, token, audience, issuer, until: principal.expires ?? 0 };
  }

  async function verifyOpaque(header: string, token: string): Promise<Verified | TokenRefusal> {
    if (!opaque?.introspection) return { reason: 'wrong_token' };
    const { introspection } = opaque.config;
    const issuer = opaque.config.name;
    const answer = await opaque.introspection.ask(token);
    if (!('claims' in answer)) return { ...answer, issuer };
    const { claims } = answer;
    const audience = audienceOf(claims);
    if (!audience) return { reason: 'wrong_audience', issuer };
    const judged = judge(opaque, claims, now(), fingerprint(token));
    if ('reason' in judged) return { ...judged, issuer };
    const before = seen.find(header)?.principal;
    // Comparing principals by identity is cheap, so that one whose token says the same is kept.
    const principal = before && JSON.stringify(before) === JSON.stringify(judged) ? before : judged;
    const until = Math.min(principal.expires ?? 0, now() + (introspection?.cache_seconds ?? 0) * 1000);
    return { principal, token, audience, issuer, until };
  }

  return {
    recognise(header, resource) {
      const entry = seen.find(header);
      return entry === undefined || now() >= entry.until ? undefined : admit(entry, resource);
    },
    async verify(header, token, form, resource) {
      const key = `${resource.uri}\n${header}`;
      let run = running.get(key);
      if (!run) {
        run = (form === 'jwt' ? verifyJwt(token, resource) : verifyOpaque(header, token))
          .then((outcome) => ('reason' in outcome ? outcome : seen.add(header, outcome)))
          .finally(() => running.delete(key));
        running.set(key, run);
      }
      const outcome = await run;
      return 'reason' in outcome ? outcome : admit(outcome, resource);
    },
    introspects: opaque !== undefined,
    shownBy(principal) {
      const entry = seen.newest(principal);
      const from = entry && byName.get(entry.issuer);
      if (!from || now() >= entry.until) return undefined;
      return { token: entry.token, issuer: from.config.issuer, expires: entry.principal.expires };
    },
    accepts({ credential }) {
      for (const { tag: issuer } of known.values()) if (credential.startsWith(`${issuer}.`)) return true;
      return false;
    },
    release(url) {
      const from = known.get(url);
      known.delete(url);
      return from?.issuer;
    },
    close() {
      for (const { issuer } of known.values()) issuer.close();
    },
  };
}
