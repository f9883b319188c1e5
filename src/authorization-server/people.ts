/** Who signed in, from the claims of the identity provider. Nothing here trusts an email address that is not verified. */
import type { LoginConfig } from '../config/types.js';
import type { Person } from '../protocol/authorization-server.js';
import { claim, groupsOf, MOST_GROUPS, nameOf } from '../protocol/claims.js';
import type { Principal } from '../protocol/principal.js';
import { isObject, present, type JsonObject } from '../wire/json.js';

/** Why claims make no person. `too many groups`: with fewer than there are a rule that denies by group would not fit. */
export interface PersonProblem {
  readonly problem: 'no id' | 'too many groups' | 'bad groups' | 'too large';
  /** For operators: without values of claims. */
  readonly why: string;
}

/** Of a person as JSON: one is kept with each grant. */
const MOST_BYTES = 16_384;
/** Of all claims as JSON, which are kept, too. */
const MOST_CLAIMS = 65_536;
/** Nested objects that `asPrincipal` looks into. */
const DEEPEST = 8;

/** `claims`: of the ID token, and of userinfo if that was asked. Never throws. */
export function personOf(
  config: Pick<LoginConfig, 'claims' | 'keep'>,
  claims: JsonObject,
): Person | PersonProblem {
  if (sizeOf(claims) > MOST_CLAIMS)
    return {
      problem: 'too large',
      why: `the identity provider sends claims of over ${MOST_CLAIMS / 1024} KB: have it send fewer`,
    };
  const counted = withoutUnverified(claims);
  const { id: idClaim, name: nameClaim, groups: groupsClaim } = config.claims;
  const id = nameOf(claim(counted, idClaim));
  if (id === undefined) {
    const isEmail = idClaim === 'email' && claims['email'] !== undefined;
    return {
      problem: 'no id',
      why: isEmail ? 'the email is not verified' : `there is no claim ${idClaim} that can be an id`,
    };
  }
  const groups = isElsewhere(counted, groupsClaim) ? 'too many' : groupsOf(counted, groupsClaim);
  if (groups === 'too many')
    return {
      problem: 'too many groups',
      why: `there are more than ${MOST_GROUPS} groups, or the identity provider left them out: have it send fewer`,
    };
  if (groups === 'not names')
    return { problem: 'bad groups', why: `the claim ${groupsClaim} is not a list of names` };
  const kept = config.keep.flatMap((name) => {
    const value = claim(counted, name);
    return value === undefined || value === null ? [] : [[name, value] as const];
  });
  const person = {
    id,
    name: nameOf(claim(counted, nameClaim)) ?? id,
    groups,
    kept: Object.fromEntries(kept),
  };
  if (sizeOf(person) > MOST_BYTES)
    return {
      problem: 'too large',
      why: `groups and kept claims are over ${MOST_BYTES / 1024} KB: name fewer in mcp.auth.login.keep, or have the identity provider send fewer`,
    };
  return person;
}

/** The claims that the configuration uses and that are absent, so that userinfo is worth asking. */
export function missingClaims(
  { claims: names, keep, allow }: Pick<LoginConfig, 'claims' | 'keep' | 'allow'>,
  claims: JsonObject,
): readonly string[] {
  const used = new Set([
    ...[names.id, names.name, names.groups],
    ...keep,
    ...allow.flatMap((who) => Object.keys(who.claims ?? {})),
  ]);
  // An email counts only with it.
  if (used.has('email')) used.add('email_verified');
  return [...used].filter((name) => {
    const value = claim(claims, name);
    return value === undefined || value === null;
  });
}

/** The claims of both; those of the ID token win, also within objects. null counts as absent. */
export function mergeClaims(idToken: JsonObject, userinfo: JsonObject): JsonObject {
  const merged = { ...merge(idToken, userinfo) };
  // Whether an email is verified says only who says the email.
  const { email, email_verified: isVerified } = present(idToken);
  const other = present(userinfo);
  if (email !== undefined && isVerified === undefined && other['email'] !== email)
    delete merged['email_verified'];
  if (email === undefined && isVerified !== undefined && isVerified !== false) {
    if (other['email_verified'] === undefined) delete merged['email_verified'];
    else merged['email_verified'] = other['email_verified'];
  }
  return merged;
}

/**
 * The person as a principal, whose claims are all that there are, so that `allow` can be judged: kept or not, each by its name and by the path
 * to it. `prefix`: of its id, such as `login`, without the colon.
 */
export function asPrincipal(person: Person, claims: JsonObject, prefix: string): Principal {
  const counted = withoutUnverified(claims);
  return {
    id: `${prefix}:${person.id}`,
    kind: 'token',
    name: person.name,
    groups: person.groups,
    scopes: [],
    claims: { ...Object.fromEntries(nested(counted, '', 0)), ...counted, ...person.kept },
    credential: '',
    expires: undefined,
  };
}

/** The claims that count. Whether an email is verified is told by itself only (OpenID Connect Core, 5.1). */
function withoutUnverified(claims: JsonObject): JsonObject {
  if (!Object.hasOwn(claims, 'email')) return claims;
  if (Object.hasOwn(claims, 'email_verified') && claims['email_verified'] === true) return claims;
  const { email: _, ...counted } = claims;
  return counted;
}

/** Whether the object that a path leads through is a distributed claim (OpenID Connect Core, 5.6.2). */
function isElsewhere(claims: JsonObject, path: string): boolean {
  const elsewhere = Object.hasOwn(claims, '_claim_names') ? claims['_claim_names'] : undefined;
  const [head = ''] = path.split('.');
  return (
    isObject(elsewhere) && Object.hasOwn(elsewhere, head) && (claim(claims, path) ?? undefined) === undefined
  );
}

function merge(first: JsonObject, second: JsonObject): JsonObject {
  const merged = new Map(Object.entries(present(second)));
  for (const [name, value] of Object.entries(present(first))) {
    const other = merged.get(name);
    merged.set(name, isObject(value) && isObject(other) ? merge(value, other) : value);
  }
  return Object.fromEntries(merged);
}

/** The members of nested objects by their paths, as `claim` finds them. */
function* nested(object: JsonObject, path: string, depth: number): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(object)) {
    // No path leads to a name with a dot in it.
    if (name.includes('.')) continue;
    if (depth > 0) yield [path + name, value];
    if (isObject(value) && depth < DEEPEST) yield* nested(value, `${path}${name}.`, depth + 1);
  }
}

function sizeOf(value: object): number {
  try {
    return Buffer.byteLength(JSON.stringify(value));
  } catch {
    // Nested too deeply.
    return Infinity;
  }
}
