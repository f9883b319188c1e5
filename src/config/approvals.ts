/** Resolves what is about calls that wait for a yes: `hold` of rules, `approvals`, and the keys of those who vote. */
import { decodedSecret } from '../lib/webhook-secret.js';
import { isSecure } from './address.js';
import { readSecret, type Values } from './expand.js';
import type { Findings, Path } from './problems.js';
import type { FileValues } from './schema.js';
import type { ApprovalsConfig, Config, HoldConfig, KeyConfig } from './types.js';

type HoldValues = NonNullable<FileValues['policy']>['rules'][number]['hold'][number];

export function holdOf(values: HoldValues, path: Path, findings: Findings): HoldConfig {
  const { prompts, resources, tools, annotations, when, ...hold } = values;
  for (const [key, value] of Object.entries({ prompts, resources }))
    if (value !== undefined)
      findings.problem([...path, key], 'cannot be held: a hold is about tools', 'remove it', true);
  if (hold.by === 'caller' && hold.need > 1)
    findings.problem([...path, 'need'], 'is more than one, and the caller is one person', 'need: 1');
  return {
    ...hold,
    tools,
    annotations,
    when,
    place: findings.placeOf(when === undefined ? path : [...path, 'when']),
  };
}

export function approvalsOf({ approvals }: FileValues, values: Values, findings: Findings): ApprovalsConfig {
  const { webhook, wait_seconds, ...rest } = approvals;
  const waits = { default: 50, ...wait_seconds };
  if (!webhook) return { ...rest, wait_seconds: waits, webhook: undefined };
  const path: Path = ['approvals', 'webhook'];
  const url = URL.canParse(webhook.url) ? new URL(webhook.url) : undefined;
  if (!url || !isSecure(url) || url.username !== '' || url.hash !== '')
    findings.problem(
      [...path, 'url'],
      'must be an https URL, or http of this machine',
      'https://tickets.example.com/mcpstead',
    );
  const secret = readSecret(webhook.secret_file, values.folder);
  if (typeof secret !== 'string') findings.problem([...path, 'secret_file'], secret.missing);
  else if (!decodedSecret(secret))
    findings.problem(
      [...path, 'secret_file'],
      'must hold whsec_ and 24 to 64 bytes in base64',
      'printf whsec_; openssl rand -base64 32',
    );
  return {
    ...rest,
    wait_seconds: waits,
    webhook: {
      url: webhook.url,
      secret: typeof secret === 'string' ? secret : '',
      arguments: webhook.arguments,
    },
  };
}

/** Checks a key that votes, where it is written. */
export function checkApprover(
  { name, approver, owner, profile }: Pick<KeyConfig, 'name' | 'approver' | 'owner' | 'profile'>,
  path: Path,
  findings: Findings,
): void {
  if (!approver) return;
  if (owner === undefined || owner === 'none')
    findings.problem(
      path,
      `is '${name}' with approver: true, and no person as its owner`,
      'owner: the id of the person, such as corp:al',
    );
  if (profile !== undefined)
    findings.problem(path, `is '${name}' with approver: true and a profile, which it cannot use`);
}

/** Checks what needs several keys of the file. */
export function checkApprovals({ policy, http, fleet }: Config, findings: Findings): void {
  const holds = policy?.rules.some(({ hold }) => hold.length > 0) === true;
  if (holds && http.reuse_port && !fleet)
    findings.problem(
      ['http', 'reuse_port'],
      'makes several processes, which have to share the calls that wait for a yes',
      'set fleet.store, or reuse_port: false',
    );
}
