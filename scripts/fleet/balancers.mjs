// The configurations of packaging/balancers, for gateways on this machine.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Writes the file into `folder`, and returns the arguments that run the program in the foreground. */
export function prepareBalancer(name, { folder, port, hosts }) {
  const isNginx = name === 'nginx';
  const file = join(folder, isNginx ? 'nginx.conf' : 'haproxy.cfg');
  writeFileSync(file, isNginx ? nginxConfig(folder, port, hosts) : haproxyConfig(port, hosts));
  return isNginx ? ['-p', folder, '-c', file, '-g', 'daemon off;'] : ['-db', '-f', file];
}

function nginxConfig(folder, port, hosts) {
  mkdirSync(join(folder, 'temp'));
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${join(folder, 'temp', kind)};`)
    .join('\n');
  return edited('nginx.conf', [
    ['pid /run/nginx.pid;', `pid ${join(folder, 'nginx.pid')};`],
    ['error_log /var/log/nginx/error.log warn;', 'error_log stderr warn;'],
    ['  access_log off;', `  access_log off;\n${temp}`],
    ['listen 8080;', `listen 127.0.0.1:${port};`],
    ['    server 10.0.0.2:8766 max_fails=1 fail_timeout=10s;\n', ''],
    [
      '    server 10.0.0.1:8766 max_fails=1 fail_timeout=10s;',
      hosts.map((host) => `    server ${host} max_fails=1 fail_timeout=10s;`).join('\n'),
    ],
  ]);
}

function haproxyConfig(port, hosts) {
  return edited('haproxy.cfg', [
    ['bind :8080', `bind 127.0.0.1:${port}`],
    ['  server gateway2 10.0.0.2:8766\n', ''],
    [
      '  server gateway1 10.0.0.1:8766',
      hosts.map((host, index) => `  server gateway${index + 1} ${host}`).join('\n'),
    ],
  ]);
}

/** The file of packaging/balancers with these replacements. Throws an Error for one that has no place. */
function edited(name, edits) {
  return edits.reduce(
    (text, [from, to]) => {
      if (text.split(from).length !== 2) throw new Error(`packaging/balancers/${name} has no line '${from}'`);
      return text.replace(from, () => to);
    },
    readFileSync(new URL(`../../packaging/balancers/${name}`, import.meta.url), 'utf8'),
  );
}
