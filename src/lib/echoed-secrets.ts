/** What an authorization server may repeat of a request in its errors. */

/** Parameters of requests that may be shown; the values of all others are secrets, or as good as those. */
const PUBLIC_PARAMETERS = new Set([
  'audience',
  'client_id',
  'grant_type',
  'redirect_uri',
  'requested_token_type',
  'resource',
  'scope',
  'subject_token_type',
  'token_type_hint',
]);
/** A shorter value is none. */
const LEAST_SECRET_CHARS = 8;

/** A text without the secrets that were sent: a server may repeat them in what it says about them. */
export function withoutSecrets(text: string, sent: URLSearchParams): string {
  let clean = text;
  for (const [name, value] of sent)
    if (!PUBLIC_PARAMETERS.has(name) && value.length >= LEAST_SECRET_CHARS)
      clean = clean.replaceAll(value, '***');
  return clean;
}
