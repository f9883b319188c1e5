/** The configuration as operators see it, and what a changed file would do. Secrets are `***` everywhere. */
import {
  ConfigError,
  diffConfig,
  maskText,
  shownConfig,
  unmaskText,
  type ConfigProblem as Problem,
  type LoadedConfig,
} from '../config/index.js';
import { maskSecrets } from '../config/redact.js';
import { sha256 } from '../lib/sha256.js';
import { Refused } from './route.js';
import type { ConfigCheck, ConfigProblem, ConfigView } from './schemas.js';
import type { AdminSource, ConfigFile } from './source.js';
import { unifiedDiff } from './text-diff.js';

type Pending = NonNullable<ConfigView['pending']>;

interface Judged {
  readonly problems: ConfigProblem[];
  readonly warnings: string[];
  readonly pending: Pending | null;
}

export async function configView(source: AdminSource, mayEdit: boolean): Promise<ConfigView> {
  const { file } = source;
  const config = source.config();
  const resolved = shownConfig(config);
  const editable = mayEdit && config.console.edit && file !== undefined;
  if (!file)
    return {
      ...{
        file: null,
        text: null,
        etag: null,
        editable,
        resolved,
        warnings: [],
        problems: [],
        pending: null,
      },
    };
  const text = await textOf(file);
  const judged = judge(source, file, text);
  return {
    file: file.path,
    text: config.console.edit ? (maskText(text, file.path, source.secrets()) ?? null) : null,
    etag: etagOf(text),
    editable,
    resolved,
    ...judged,
  };
}

/** What a text, with secrets as `***`, would do. Throws a Refused. */
export async function checkText(source: AdminSource, edited: string): Promise<ConfigCheck> {
  const file = editable(source);
  const before = await textOf(file);
  const text = restored(source, file, edited, before);
  const secrets = source.secrets();
  const { problems, warnings, pending } = judge(source, file, text);
  const shown = (each: string): string => maskText(each, file.path, secrets) ?? maskSecrets(each, secrets);
  return { problems, warnings, effects: pending, diff: unifiedDiff(shown(before), shown(text), file.path) };
}

/** Writes a text to the file. Returns where the one before is kept, and how to undo it. Throws a Refused. */
export async function applyText(
  source: AdminSource,
  edited: string,
  ifMatch: string | undefined,
): Promise<{ readonly etag: string; readonly backup: string; readonly undo: () => Promise<void> }> {
  const file = editable(source);
  const before = await textOf(file);
  if (ifMatch === undefined)
    throw new Refused('invalid_request', 'If-Match is missing: it names the file that was edited', {
      status: 428,
      action: 'send the etag of GET config',
    });
  if (ifMatch.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') !== etagOf(before))
    throw new Refused('invalid_request', 'the file has changed since it was read', {
      status: 412,
      action: 'read it again, then repeat the change',
    });
  const text = restored(source, file, edited, before);
  const [problem] = judge(source, file, text).problems;
  if (problem)
    throw new Refused('invalid_request', `the text cannot be used: ${problem.message}`, {
      status: 422,
      action: 'see all problems with POST config/check',
    });
  const backup = await file.replace(text).catch((error: unknown) => {
    throw new Refused('unavailable', `the file cannot be written: ${(error as Error).message}`, {
      status: 503,
      action: 'edit it on the machine, then reload',
    });
  });
  return { etag: etagOf(text), backup, undo: () => file.restore(before) };
}

function editable(source: AdminSource): ConfigFile {
  const { file } = source;
  if (!source.config().console.edit)
    throw new Refused('forbidden', 'the configuration is not edited here: console.edit is false', {
      action: 'set console: {edit: true} in the config',
    });
  if (file) return file;
  throw new Refused('not_found', 'this gateway has no configuration file', {
    action: 'change the configuration in the program that it is part of',
  });
}

function restored(source: AdminSource, { path }: ConfigFile, edited: string, before: string): string {
  const back = unmaskText(edited, before, path, source.secrets());
  // What cannot be read has problems, which the caller reports.
  if (!back) return edited;
  if (back.unknown === 0) return back.text;
  throw new Refused('invalid_request', `*** stands for ${back.unknown} values that the file does not have`, {
    status: 422,
    action: 'write the values, or ${NAME} for a variable',
  });
}

function judge(source: AdminSource, file: ConfigFile, text: string): Judged {
  const secrets = source.secrets();
  const shown = (line: string): string => maskSecrets(line, secrets);
  let loaded: LoadedConfig;
  try {
    loaded = file.load(text);
  } catch (error) {
    const problems: readonly Problem[] =
      error instanceof ConfigError
        ? error.problems
        : [{ key: '', message: error instanceof Error ? error.message : String(error) }];
    const warnings = error instanceof ConfigError ? error.warnings : [];
    return {
      problems: problems.map((each) => problemOf(each, shown)),
      warnings: warnings.map(shown),
      pending: null,
    };
  }
  const diff = diffConfig(source.config(), loaded.config);
  return {
    problems: [],
    warnings: loaded.warnings.map(shown),
    pending: {
      added: diff.added,
      removed: diff.removed,
      restarted: diff.restarted,
      updated: diff.updated,
      restart_required: diff.restartRequired,
    },
  };
}

function problemOf({ key, line, message, fix }: Problem, shown: (text: string) => string): ConfigProblem {
  return {
    message: shown(message),
    path: key === '' ? null : key,
    line: line ?? null,
    fix: fix === undefined ? null : shown(fix),
  };
}

async function textOf(file: ConfigFile): Promise<string> {
  try {
    return await file.read();
  } catch (error) {
    throw new Refused('unavailable', `the configuration file cannot be read: ${(error as Error).message}`, {
      status: 503,
      action: 'see its permissions',
    });
  }
}

export function etagOf(text: string): string {
  return sha256(text).slice(0, 22);
}
