import { isArray, isObject, type Json } from '../cloudformation/template.ts';

/** Status and headers of a streamed answer, which stand before its body. */
export interface Prelude {
  readonly statusCode: number;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

export class PreludeError extends Error {
  override readonly name = 'PreludeError';
}

const DELIMITER = Buffer.alloc(8);

/** The metadata must end within the first 16 KB: API Gateway's documentation of the stream's format. */
const MAX_PRELUDE = 16 * 1024;

/** Finds where the metadata ends and the body begins, however the bytes were cut into chunks. */
export class PreludeParser {
  #pending: Buffer = Buffer.alloc(0);

  /** The prelude, and the body's first bytes, once they are there. */
  push(chunk: Buffer): { readonly prelude: Prelude; readonly rest: Buffer } | undefined {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    const end = this.#pending.indexOf(DELIMITER);
    if (end > MAX_PRELUDE || (end < 0 && this.#pending.length > MAX_PRELUDE + DELIMITER.length)) {
      throw new PreludeError('no delimiter in the first 16 KB of the stream');
    }
    if (end < 0) return undefined;
    return {
      prelude: parsePrelude(this.#pending.subarray(0, end)),
      rest: this.#pending.subarray(end + DELIMITER.length),
    };
  }
}

function parsePrelude(bytes: Buffer): Prelude {
  let parsed: Json;
  try {
    parsed = JSON.parse(bytes.toString('utf8')) as Json;
  } catch (cause) {
    throw new PreludeError('the metadata is no JSON', { cause });
  }
  if (!isObject(parsed)) throw new PreludeError('the metadata is no JSON object');
  return { statusCode: statusOf(parsed.statusCode), headers: headersOf(parsed) };
}

/** Of a proxy integration's answer, streamed or not. @throws PreludeError */
export function statusOf(value: Json | undefined): number {
  const status = value === undefined ? 200 : Number(value);
  if (!Number.isInteger(status) || status < 100 || status > 599) {
    throw new PreludeError(`statusCode is ${JSON.stringify(value)}`);
  }
  return status;
}

/** `multiValueHeaders` win over `headers` of the same name; each cookie is a `set-cookie` of its own. */
export function headersOf(answer: { readonly [key: string]: Json }): Array<readonly [string, string]> {
  const headers: Array<readonly [string, string]> = [];
  const { headers: single, multiValueHeaders: multi, cookies } = answer;
  const isMap = (value: Json | undefined): boolean => value === undefined || value === null || isObject(value);
  if (!isMap(single) || !isMap(multi)) throw new PreludeError('headers must be a map');
  const multiNames = new Set(Object.keys(isObject(multi) ? multi : {}).map((name) => name.toLowerCase()));
  for (const [name, value] of Object.entries(isObject(single) ? single : {})) {
    if (!multiNames.has(name.toLowerCase()) && value !== null) headers.push([name, String(value)]);
  }
  for (const [name, values] of Object.entries(isObject(multi) ? multi : {})) {
    if (!isArray(values)) throw new PreludeError(`multiValueHeaders.${name} must be a list`);
    for (const value of values) headers.push([name, String(value)]);
  }
  for (const cookie of isArray(cookies) ? cookies : []) headers.push(['set-cookie', String(cookie)]);
  return headers;
}
