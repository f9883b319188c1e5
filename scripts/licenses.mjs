// The licences of the packages that a bundle has code of: copies have to show them.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/;

/** As a comment of JavaScript; empty: no module is of a package. `modules`: the paths of those in the bundle. */
export function licenses(modules) {
  const packages = new Set(modules.flatMap((id) => FOLDER.exec(id)?.[0] ?? []));
  if (packages.size === 0) return '';
  return `/*!\n${[...packages].sort().map(licenseOf).join('\n\n')}\n*/`;
}

function licenseOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `${name} ${version}: ${license}\n\n${text}`.replaceAll('*/', '* /');
}
