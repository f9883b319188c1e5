/** `mcpstead policy explain`: asks the running gateway what its policy decides for somebody, and why. */
import { printable, printableJson, Refusal } from '../../terminal/explain.js';
import { askFor } from '../target.js';
import { listed, type Verb } from '../verb.js';

interface Answer {
  readonly principal: string;
  readonly route: string;
  readonly unknown?: string;
  readonly items: readonly {
    readonly kind: string;
    readonly server: string;
    readonly name: string;
    readonly verdict: string;
    readonly rule: string;
    readonly call?: string;
    readonly waits_for?: readonly { readonly rule: string; readonly by: string; readonly need: number }[];
    readonly error?: string;
  }[];
}

export const explainPolicy: Verb = async ({ values, flags }, terminal) => {
  const as = values['as'];
  if (as === undefined) throw new Refusal('mcpstead policy explain needs --as, such as --as key:ci', 2);
  const { groups, scopes } = values;
  const question = {
    as,
    groups: groups === undefined ? undefined : listed(groups),
    scopes: scopes === undefined ? undefined : listed(scopes),
    claims: json('claims', values['claims']),
    route: values['route'],
    tool: values['tool'],
    args: json('args', values['args']),
  };
  const body = await askFor({ values }, '/-/explain', JSON.stringify(question), terminal);
  if (flags.has('json')) {
    terminal.out(`${printableJson(JSON.parse(body))}\n`);
    return 0;
  }
  const { items, unknown } = JSON.parse(body) as Answer;
  if (unknown !== undefined) {
    terminal.out(printable(`${unknown}\tunknown: no server has it\n`));
    return 0;
  }
  for (const { kind, server, name, verdict, rule, call, waits_for, error } of items) {
    const shown = call === undefined ? verdict : `${verdict}, ${call}`;
    terminal.out(
      printable(
        `${shown}\t${kind}\t${server}\t${name}\trule: ${rule}${waiting(waits_for)}${error === undefined ? '' : `\t${error}`}\n`,
      ),
    );
  }
  return 0;
};

function waiting(entries: Answer['items'][number]['waits_for']): string {
  if (!entries) return '';
  const persons = entries.map(({ by, need }) => (need === 1 ? by : `${need} of ${by}`));
  return `\twaits for ${persons.join(', then ')}`;
}

function json(option: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(`--${option} must be JSON, as in '{"path": "/data"}'`, 2);
  }
}
