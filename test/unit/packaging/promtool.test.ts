/** The alert rules in Prometheus's own hands. vitest.config.ts leaves this file out where promtool is missing. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { root } from '../../helpers/markdown.js';
import { PROMTOOL } from '../../helpers/promtool.js';
import { scratchFolder } from '../../helpers/state.js';

const run = promisify(execFile);
const folder = join(root, 'packaging/prometheus');
const promtool = (...args: readonly string[]) => run(PROMTOOL as string, args, { cwd: folder });

interface TestFile {
  readonly rule_files: readonly string[];
  readonly tests: readonly {
    readonly alert_rule_test?: readonly { readonly alertname: string; readonly exp_alerts?: unknown[] }[];
  }[];
}
const text = readFileSync(join(folder, 'alerts.test.yaml'), 'utf8');
const file = parse(text) as TestFile;

it('promtool accepts the rules', async () => {
  const { stdout } = await promtool('check', 'rules', 'alerts.yaml');
  expect(stdout).toMatch(/SUCCESS: \d+ rules found/);
});

it('each alert fires when it should, and not otherwise', async () => {
  const { stdout } = await promtool('test', 'rules', 'alerts.test.yaml');
  expect(stdout).toContain('SUCCESS');
  const checks = file.tests.flatMap(({ alert_rule_test: found }) => found ?? []);
  const { groups } = parse(readFileSync(join(folder, 'alerts.yaml'), 'utf8')) as {
    groups: { rules: { alert: string }[] }[];
  };
  for (const { alert } of groups.flatMap(({ rules }) => rules)) {
    const own = checks.filter(({ alertname }) => alertname === alert);
    expect(
      own.some(({ exp_alerts: expected }) => (expected ?? []).length > 0),
      `${alert} fires`,
    ).toBe(true);
    expect(
      own.some(({ exp_alerts: expected }) => (expected ?? []).length === 0),
      `${alert} does not fire`,
    ).toBe(true);
  }
});

it('the test of the rules fails for a rule that never fires', async () => {
  const path = join(scratchFolder(), 'broken.yaml');
  const rules = readFileSync(join(folder, 'alerts.yaml'), 'utf8');
  writeFileSync(path, rules.replace('mcpstead_fleet_store_up == 0', 'mcpstead_fleet_store_up == 2'));
  const tests = join(scratchFolder(), 'broken.test.yaml');
  writeFileSync(tests, stringify({ ...file, rule_files: [path] }));
  await expect(promtool('test', 'rules', tests)).rejects.toThrow(/McpsteadStoreUnavailable/);
});
