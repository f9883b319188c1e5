/** The files of the chart that are not templates. The templates are checked with helm (docs/balancers.md). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { root } from '../../helpers/markdown.js';

const folder = join(root, 'packaging/helm/mcpstead');
const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
const values = parse(text('values.yaml')) as Record<string, unknown>;
const schema = JSON.parse(text('values.schema.json')) as Node;

interface Node {
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Node>>;
}

/** The defaults of a schema, as an object of its shape. */
function defaultsOf(node: Node): unknown {
  if ('default' in node) return node.default;
  if (!node.properties) return undefined;
  const members = Object.entries(node.properties).map(([key, child]) => [key, defaultsOf(child)] as const);
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}

describe('the chart', () => {
  it('has the version of the package', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(parse(text('Chart.yaml'))).toMatchObject({ name: 'mcpstead', version, appVersion: version });
  });

  it('has the same defaults in its values and in their schema', () => {
    expect(defaultsOf(schema)).toEqual(values);
  });

  it('accepts its own values, and no misspelt ones', () => {
    const validate = new Ajv({ allowUnionTypes: true }).compile(schema);
    expect(validate(values)).toBe(true);
    expect(validate({ ...values, replicas: 2 })).toBe(false);
    expect(validate({ ...values, stateKey: { exsistingSecret: 'x' } })).toBe(false);
    expect(validate({ ...values, replicaCount: 0 })).toBe(false);
  });

  it('has no secret, and asks for one', () => {
    expect(values).toMatchObject({
      stateKey: { existingSecret: '', value: '' },
      store: { existingSecret: '' },
      bearerTokens: { existingSecret: '' },
    });
    expect(text('templates/_helpers.tpl')).toContain('fail "a state key is required:');
    expect(text('templates/_helpers.tpl')).toContain('fail "more than one replica needs a store:');
  });

  it('has a template for each part', () => {
    expect(readdirSync(join(folder, 'templates')).sort()).toEqual(
      [
        'NOTES.txt',
        '_helpers.tpl',
        'configmap.yaml',
        'deployment.yaml',
        'hpa.yaml',
        'ingress.yaml',
        'networkpolicy.yaml',
        'pdb.yaml',
        'secret.yaml',
        'service.yaml',
        'servicemonitor.yaml',
      ].sort(),
    );
    const deployment = text('templates/deployment.yaml');
    expect(deployment).toContain('add .Values.drainDelaySeconds .Values.shutdownGraceSeconds 5');
    expect(deployment).not.toMatch(/preStop:|subPath:/);
  });
});
