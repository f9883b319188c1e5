// The gateways that are compared: each knows how to start itself in front of one upstream.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GATEWAY_CORE, start, stop } from './processes.mjs';

export const TOKEN = 'bench-token-0123456789abcdef';
const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const RUST = process.env.MCPSTEAD_RUST ?? join(homedir(), '.cargo/bin/mcpstead');

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-bench-'));

/** One config for both generations: the successor reads the file of the first. */
function config(port, upstream, modern = false) {
  const path = join(folder, `${port}.yaml`);
  writeFileSync(
    path,
    `host: 127.0.0.1
port: ${port}
mcp:
  auth:
    mode: bearer
metrics:
  enabled: true
servers:
  - name: bench
    url: ${upstream}
${modern ? `  - name: modern\n    url: ${upstream.replace('/mcp', '/modern')}\n` : ''}`,
  );
  return path;
}

function nginxConfig(port, upstream) {
  const path = join(folder, `nginx-${port}.conf`);
  const { host } = new URL(upstream);
  writeFileSync(
    path,
    `daemon off; worker_processes 1; pid ${folder}/nginx-${port}.pid; error_log /dev/null;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; proxy_max_temp_file_size 0;
  fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  client_body_buffer_size 4m; client_max_body_size 0; keepalive_requests 100000000;
  upstream up { server ${host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location = /health { return 200; }
    location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
  );
  return path;
}

const found = (command) => spawnSync('which', [command]).status === 0;

export const targets = [
  {
    name: 'mcpstead',
    available: existsSync(MAIN),
    command: (port, upstream) => [process.execPath, [MAIN, '--config', config(port, upstream)]],
  },
  {
    name: 'rust',
    available: existsSync(RUST),
    command: (port, upstream) => [RUST, ['--config', config(port, upstream)]],
  },
  {
    name: 'nginx',
    available: found('nginx'),
    plain: true,
    command: (port, upstream) => ['nginx', ['-c', nginxConfig(port, upstream)]],
  },
].filter((target) => target.available);

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a gateway and waits until it serves its upstream. */
export async function run(target, upstream) {
  const port = await freePort();
  const child = start(GATEWAY_CORE, ...target.command(port, upstream), {
    env: { ...process.env, MCPSTEAD_BEARER_TOKEN: TOKEN },
  });
  const base = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 15_000;
  for (;;) {
    const ready = await fetch(`${base}/health`).then(
      async (answer) => answer.ok && (target.plain || (await answer.json()).status === 'ok'),
      () => false,
    );
    if (ready) break;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${target.name} does not start`);
    await sleep(20);
  }
  // taskset replaces itself by the command, so this is the gateway's own process.
  return { name: target.name, url: `${base}/mcp`, base, pid: child.pid, stop: () => stop(child) };
}

/** This gateway in front of a server of each era. */
export const bothEras = {
  name: 'mcpstead',
  command: (port, upstream) => [process.execPath, [MAIN, '--config', config(port, upstream, true)]],
};
