/** The audit log of a gateway: what it has of real calls, and what happens when its disk is full. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createUpstream, tool } from '../fixtures/servers/http-upstream.js';
import { atEnd } from '../helpers/cleanup.js';
import { runCli, runConfig, tempDir, type CliRun } from '../helpers/cli.js';
import { startGateway } from '../helpers/gateway.js';
import { callBody, callTool, openSession, post, send } from '../helpers/http.js';
import { modernCall } from '../helpers/modern.js';
import { until } from '../helpers/wait.js';

type Line = Readonly<Record<string, unknown>>;

function read(file: string): Line[] {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Line);
}
