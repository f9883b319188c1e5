/** Access tokens of the configured issuers, and of the gateway itself: verifies each once, and recognises it afterwards. */
import type { AuthConfig } from '../config/index.js';
import type { OwnIssuer } from '../protocol/authorization-server.js';
import type { Principal } from '../protocol/ports.js';
import type { ShownToken } from '../protocol/principal.js';
import type { JsonObject } from '../wire/json.js';
import type { Resource } from './challenge.js';
import { audienceOf, judge, type Judge, type Refusal } from './claims.js';
import { fingerprint } from './fingerprint.js';
import { createIntrospection, type Introspection } from './introspect.js';
import { Issuer, type IssuerDeps, type KeySource } from './issuer.js';
import { judgeHeader, readEnvelope, verifySignature } from './jwt.js';
import { OwnKeys } from './own-keys.js';
import {
  isForOwn,
  judgeOwn,
  OWN,
  ownIssuerConfig,
  ownProvider,
  ownTag,
  type OwnJudge,
} from './own-tokens.js';
import { Seen, type SeenEntry, type Verified } from './seen.js';

/** A refusal of a token, and the issuer that it names. */
export interface TokenRefusal extends Refusal {
  readonly issuer?: string;
  /** See Denied. */
  readonly named?: true;
}

interface Known extends Judge {
  /** Differs from those of all others. */
  readonly name: string;
  readonly keys: KeySource;
  readonly introspection: Introspection | undefined;
  /** Whether a token with this audience counts for a resource. */
  isFor(audience: readonly string[], resource: Resource): boolean;
  judge(claims: JsonObject, token: string): Principal | Refusal;
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
  /**
   * The token that a principal has shown and that counts longest, first those of configured issuers; undefined: he has shown none that counts
   * now.
   */
  shownBy(principal: string): ShownToken | undefined;
  accepts(principal: Principal): boolean;
  /** Takes an issuer with its keys out of this, for its successor. */
  release(url: string): Issuer | undefined;
  close(): void;
}

export interface IssuerTokensDeps extends IssuerDeps {
  readonly previous: IssuerTokens | undefined;
  readonly own: OwnIssuer | undefined;
  /** http.public_url */
  readonly publicUrl: string | null;
  readonly scopesOf: (scopes: readonly string[]) => readonly string[];
}

export function createIssuerTokens(auth: AuthConfig, deps: IssuerTokensDeps): IssuerTokens {
  const { now, own, scopesOf } = deps;
  const seen = new Seen();
  /** By `iss`. */
  const known = new Map<string, Known>();
  for (const config of auth.issuers) {
    const issuer = deps.previous?.release(config.issuer) ?? new Issuer(config.issuer, config.name, deps);
    issuer.rename(config.name);
    const judged: Judge = { config, tag: fingerprint(`${config.name}\n${config.issuer}`), scopesOf };
    known.set(config.issuer, {
      ...judged,
      name: config.name,
      keys: issuer,
      introspection: createIntrospection(issuer, config),
      isFor: (audience, resource) =>
        audience.some((each) => resource.audiences.has(each) || config.audiences.includes(each)),
      judge: (claims, token) => judge(judged, claims, now(), fingerprint(token)),
    });
  }
  const config = ownIssuerConfig(auth, deps.publicUrl);
  if (own && config) {
    const judged: OwnJudge = { config, tag: ownTag(auth, config), scopesOf, provider: ownProvider(auth) };
    known.set(config.issuer, {
      ...judged,
      name: OWN,
      keys: new OwnKeys(own, deps),
      introspection: undefined,
      isFor: (audience, resource) => isForOwn(audience, resource, config),
      judge: (claims, token) => judgeOwn(judged, claims, now(), token),
    });
  }
  for (const { name, keys } of known.values())
    keys.withdrawn = () => {
      seen.dropIssuer(name);
    };
  const byName = new Map([...known.values()].map((each) => [each.name, each]));
  const opaque = [...known.values()].find(({ introspection }) => introspection !== undefined);
  /** Verifications that run, by header: a client that opens several streams with a new token causes one. */
  const running = new Map<string, Promise<SeenEntry | TokenRefusal>>();

  /** Whether a token counts no more, although it has not expired. */
  function isEnded({ grant }: Principal): boolean {
    return grant !== undefined && own?.isEnded(grant.id) !== false;
  }

  function admit(entry: SeenEntry, resource: Resource): Principal | TokenRefusal {
    if (isEnded(entry.principal)) return { reason: 'inactive', issuer: entry.issuer };
    if (entry.accepted === resource) return entry.principal;
    if (byName.get(entry.issuer)?.isFor(entry.audience, resource) !== true)
      return { reason: 'wrong_audience', issuer: entry.issuer };
    entry.accepted = resource;
    return entry.principal;
  }

  async function verifyJwt(token: string, resource: Resource): Promise<Verified | TokenRefusal> {
    const envelope = readEnvelope(token);
    if ('reason' in envelope) return envelope;
    const from = known.get(envelope.issuer);
    if (!from) return { reason: 'unknown_issuer' };
    const issuer = from.name;
    const wrongHeader = judgeHeader(envelope, from.config);
    if (wrongHeader) return { ...wrongHeader, issuer };
    // What the token says of itself is judged first, because that is cheap.
    const audience = audienceOf(envelope.claims);
    if (!audience || !from.isFor(audience, resource)) return { reason: 'wrong_audience', issuer };
    const principal = from.judge(envelope.claims, token);
    if ('reason' in principal) return { ...principal, issuer };
    const { withdrawals } = from.keys;
    const wrong = await verifySignature(envelope, from.keys, from.config);
    if (wrong) return { ...wrong, issuer };
    // The key may have been withdrawn in the meantime: what it signed must not be remembered.
    if (from.keys.withdrawals !== withdrawals) return verifyJwt(token, resource);
    return { principal, token, audience, issuer, until: principal.expires ?? 0 };
  }

  async function verifyOpaque(header: string, token: string): Promise<Verified | TokenRefusal> {
    if (!opaque?.introspection) return { reason: 'wrong_token' };
    const { introspection } = opaque.config;
    const issuer = opaque.name;
    const answer = await opaque.introspection.ask(token);
    if (!('claims' in answer)) return { ...answer, issuer };
    const { claims } = answer;
    const audience = audienceOf(claims);
    if (!audience) return { reason: 'wrong_audience', issuer };
    const judged = opaque.judge(claims, token);
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
      // A verification judges the audience, too.
      const key = `${resource.uri}\n${resource.isForOperators}\n${header}`;
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
      const entry = seen.newest(principal, now());
      const from = entry && byName.get(entry.issuer);
      if (!from || isEnded(entry.principal)) return undefined;
      const { expires, grant } = entry.principal;
      return { token: entry.token, issuer: from.config.issuer, expires, grant: grant?.id };
    },
    accepts(principal) {
      if (isEnded(principal)) return false;
      for (const { tag } of known.values()) if (principal.credential.startsWith(`${tag}.`)) return true;
      return false;
    },
    release(url) {
      const keys = known.get(url)?.keys;
      if (!(keys instanceof Issuer)) return undefined;
      known.delete(url);
      return keys;
    },
    close() {
      for (const { keys } of known.values()) keys.close();
    },
  };
}
