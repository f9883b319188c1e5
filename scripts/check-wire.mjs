// `npm run check:wire -- DIR`: the traffic that the last `npm test` recorded, against DIR/mcp-REVISION.schema.json, the JSON
// Schema that the specification publishes for each revision.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, judge, LEGACY_REVISIONS } from '../test/helpers/wire-judge.mjs';

/** A folder for each run of the tests. */
const RECORDS = '.wire';
const FORMATS = {
  byte: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
  uri: (value) => URL.canParse(value),
  'uri-template': true,
};

function faultOf({ keyword, instancePath, message }) {
  return keyword === 'required' ? message : `${instancePath.split('/').at(-1)} ${message}`;
}

function schemasIn(folder, revision) {
  const path = join(folder, `mcp-${revision}.schema.json`);
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  const schema = JSON.parse(readFileSync(path, 'utf8'));
  const at = schema.$defs ? '$defs' : 'definitions';
  const options = { strict: false, formats: FORMATS };
  const ajv = at === '$defs' ? new Ajv2020(options) : new Ajv(options);
  ajv.addSchema(schema, 'mcp');
  const names = new Map();
  for (const [name, { properties }] of Object.entries(schema[at])) {
    const method = properties?.method?.const;
    if (method !== undefined) names.set(method, name);
  }
  return {
    names,
    validate(wanted, value) {
      const validators = wanted
        .filter((name) => schema[at][name] !== undefined)
        .map((name) => ajv.getSchema(`mcp#/${at}/${name}`));
      if (validators.length === 0 || validators.some((validator) => validator(value))) return undefined;
      return validators[0].errors.map(faultOf);
    },
  };
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: npm run check:wire -- DIR');
  process.exit(2);
}
const schemas = new Map(LEGACY_REVISIONS.map((revision) => [revision, schemasIn(folder, revision)]));
const runs = existsSync(RECORDS) ? readdirSync(RECORDS).map((name) => join(RECORDS, name)) : [];
const [last = RECORDS] = runs.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
const judgement = judge(last, (revision) => schemas.get(revision));
console.log(describe(judgement));
if (judgement.judged === 0) console.error('nothing is recorded: run npm test first');
process.exitCode = judgement.problems.length > 0 || judgement.judged === 0 ? 1 : 0;
