// The configuration of each gateway, written to a folder of this run.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'mcpstead-bench-'));

/** One file for both generations of mcpstead, which share the format. JSON is YAML. */
export function mcpsteadConfig(port, { servers, settings }) {
  const path = join(folder, `${port}.yaml`);
  const auth = { mode: 'bearer' };
  const whole = {
    host: '127.0.0.1',
    port: Number(port),
    mcp: { auth },
    metrics: { enabled: true },
    ...settings,
    servers,
  };
  writeFileSync(path, JSON.stringify(whole));
  return path;
}

export function nginxConfig(port, { servers }) {
  const path = join(folder, `nginx-${port}.conf`);
  const { host, pathname } = new URL(servers[0].url);
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
    location / { proxy_pass http://up${pathname}; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`,
  );
  return path;
}
