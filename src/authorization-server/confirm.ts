/** Asks the identity provider, before a token is renewed, whether a person is still there and what he is. */
import type { Principal } from '../protocol/ports.js';
import type { Logger } from '../observe/log.js';
import type { Confirmed } from './grants.js';
import { asPrincipal, personOf } from './people.js';
import { OAuthProblem } from './problem.js';
import { ProviderProblem } from './provider-problem.js';
import type { Provider } from './provider.js';
import type { GrantRecord } from './records.js';
import type { Settings } from './settings.js';
import { claimsOf } from './sign-in.js';

export interface ConfirmDeps {
  readonly settings: () => Settings;
  readonly provider: () => Provider;
  readonly isAllowed: (principal: Principal) => boolean;
  readonly log: Logger;
  /** Unix time in milliseconds. */
  readonly now: () => number;
}

/** How long what the identity provider has said counts without being said again. */
const OLD_MS = 43_200_000;
const TIMEOUT_MS = 25_000;

/** Rejects with an OAuthProblem if the identity provider does not answer. */
export async function confirmPerson(deps: ConfirmDeps, record: GrantRecord): Promise<Confirmed> {
  const { settings, now } = deps;
  const { login, prefix } = settings();
  const isOld = now() - record.confirmed > OLD_MS;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const news = record.refresh === undefined ? {} : await ask(deps, record, record.refresh, signal);
  if ('end' in news) return news;
  const { refresh } = news;
  if (news.claims === undefined && isOld) return { end: 'stale', refresh };
  const claims = news.claims ?? record.claims;
  const person = personOf(login, claims);
  if ('problem' in person) {
    deps.log.info('a sign-in ends: the claims of the person cannot be used', { why: person.problem });
    return { end: 'not_allowed', refresh };
  }
  if (person.id !== record.person.id) return { end: 'provider', refresh };
  if (!deps.isAllowed(asPrincipal(person, claims, prefix))) return { end: 'not_allowed', refresh };
  return { ...news, person, claims };
}

/** Tokens and claims of a refresh at the identity provider. */
async function ask(
  { settings, provider, log, now }: ConfirmDeps,
  record: GrantRecord,
  token: string,
  signal: AbortSignal,
): Promise<Confirmed & Partial<GrantRecord>> {
  try {
    const answer = await provider().refresh(token, { sub: record.subject }, signal);
    const { refresh = token, idToken = record.idToken, idTokenExpires = record.idTokenExpires } = answer;
    const claims = await claimsAfter({ provider, settings, log }, record, answer, signal);
    return {
      refresh,
      idToken,
      idTokenExpires,
      ...(claims && { claims, confirmed: now() }),
    };
  } catch (error) {
    if (!(error instanceof ProviderProblem)) throw error;
    if (error.kind === 'ended' || error.kind === 'identity') return { end: 'provider' };
    log.warn('a token is not renewed: the identity provider cannot be used', { error: error.message });
    throw new OAuthProblem('temporarily_unavailable', 'the identity provider does not answer: try again', {
      retryAfter: error.retryAfter ?? 5,
    });
  }
}

/** undefined: it says nothing about the person. */
async function claimsAfter(
  { provider, settings, log }: Pick<ConfirmDeps, 'provider' | 'settings' | 'log'>,
  { subject }: GrantRecord,
  { claims, access }: Awaited<ReturnType<Provider['refresh']>>,
  signal: AbortSignal,
): Promise<GrantRecord['claims'] | undefined> {
  try {
    if (claims) return await claimsOf(provider(), settings(), { claims, access }, subject, signal);
    return access === undefined ? undefined : await provider().userinfo(access, subject, signal);
  } catch (error) {
    if (!(error instanceof ProviderProblem) || error.kind === 'identity') throw error;
    // The refresh token that was just given must not get lost. The claims of the ID token alone may lack groups, so that a rule that denies
    // by group would not fit: the last ones count on.
    log.warn('userinfo cannot be used: what the identity provider said before counts on', {
      error: error.message,
    });
    return undefined;
  }
}
