/** Which values of a client's file are secrets, by their names and by their looks. */
import { existsSync } from 'node:fs';

const NAME =
  /token|secret|passw|passphrase|api[-_]?key|apikey|(?:^|[-_])key(?:$|[-_])|key$|auth(?!or)|credential|cookie|session|(?:^|_)(?:pat|pwd|dsn|sid|jwt)(?:$|_)|private|signature|connection[-_]?string|database_url/i;
/** Prefixes that services give their keys. */
const KNOWN =
  /(?:^|[^A-Za-z0-9])(?:sk-|sk_live_|sk_test_|pk_live_|rk_live_|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|xox[abpr]-|xapp-|AKIA|ASIA|AIza|ya29\.|eyJ[A-Za-z0-9_-]{8}|npm_|pypi-|hf_|figd_|lin_api_|ntn_|secret_|mcps_|dop_v1_|shpat_|SG\.|key-)[A-Za-z0-9_.-]{6}/;
const HEADER = /^(?:proxy-)?authorization$|cookie|x-.*(?:key|token|secret|auth)/i;

/** Whether a value has to be kept in a file of its own. References do not count. */
export function isSecret(name: string, value: string): boolean {
  const own = value.replace(/\$\{[^}]*\}/g, '').trim();
  if (own === '' || own.replace(/^(?:Bearer|Basic|token)\s*$/i, '') === '') return false;
  if (KNOWN.test(own) || urlSecrets(own).length > 0 || isRandom(own)) return true;
  if (!NAME.test(name) && !HEADER.test(name)) return false;
  return !isPlain(own);
}

/** Whether an argument that follows a flag is a secret, or has one: `--token X`, `--token=X`, `Authorization: Bearer X`. */
export function isSecretArgument(value: string, flag: string | undefined): boolean {
  const [, name, own] = /^--?([\w-]+)=([^]*)$/.exec(value) ?? [];
  if (name !== undefined && own !== undefined) return isSecret(name, own);
  const [, header, shown] = /^([A-Za-z][A-Za-z-]*):\s*([^]*)$/.exec(value) ?? [];
  if (header !== undefined && shown !== undefined && HEADER.test(header)) return isSecret(header, shown);
  const [, variable, set] = /^([A-Z_][A-Z0-9_]*)=([^]*)$/.exec(value) ?? [];
  if (variable !== undefined && set !== undefined) return isSecret(variable, set);
  if (value.startsWith('-')) return false;
  const named = flag !== undefined && /^--?[\w-]+$/.test(flag) ? flag.replace(/^-+/, '') : '';
  return isSecret(named.length > 1 ? named : '', value);
}

/** The parts of a URL that are secrets: its password, and the values of parameters such as `token`. As they are written. */
export function urlSecrets(text: string): readonly string[] {
  const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@:]*:([^/?#@]+)@/i.exec(text) ?? [];
  const found = password === undefined || password.startsWith('${') ? [] : [password];
  for (const [, name = '', value = ''] of text.matchAll(/[?&]([^=&#]+)=([^&#]+)/g))
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) && NAME.test(name) && !value.startsWith('${'))
      found.push(value);
  return found;
}

/** Words, numbers, addresses and paths are not secret, whatever their name. */
function isPlain(value: string): boolean {
  if (/^(?:true|false|yes|no|on|off|none|null|\d{1,5})$/i.test(value)) return true;
  if (/^https?:\/\//i.test(value)) return true;
  return /^(?:\/|~\/|\.{1,2}\/|[A-Za-z]:\\)/.test(value) && (/^~|^\./.test(value) || existsSync(value));
}

const LONG = 24;

/** A long string of letters and digits without words: what a machine has made. */
function isRandom(value: string): boolean {
  if (value.length < LONG || !/^[A-Za-z0-9+/_=-]+$/.test(value)) return false;
  if (/^[0-9a-f]{32,}$/i.test(value) && /\d/.test(value) && /[a-f]/i.test(value)) return true;
  if (value.includes('/') && /^[\w./-]+$/.test(value) && value.split('/').length > 2) return false;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/].filter((kind) => kind.test(value)).length;
  const changes = value.match(/[a-zA-Z]\d|\d[a-zA-Z]|[a-z][A-Z]/g)?.length ?? 0;
  return kinds === 3 && changes * 4 > value.length;
}
