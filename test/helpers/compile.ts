import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { atEnd } from './cleanup.js';

const root = resolve(import.meta.dirname, '../..');

/**
 * Compiles `src` files and their imports into a folder, to run them in a separate process.
 * The folder is inside the project, so that they find its packages.
 */
export function compileSources(...files: string[]): (file: string) => string {
  const cache = join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'compiled-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const done = new Set<string>();
  const target = (file: string) => join(folder, relative(root, file).replace(/\.ts$/, '.js'));
  const visit = (file: string) => {
    if (done.has(file)) return;
    done.add(file);
    const text = readFileSync(file, 'utf8');
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    mkdirSync(dirname(target(file)), { recursive: true });
    writeFileSync(target(file), outputText);
    for (const [, path] of outputText.matchAll(/from '(\.[^']+)\.js'/g)) {
      visit(resolve(dirname(file), `${path as string}.ts`));
    }
  };
  for (const file of files) visit(resolve(root, file));
  return (file) => target(resolve(root, file));
}
