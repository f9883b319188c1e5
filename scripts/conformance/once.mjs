// Folders with what is installed once, for all runs.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Makes a folder of a cache in one step: what an interrupted run left is no part of it. `make` gets its path; it is there already: nothing is made. */
export async function once(cache, name, make) {
  const folder = join(cache, name);
  if (existsSync(folder)) return folder;
  console.error(`Installing ${name} into ${cache} ...`);
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, 'new-'));
  try {
    await make(made);
    renameSync(made, folder);
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    // Another run was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
